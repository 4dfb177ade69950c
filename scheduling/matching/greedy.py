"""A plan without a solver: request by request, then by moving what stands in the way."""

import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np

from scheduling.matching.board import DAY, FREE, LOAD, SOFT, Board, Bools, Ints
from scheduling.matching.chain import BARRED, Chain, within
from scheduling.matching.demand import Stretch

EVICTION = 10**10  # what it costs to take a slot from another session: more than wishes are worth
DEPTH, TRIES, ROUNDS = 3, 6, 20

Placed = list[int]  # the starts of a stretch's sessions, in order
Progress = Callable[[int, int, str], None]


class Clock:
    """Until when to go on: the time is up, or someone asked to stop."""

    def __init__(self, seconds: float, stop: threading.Event | None = None) -> None:
        self._until, self.stop = time.monotonic() + seconds, stop or threading.Event()

    @property
    def left(self) -> float:
        return 0.0 if self.stop.is_set() else max(0.0, self._until - time.monotonic())


class Score(NamedTuple):
    """What is maximised, in this order."""

    placed: int
    urgency: int
    wishes: int
    days: int  # from today to each session, less is better
    load: int  # sum of the squares of the practitioners' sessions, less is better

    @property
    def worth(self) -> int:
        return SOFT * self.wishes - DAY * self.days - LOAD * self.load

    @property
    def rank(self) -> tuple[int, int, int]:
        return self.placed, self.urgency, self.worth


class Options(NamedTuple):
    at: Ints
    worth: Ints
    wishes: tuple[Bools, ...]

    def only(self, which: Bools | Ints) -> "Options":
        return Options(self.at[which], self.worth[which], tuple(wish[which] for wish in self.wishes))


class Plan:
    """Stretches on a board."""

    def __init__(self, board: Board, stretches: Sequence[Stretch]) -> None:
        self.board, self.stretches = board, list(stretches)
        self.of_session = {session: stretch for stretch in stretches for session in stretch.sessions}
        self._random = random.Random(1)  # noqa: S311  (the same backlog gives the same plan)
        self._changed: list[tuple[Stretch, Placed]] = []

    # -- What it is

    def placed(self, stretch: Stretch) -> Placed:
        kept = self.board.kept
        return [kept[session].at for session in stretch.sessions if session in kept]

    def room_of(self, stretch: Stretch) -> str:
        return self.board.services[stretch.terms.service_id].station_kind

    def missing(self, stretch: Stretch) -> int:
        return sum(session not in self.board.kept for session in stretch.sessions)

    def score(self) -> Score:
        urgency = wishes = days = 0
        for stretch in self.stretches:
            if placed := self.placed(stretch):
                day = self.board.starts(stretch.terms.service_id).day[placed]
                urgency += stretch.urgency * len(placed)
                wishes += self._wishes(stretch, placed)
                days += int((day - self.board.today).sum())
        load = sum(n * n for n in self.board.load.values())
        return Score(len(self.board.kept), urgency, wishes, days, load)

    def _wishes(self, stretch: Stretch, placed: Placed) -> int:
        starts = self.board.starts(stretch.terms.service_id)
        day = starts.day[placed]
        before = stretch.before.day if stretch.before else None
        gaps = np.diff(day, prepend=day[0] if before is None else before)
        granted = 0
        for rule in stretch.terms.soft:
            holds = starts.fitting(rule, np.array(placed))
            if rule.has_gap:
                fits = within(rule, gaps)
                fits[0] |= before is None
                holds &= fits
            granted += int(holds.sum())
        return granted

    def snapshot(self) -> dict[Stretch, Placed]:
        return {stretch: self.placed(stretch) for stretch in self.stretches}

    def restore(self, saved: dict[Stretch, Placed]) -> None:
        for stretch in saved:
            self.clear(stretch)
        for stretch, placed in saved.items():
            self.put(stretch, placed)

    # -- One stretch

    def clear(self, stretch: Stretch) -> None:
        for session in stretch.sessions:
            self.board.drop(session)

    def put(self, stretch: Stretch, placed: Placed) -> int:
        """In order; the first that does not fit any more ends it. How many were put."""
        self.clear(stretch)
        begin = self.board.starts(stretch.terms.service_id).begin
        for n, (session, at) in enumerate(zip(stretch.sessions, placed, strict=False)):
            in_order = n == 0 or begin[placed[n - 1]] < begin[at]
            if not in_order or not self.board.keep(session, stretch, at):
                return n
        return len(placed)

    def place(self, stretch: Stretch, most: int | None = None) -> int:
        """The best that is free now. How many sessions have a time."""
        self.clear(stretch)
        options = self.options(stretch)
        starts = self.board.starts(stretch.terms.service_id)
        options = options.only(self.board.is_free(starts, options.at))
        return self.put(stretch, self.chain(stretch, options, most))

    def options(self, stretch: Stretch) -> Options:
        """All that fits the rules, taken or not, with today's loads."""
        board, choice = self.board, self.board.choice(stretch.terms)
        who = board.starts(stretch.terms.service_id).practitioner[choice.at]
        loads = np.array([board.load.get(n, 0) for n in range(int(who.max(initial=0)) + 1)], np.int64)
        return Options(choice.at, choice.worth - LOAD * (2 * loads[who] + 1), choice.wishes)

    def chain(
        self, stretch: Stretch, options: Options, most: int | None = None, *, alone: bool = False
    ) -> Placed:
        starts = self.board.starts(stretch.terms.service_id)
        return self._chain(
            stretch, options.only(self.board.suits(stretch, starts, options.at, alone=alone)), most
        )

    def _chain(self, stretch: Stretch, options: Options, most: int | None) -> Placed:
        starts = self.board.starts(stretch.terms.service_id)
        return Chain(stretch, starts, *options).best(most) if len(options.at) else []

    def most_alone(self, stretch: Stretch) -> int:
        """How many sessions could have a time, were nothing else planned."""
        return len(self.chain(stretch, self.options(stretch), alone=True))

    # -- Moving others

    def reach(self, stretch: Stretch, wanted: int, depth: int = DEPTH) -> bool:
        """Give the stretch `wanted` sessions, moving others that keep as many as they have. All or nothing."""
        self._changed.clear()
        return self._reach(stretch, wanted, depth, {stretch})

    def _reach(self, stretch: Stretch, wanted: int, depth: int, settled: set[Stretch]) -> bool:
        savepoint = len(self._changed)
        self._remove(stretch)
        placed = self._chain_with_evictions(stretch, wanted, settled)
        if len(placed) == wanted and (others := self.in_the_way(stretch, placed, settled)) is not None:
            owed = [(other, len(self._remove(other))) for other in others]
            if self.put(stretch, placed) == wanted and all(
                self._settle(other, count, depth, settled | {stretch}) for other, count in owed
            ):
                return True
        self._undo(savepoint)
        return False

    def _settle(self, stretch: Stretch, wanted: int, depth: int, settled: set[Stretch]) -> bool:
        if self.place(stretch, wanted) == wanted:
            return True
        return depth > 1 and self._reach(stretch, wanted, depth - 1, settled)

    def _remove(self, stretch: Stretch) -> Placed:
        placed = self.placed(stretch)
        self._changed.append((stretch, placed))
        self.clear(stretch)
        return placed

    def _undo(self, savepoint: int) -> None:
        saved: dict[Stretch, Placed] = {}
        for stretch, placed in self._changed[savepoint:]:
            saved.setdefault(stretch, placed)
        del self._changed[savepoint:]
        self.restore(saved)

    def _chain_with_evictions(self, stretch: Stretch, wanted: int, settled: set[Stretch]) -> Placed:
        options, starts = self._with_evictions(stretch, settled), self.board.starts(stretch.terms.service_id)
        free = self.board.patient_is_free(stretch, starts, options.at)
        return self._chain(stretch, options.only(free), wanted)

    def _with_evictions(self, stretch: Stretch, settled: set[Stretch]) -> Options:
        """All options, those that others have at a price: higher where the other has little choice, and by chance."""
        options, starts = self.options(stretch), self.board.starts(stretch.terms.service_id)
        options = options.only(self.board.has_equipment(starts, options.at, alone=True))
        first, count = starts.first[options.at], starts.length[options.at]
        reach = np.minimum(first[:, None] + np.arange(int(count.max(initial=1))), len(self.board.taken) - 1)
        sessions = np.where(np.arange(reach.shape[1]) < count[:, None], self.board.taken[reach], FREE)
        known, which = np.unique(sessions, return_inverse=True)
        prices = np.array([self._price(int(session), settled) for session in known], np.int64)
        price = prices[which.reshape(sessions.shape)].sum(1)
        if starts.kinds:
            price += EVICTION * ~self.board.has_equipment(starts, options.at)
        options = options._replace(worth=options.worth - price)
        return options.only(price < BARRED)

    def _price(self, session: int, settled: set[Stretch]) -> int:
        if session == FREE:
            return 0
        stretch = self.of_session[session]
        if stretch in settled:
            return BARRED
        choices = len(self.board.choice(stretch.terms).at)
        return (
            EVICTION
            + EVICTION * len(stretch.sessions) * 10 // (1 + choices)
            + self._random.randrange(EVICTION)
        )

    def in_the_way(
        self, stretch: Stretch, placed: Placed, settled: Collection[Stretch] = ()
    ) -> list[Stretch] | None:
        """Who has the slots and units that the starts need; None where one of them must stay."""
        starts, board = self.board.starts(stretch.terms.service_id), self.board
        sessions: set[int] = set()
        for at in placed:
            sessions |= set(board.taken[starts.first[at] : starts.first[at] + starts.length[at]].tolist())
        sessions.discard(FREE)
        for at in placed:
            begin, clinic = int(starts.begin[at]), int(starts.clinic[at])
            for kind in starts.kinds:
                of_unit = board.units[clinic, kind].holders(begin, begin + starts.occupied)
                left = [set(who) - sessions for who in of_unit]
                movable = [who for who in left if self._may(who, settled)]
                if not movable:
                    return None
                sessions |= min(movable, key=len)
        return list(dict.fromkeys(self.of_session[session] for session in sorted(sessions)))

    def _may(self, sessions: set[int], settled: Collection[Stretch]) -> bool:
        return FREE not in sessions and not any(self.of_session[session] in settled for session in sessions)


def construct(plan: Plan, clock: Clock) -> int:
    """Two orders, the better one stays: first come first served, which is the greedy's count; least choice first."""
    for stretch in plan.stretches:
        plan.place(stretch)
    greedy = len(plan.board.kept)
    if greedy < sum(len(stretch.sessions) for stretch in plan.stretches) and clock.left:
        saved = plan.snapshot()
        for stretch in plan.stretches:
            plan.clear(stretch)
        for stretch in sorted(plan.stretches, key=lambda s: _choice(plan, s)):
            plan.place(stretch)
        if len(plan.board.kept) <= greedy:
            plan.restore(saved)
    return greedy


def _choice(plan: Plan, stretch: Stretch) -> float:
    return len(plan.board.choice(stretch.terms).at) / len(stretch.sessions)


def repair(plan: Plan, clock: Clock, progress: Progress) -> None:
    """One more session for each stretch that lacks some, as long as others can make way."""
    lacking = [stretch for stretch in plan.stretches if plan.missing(stretch)]
    for n, stretch in enumerate(lacking):
        progress(n, len(lacking), "moving others")
        goal = plan.most_alone(stretch)
        while clock.left and (have := len(plan.placed(stretch))) < goal:
            if not any(clock.left and plan.reach(stretch, have + 1) for _ in range(TRIES)):
                break


def improve(plan: Plan, clock: Clock, progress: Progress) -> None:
    """Each request anew where the others leave room, until nothing gets better."""
    for turn in range(1, ROUNDS + 1):
        before = plan.score().rank
        order = random.Random(turn).sample(plan.stretches, len(plan.stretches))  # noqa: S311
        for n, stretch in enumerate(order):
            if not clock.left:
                return
            if n % 200 == 0:
                progress(n, len(order), f"better times, round {turn}")
            placed = plan.placed(stretch)
            if plan.place(stretch) < len(placed):
                plan.put(stretch, placed)
        if plan.score().rank <= before:
            return
