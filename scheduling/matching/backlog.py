"""The whole backlog: one run at a time, each in rounds until nothing that was planned is lost to somebody else."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import connection

from scheduling.booking import Place
from scheduling.locks import database_now
from scheduling.matching import demand
from scheduling.matching.demand import Backlog
from scheduling.matching.greedy import Clock, Plan, Progress
from scheduling.matching.optimise import Outcome, optimise
from scheduling.matching.write import ADVISORY, BATCH, clinics_of, explain, load_board, write, write_reasons
from scheduling.models import Clinic

ROUNDS = 8
SOLVING = 0.5  # of the time limit: the rest is for writing
TIME_LIMIT = 60


@dataclass
class Report:
    sessions: int = 0
    greedy: int = 0
    planned: int = 0  # by the first plan, of all
    bound: int = 0  # no plan has more
    wishes: int = 0
    placed: int = 0
    lost: int = 0  # to somebody faster, over all rounds
    unplaced: int = 0
    rounds: int = 0
    seconds: float = 0.0
    is_stopped: bool = False
    reasons: dict[int, str] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """How far the plan may be from the best one, as a part of the bound."""
        return (self.bound - self.planned) / self.bound if self.bound else 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"gap": round(self.gap, 5), "seconds": round(self.seconds, 2)}


def no_progress(done: int, total: int, what: str) -> None:
    pass


def match_requests(
    *,
    clinics: Sequence[Clinic] | None = None,
    dry_run: bool = False,
    time_limit: float = TIME_LIMIT,
    progress: Progress = no_progress,
    stop: threading.Event | None = None,
) -> Report:
    """Give times to all planned sessions that can have one; with `clinics`, only there.

    Runs take turns: a second one waits and takes what the first left. `stop` ends it after the batch that is being
    written; what is booked by then stays. Safe to repeat.
    """
    begin, stop, report = time.monotonic(), stop or threading.Event(), Report()
    with contextlib.nullcontext() if dry_run else _turn(stop):
        clock = Clock(time_limit, stop)
        for number in range(1, ROUNDS + 1):
            report.rounds = number
            if _round(report, clinics, clock, progress, dry_run=dry_run) or not clock.left:
                break
    report.is_stopped, report.seconds = stop.is_set(), time.monotonic() - begin
    return report


@contextlib.contextmanager
def _turn(stop: threading.Event) -> Iterator[None]:
    """Asked for again and again: a wait in the database would end with its time limits, or not at a signal."""
    with connection.cursor() as cursor:
        while not stop.is_set():
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY])
            if cursor.fetchone()[0]:
                break
            stop.wait(0.2)
        else:
            yield
            return
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY])


def _round(
    report: Report, clinics: Sequence[Clinic] | None, clock: Clock, progress: Progress, *, dry_run: bool
) -> bool:
    """Plan and write. True when nothing is left to try."""
    now = database_now()
    active = sorted(clinic.pk for clinic in clinics or Clinic.objects.filter(is_active=True))
    backlog = demand.load(now=now)
    if clinics is not None:
        backlog.stretches = [s for s in backlog.stretches if clinics_of([s], active)]
    board = load_board(backlog, active, now)
    plan = Plan(board, backlog.stretches)
    outcome = optimise(plan, Clock(clock.left * (1 if dry_run else SOLVING), clock.stop), progress)
    if report.rounds == 1:
        _take_over(report, outcome)
    lost = 0 if dry_run else _write(report, backlog, plan, clock, progress)
    if lost or clock.stop.is_set():
        return clock.stop.is_set()
    report.reasons = explain(board, backlog, active)
    report.unplaced = len(report.reasons)
    if not dry_run:
        write_reasons(backlog, report.reasons)
    return True


def _take_over(report: Report, outcome: Outcome) -> None:
    report.sessions, report.greedy, report.bound = outcome.sessions, outcome.greedy, outcome.bound
    report.planned, report.wishes = outcome.score.placed, outcome.score.wishes


def _write(report: Report, backlog: Backlog, plan: Plan, clock: Clock, progress: Progress) -> int:
    """In batches of whole requests, by time, so that units of equipment are dealt out as planned. How many sessions were
    lost to somebody faster.
    """
    total, done, lost = len(plan.board.kept), 0, 0
    places: dict[int, list[tuple[int, Place]]] = {}
    for session, slot, _begin in sorted(plan.board.plan(), key=lambda place: place[2]):
        request_id = plan.of_session[session].request_id
        places.setdefault(request_id, []).append((request_id, Place(session, slot)))
    begins = {session: begin for session, _slot, begin in plan.board.plan()}
    batch: list[tuple[int, Place]] = []
    for n, of_request in enumerate(places.values(), 1):
        batch += of_request
        if len(batch) >= BATCH or n == len(places):
            if clock.stop.is_set():
                break
            batch.sort(key=lambda one: begins[one[1].session_id])
            written = write(backlog=backlog, places=batch, by=None)
            done, lost, batch = done + len(batch), lost + len(written.lost), []
            report.placed += len(written.booked)
            progress(done, total, "booked")
    report.lost += lost
    return lost
