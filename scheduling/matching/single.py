"""One request at once: exact, because its sessions are planned against what is free."""

from dataclasses import dataclass, field

from clinic_booking.models import User
from scheduling.booking import Place
from scheduling.locks import database_now
from scheduling.matching import demand
from scheduling.matching.greedy import Plan
from scheduling.matching.write import LEAD, clinics_of, explain, load_board, write, write_reasons
from scheduling.models import Booking, Clinic, SessionTicket

ROUNDS = 5  # of losing a time to somebody faster


@dataclass
class AutofillResult:
    placed: list[Booking] = field(default_factory=list)
    unplaced: list[SessionTicket] = field(default_factory=list)  # each says why


def autofill(*, request_id: int, by: User | None) -> AutofillResult:
    """Book all planned sessions of the request for which there is a time, the best times that are free.

    Commits by itself: a time that is lost to somebody else is chosen anew. Safe to repeat.
    """
    result = AutofillResult()
    active = list(Clinic.objects.filter(is_active=True).values_list("pk", flat=True))
    for _round in range(ROUNDS):
        now = database_now()
        backlog = demand.load(request_ids=[request_id], now=now)
        if not backlog.stretches:
            return result
        board = load_board(backlog, clinics_of(backlog.stretches, active), now)
        plan = Plan(board, backlog.stretches)
        for stretch in plan.stretches:
            plan.place(stretch)
        places = [(request_id, Place(session, slot)) for session, slot, _begin in board.plan()]
        written = write(backlog=backlog, places=places, by=by)
        result.placed += written.booked
        if not written.lost:
            if len(board.kept) == len(plan.of_session):
                return result
            break
    result.unplaced = _explain(request_id, active)
    return result


def _explain(request_id: int, clinic_ids: list[int]) -> list[SessionTicket]:
    """What is left: looked at anew, at all clinics."""
    now = database_now()
    backlog = demand.load(request_ids=[request_id], now=now)
    if not backlog.stretches:
        return []
    board = load_board(backlog, clinic_ids, now)
    return write_reasons(backlog, explain(board, backlog, clinic_ids))


__all__ = ["LEAD", "AutofillResult", "autofill"]
