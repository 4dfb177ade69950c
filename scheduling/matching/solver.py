"""The exact answer for some stretches (CP-SAT): which starts, and a bound that no plan can exceed.

A boolean for each session and start. Steps say "has a date by now" and carry order and gaps in constraints of two or
three literals; what may be used once is at most one. Intervals would say less: every start is known beforehand.
"""

import threading
from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from scheduling.matching.board import LOAD, SOFT, Ints
from scheduling.matching.chain import gaps_of, within
from scheduling.matching.demand import Rule, Stretch
from scheduling.matching.greedy import Clock, Options, Placed, Plan

WORKERS = 2
NEAR = 1e-4  # of the best worth: to prove that no other plan spreads the work better takes for ever


class Answer(NamedTuple):
    placed: dict[Stretch, Placed]
    bound: int  # on the number of sessions
    is_best: bool


class Steps(NamedTuple):
    """Of one session: by each of `keys` (days, or minutes where several may be on a day) whether it has its time."""

    keys: Ints
    days: Ints
    by: list[Any]

    def until(self, key: int) -> Any:
        n = int(np.searchsorted(self.keys, key, "right"))
        return self.by[n - 1] if n else 0

    def until_day(self, day: int) -> Any:
        n = int(np.searchsorted(self.days, day, "right"))
        return self.by[n - 1] if n else 0


class Model:
    def __init__(self, plan: Plan, stretches: Collection[Stretch]) -> None:
        from ortools.sat.python import (
            cp_model,  # takes a quarter of a second, which web processes need not spend
        )

        self.cp, self.model = cp_model, cp_model.CpModel()
        self.plan, self.board, self.stretches = plan, plan.board, list(stretches)
        self.chosen: dict[Stretch, list[tuple[Ints, list[Any]]]] = {}
        self.present: list[tuple[Stretch, Any]] = []
        self.worth: list[tuple[int, Any]] = []
        self.of_slot: dict[int, list[Any]] = defaultdict(list)
        self.of_practitioner: dict[int, list[Any]] = defaultdict(list)
        self.visits: dict[int, dict[Stretch, list[tuple[int, int, Any]]]] = defaultdict(dict)
        self.uses: dict[tuple[int, str], list[tuple[int, int, Any]]] = defaultdict(list)
        for stretch in self.stretches:
            self._add(stretch)
        for literals in self.of_slot.values():
            if len(literals) > 1:
                self.model.add_at_most_one(literals)
        self._add_patients()
        self._add_equipment()

    # -- One stretch

    def _add(self, stretch: Stretch) -> None:
        starts = self.board.starts(stretch.terms.service_id)
        choice = self.board.choice(stretch.terms)
        options = Options(*choice)
        options = options.only(self.board.suits(stretch, starts, options.at, alone=True))
        options = options.only(self._between(stretch, options.at))
        before: Steps | None = None
        self.chosen[stretch] = []
        for n in range(len(stretch.sessions)):
            mine = options.only(self._at_the_ends(stretch, n, options.at))
            literals = [self.model.new_bool_var("") for _ in mine.at]
            self.chosen[stretch].append((mine.at, literals))
            steps = self._steps(stretch, mine.at, literals)
            if before:
                self._follow(stretch, before, steps)
            self._count(stretch, mine, literals)
            self._add_wishes(stretch, mine, literals, before, steps)
            self.present.append((stretch, steps.by[-1] if steps.by else 0))
            before = steps

    def _between(self, stretch: Stretch, at: Ints) -> Any:
        starts, gaps = self.board.starts(stretch.terms.service_id), gaps_of(stretch)
        fits = np.ones(len(at), np.bool_)
        if before := stretch.before:
            fits &= (starts.day[at] >= before.day + gaps.least) & (starts.begin[at] >= before.ends)
        if after := stretch.after:
            fits &= starts.day[at] <= after.day - gaps.least
            fits &= starts.begin[at] + starts.duration <= after.starts
        return fits

    def _at_the_ends(self, stretch: Stretch, n: int, at: Ints) -> Any:
        day, gaps = self.board.starts(stretch.terms.service_id).day[at], gaps_of(stretch)
        fits = np.ones(len(at), np.bool_)
        if stretch.before and n == 0:
            fits &= day <= stretch.before.day + gaps.most
        if stretch.after and n == len(stretch.sessions) - 1:
            fits &= day >= stretch.after.day - gaps.most
        return fits

    def _steps(self, stretch: Stretch, at: Ints, literals: list[Any]) -> Steps:
        starts = self.board.starts(stretch.terms.service_id)
        key = starts.begin[at] if gaps_of(stretch).least == 0 else starts.day[at]
        keys, first, step = np.unique(key, return_index=True, return_inverse=True)
        of_step: list[list[Any]] = [[] for _ in keys]
        for literal, n in zip(literals, step, strict=True):
            of_step[n].append(literal)
        by: list[Any] = []
        for group in of_step:
            reached = self.model.new_bool_var("")
            self.model.add(reached == (by[-1] if by else 0) + sum(group))
            by.append(reached)
        return Steps(keys, starts.day[at][first], by)

    def _follow(self, stretch: Stretch, before: Steps, steps: Steps) -> None:
        """In order and at least the gap apart: by a day only if the one before had its date early enough."""
        gaps, occupied = gaps_of(stretch), self.board.starts(stretch.terms.service_id).occupied
        for key, reached in zip(steps.keys, steps.by, strict=True):
            self.model.add(reached <= before.until(int(key) - (gaps.least or occupied)))
        if stretch.terms.max_gap is None or not steps.by:
            return
        for day in np.unique(before.days):
            late = steps.until_day(int(day) + gaps.most)
            self.model.add(before.until_day(int(day)) + steps.by[-1] - late <= 1)

    def _count(self, stretch: Stretch, options: Options, literals: list[Any]) -> None:
        starts = self.board.starts(stretch.terms.service_id)
        visits = self.visits[stretch.patient_id].setdefault(stretch, [])
        for at, worth, literal in zip(options.at, options.worth, literals, strict=True):
            begin, clinic = int(starts.begin[at]), int(starts.clinic[at])
            for slot in range(int(starts.first[at]), int(starts.first[at] + starts.length[at])):
                self.of_slot[slot].append(literal)
            for kind in starts.kinds:
                self.uses[clinic, kind].append((begin, begin + starts.occupied, literal))
            visits.append((begin, begin + starts.duration, literal))
            self.of_practitioner[int(starts.practitioner[at])].append(literal)
            self.worth.append((int(worth), literal))

    def _add_wishes(
        self,
        stretch: Stretch,
        options: Options,
        literals: list[Any],
        before: Steps | None,
        steps: Steps,
    ) -> None:
        """A wish about the gap counts with the second of the two sessions, and with a first session always."""
        soft = gaps_of(stretch).soft
        for rule, granted in zip(soft, options.wishes, strict=True):
            if before is None and stretch.before:
                day = self.board.starts(stretch.terms.service_id).day[options.at]
                granted = granted & within(rule, day - stretch.before.day)
            met = self.model.new_bool_var("")
            self.model.add(met <= sum(literals[n] for n in np.flatnonzero(granted)))
            if before is not None:
                self._wish_gap(rule, met, before, steps)
            self.worth.append((SOFT, met))

    def _wish_gap(self, rule: Rule, met: Any, before: Steps, steps: Steps) -> None:
        for day in np.unique(steps.days):
            early = before.until_day(int(day) - (rule.min_gap or 0))
            self.model.add(met + steps.until_day(int(day)) - early <= 1)
        if rule.max_gap is not None:
            for day in np.unique(before.days):
                late = steps.until_day(int(day) + rule.max_gap)
                self.model.add(met + before.until_day(int(day)) - late <= 1)

    # -- What they share

    def _add_patients(self) -> None:
        for of_stretch in self.visits.values():
            if len(of_stretch) < 2:
                continue
            visits = [visit for found in of_stretch.values() for visit in found]
            for instant in sorted({begin for begin, _end, _literal in visits}):
                together = [literal for begin, end, literal in visits if begin <= instant < end]
                self.model.add_at_most_one(together)

    def _add_equipment(self) -> None:
        for key, uses in self.uses.items():
            busy = self.board.fixed_units[key].busy
            instants = {begin for begin, _end, _l in uses} | {b for spans in busy for b, _end, _who in spans}
            for instant in sorted(instants):
                left = sum(not any(b <= instant < e for b, e, _who in spans) for spans in busy)
                together = [literal for begin, end, literal in uses if begin <= instant < end]
                if len(together) > left:
                    self.model.add(sum(together) <= left)

    def _loads(self) -> list[Any]:
        """The square of each practitioner's number of sessions, from below: exact at whole numbers."""
        squares = []
        for literals in self.of_practitioner.values():
            most = min(len(literals), len(self.present))
            square, count = self.model.new_int_var(0, most * most, ""), sum(literals)
            for n in range(most):
                self.model.add(square >= (2 * n + 1) * count - n * (n + 1))
            squares.append(square)
        return squares

    # -- Solving

    def solve(self, clock: Clock, seconds: float, *, with_worth: bool = False) -> Answer:
        self._hint({stretch: self.plan.placed(stretch) for stretch in self.stretches})
        unit = 3 * len(self.present) + 1
        count = sum((unit + stretch.urgency) * present for stretch, present in self.present)
        self.model.maximize(count)
        status, solver = self._run(clock, seconds)
        if status not in (self.cp.OPTIMAL, self.cp.FEASIBLE):
            return Answer({}, len(self.present), False)
        answer = self._answer(solver)
        bound = min(len(self.present), int(solver.best_objective_bound + 1e-6) // unit)
        is_best = status == self.cp.OPTIMAL
        if with_worth and clock.left:
            self.model.add(count >= round(solver.objective_value))
            worth = sum(worth * literal for worth, literal in self.worth)
            self.model.maximize(worth - LOAD * sum(self._loads()))
            self._hint(answer)
            status, solver = self._run(clock, seconds, near=NEAR)
            if status in (self.cp.OPTIMAL, self.cp.FEASIBLE):
                answer = self._answer(solver)
            is_best &= status == self.cp.OPTIMAL
        return Answer(answer, bound, is_best)

    def _run(self, clock: Clock, seconds: float, near: float = 0.0) -> tuple[Any, Any]:
        """In a thread, so that a signal or a stop is not kept waiting by the solver."""
        solver = self.cp.CpSolver()
        solver.parameters.num_workers = WORKERS
        solver.parameters.random_seed = 1
        solver.parameters.relative_gap_limit = near
        solver.parameters.max_time_in_seconds = max(0.01, min(seconds, clock.left))
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(solver.solve(self.model)), daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(0.05)
            if clock.stop.is_set():
                solver.stop_search()
        return found[0], solver

    def _hint(self, placed: dict[Stretch, Placed]) -> None:
        self.model.clear_hints()  # type: ignore[no-untyped-call]
        for stretch, sessions in self.chosen.items():
            mine = placed.get(stretch, [])
            for n, (at, literals) in enumerate(sessions):
                chosen = mine[n] if n < len(mine) else -1
                for start, literal in zip(at, literals, strict=True):
                    self.model.add_hint(literal, int(start) == chosen)

    def _answer(self, solver: Any) -> dict[Stretch, Placed]:
        found: dict[Stretch, Placed] = {}
        for stretch, sessions in self.chosen.items():
            found[stretch] = [
                int(start)
                for at, literals in sessions
                for start, literal in zip(at, literals, strict=True)
                if solver.boolean_value(literal)
            ]
        return found
