"""The whole backlog: a greedy plan, moves, and the solver where a better plan is not yet ruled out."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from scheduling.matching.board import FREE
from scheduling.matching.demand import Stretch
from scheduling.matching.greedy import Clock, Placed, Plan, Progress, Score, construct, improve, repair
from scheduling.matching.solver import Model

SOLVABLE = 20_000  # pairs of session and start for which the solver is exact within seconds
FLEXIBLE = 3_000  # who has more starts than this is not kept from any of them
SHARE = 0.4  # of the time left, for the solver


class Outcome(NamedTuple):
    sessions: int
    greedy: int
    bound: int
    score: Score


def optimise(plan: Plan, clock: Clock, progress: Progress) -> Outcome:
    sessions = sum(len(stretch.sessions) for stretch in plan.stretches)
    greedy = construct(plan, clock)
    progress(len(plan.board.kept), sessions, "greedy")
    bound = sessions
    if len(plan.board.kept) < sessions:
        repair(plan, clock, progress)
    if _pairs(plan, plan.stretches) <= SOLVABLE:
        bound = _solve_all(plan, clock)
    elif len(plan.board.kept) < sessions:
        bound = sessions - max(_over_capacity(plan), _proven_missing(plan, clock, progress))
    improve(plan, clock, progress)
    return Outcome(sessions, greedy, max(bound, len(plan.board.kept)), plan.score())


def _pairs(plan: Plan, stretches: Iterable[Stretch]) -> int:
    return sum(len(plan.board.choice(s.terms).at) * len(s.sessions) for s in stretches)


def _solve_all(plan: Plan, clock: Clock) -> int:
    """Small enough for the exact answer in one piece."""
    if not clock.left:
        return sum(len(stretch.sessions) for stretch in plan.stretches)
    answer = Model(plan, plan.stretches).solve(clock, clock.left, with_worth=True)
    _impose(plan, answer.placed)
    return answer.bound


def _impose(plan: Plan, wanted: dict[Stretch, Placed]) -> None:
    """Put these; others that had the place look for another. Undone where the plan would be worse."""
    saved, before = plan.snapshot(), plan.score().rank
    for stretch in wanted:
        plan.clear(stretch)
    others = {
        other: len(plan.placed(other))
        for stretch, placed in wanted.items()
        for other in plan.in_the_way(stretch, placed) or ()
    }
    for other in others:
        plan.clear(other)
    for stretch in sorted(wanted, key=lambda s: s.request_id):
        plan.put(stretch, wanted[stretch])
    for other, count in others.items():
        if plan.place(other) < count:
            plan.reach(other, count)
    if plan.score().rank < before:
        plan.restore(saved)


def _over_capacity(plan: Plan) -> int:
    """How many sessions no plan can place because the rooms are too few, kind by kind: even if the visits were as short
    as the shortest of that kind and everybody took any time.
    """
    lacking = {plan.room_of(stretch) for stretch in plan.stretches if plan.missing(stretch)}
    proven = 0
    for kind in lacking:
        pool = [stretch for stretch in plan.stretches if plan.room_of(stretch) == kind]
        wanted = sum(len(stretch.sessions) for stretch in pool)
        proven += max(0, wanted - _most_visits(plan, {stretch.terms.service_id for stretch in pool}))
    return proven


def _most_visits(plan: Plan, services: Collection[int]) -> int:
    """In each run of slots the visits that end first, one after the other: no other choice has more."""
    every = [plan.board.starts(service) for service in services]
    first = np.concatenate([starts.first for starts in every])
    last = first + np.concatenate([starts.length for starts in every])
    visits, free_from = 0, 0
    for n in np.argsort(last, kind="stable"):
        if first[n] >= free_from:
            visits, free_from = visits + 1, int(last[n])
    return visits


def _proven_missing(plan: Plan, clock: Clock, progress: Progress) -> int:
    """How many sessions no plan can place, from groups that compete: a group alone is bounded by the solver, all others
    count as placed. Where the solver finds more than the plan has, the plan takes it over.
    """
    groups, proven = _groups(plan), 0
    for n, group in enumerate(groups):
        progress(n, len(groups), "solving where it is tight")
        total = sum(len(stretch.sessions) for stretch in group)
        if clock.left and _pairs(plan, group) <= SOLVABLE:
            seconds = max(1.0, clock.left * SHARE / (len(groups) - n))
            answer = Model(plan, group).solve(clock, seconds)
            if sum(map(len, answer.placed.values())) > sum(len(plan.placed(s)) for s in group):
                _impose(plan, answer.placed)
            proven += total - answer.bound
        else:
            proven += sum(len(s.sessions) - plan.most_alone(s) for s in group)
    return proven


def _groups(plan: Plan) -> list[list[Stretch]]:
    """Those that lack a time, each with whoever has what they could use, and so on; but not who has much choice. What is
    in one group is in no other.
    """
    groups: list[list[Stretch]] = []
    grouped: set[Stretch] = set()
    lacking = [stretch for stretch in plan.stretches if plan.missing(stretch)]
    for stretch in sorted(lacking, key=lambda s: _pairs(plan, [s])):
        group, queue, pairs = list[Stretch](), [stretch], 0
        while queue:
            one = queue.pop(0)
            if one in grouped:
                continue
            pairs += _pairs(plan, [one])
            if pairs > SOLVABLE and group:
                break
            grouped.add(one)
            group.append(one)
            queue += [rival for rival in _rivals(plan, one) if rival not in grouped]
        if group:
            groups.append(group)
    return groups


def _rivals(plan: Plan, stretch: Stretch) -> Sequence[Stretch]:
    options = plan.board.choice(stretch.terms)
    starts, taken = plan.board.starts(stretch.terms.service_id), plan.board.taken
    sessions = np.unique(
        np.concatenate(
            [taken[starts.first[options.at]], taken[starts.first[options.at] + starts.length[options.at] - 1]]
        )
    )
    found = {plan.of_session[int(session)] for session in sessions if session != FREE}
    sizes = {rival: len(plan.board.choice(rival.terms).at) for rival in found}
    return sorted((r for r in found if sizes[r] <= FLEXIBLE), key=lambda r: (sizes[r], r.request_id))
