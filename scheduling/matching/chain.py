"""The best dates for the planned sessions of one stretch: exact, by going through the sessions in order.

For each session and each start it knows the best that can be had up to here; gaps only look at days, so a table of days
is enough to go from one session to the next.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scheduling.matching.board import SOFT, Bools, Ints, Starts
from scheduling.matching.demand import FOREVER, Rule, Stretch

NEVER = -(10**15)
BARRED = 10**14  # a price that nobody pays
A_DAY_APART = 4 * 10**15
SPREAD = 10**8


class Gaps(NamedTuple):
    least: int
    most: int
    soft: tuple[Rule, ...]

    def fit(self, days: Ints) -> Bools:
        return (days >= self.least) & (days <= self.most)


def gaps_of(stretch: Stretch) -> Gaps:
    terms = stretch.terms
    most = FOREVER if terms.max_gap is None else terms.max_gap
    return Gaps(terms.min_gap, most, tuple(rule for rule in terms.soft if rule.has_gap))


class Chain:
    """`at` are starts that fit, by day and time; `worth` is what each is worth, `wishes` where soft gaps count."""

    def __init__(
        self, stretch: Stretch, starts: Starts, at: Ints, worth: Ints, wishes: tuple[Bools, ...]
    ) -> None:
        self.stretch, self.at, self.worth, self.wishes = stretch, at, worth, wishes
        self.gaps = gaps_of(stretch)
        self.begin, self.day = starts.begin[at], starts.day[at]
        self.occupied, self.duration = starts.occupied, starts.duration
        self.days, self.opens, self.day_at = np.unique(self.day, return_index=True, return_inverse=True)

    def best(self, most: int | None = None) -> list[int]:
        """The starts, one for each session from the first: as many as possible, then worth the most."""
        for layers, last in self._ends(most):
            return self._back(layers, int(last.argmax()))
        return []

    def best_worth(self) -> tuple[int, list[int]]:
        """The most that all of them together are worth, however many there are, and which."""
        worth, found = 0, list[int]()
        for layers, last in self._ends(None):
            if (value := int(last.max())) > worth:
                worth, found = value, self._back(layers, int(last.argmax()))
        return worth, found

    def _ends(self, most: int | None) -> Iterator[tuple[list[Ints], Ints]]:
        """With as many sessions as possible, then with one less, and so on: what the last of them can be worth."""
        layers: list[Ints] = []
        for n in range(len(self.stretch.sessions) if most is None else most):
            layer = self._first() if n == 0 else self._next(layers[-1])
            if layer.max(initial=NEVER) <= -BARRED:
                break
            layers.append(layer)
        while layers:
            last = layers[-1]
            if len(layers) == len(self.stretch.sessions):
                last = np.where(self._close_enough(), last, NEVER)
            if last.max() > -BARRED:
                yield layers, last
            layers = layers[:-1]

    def _first(self) -> Ints:
        before, after = self.stretch.before, self.stretch.after
        fits, layer = np.ones(len(self.at), np.bool_), self.worth.copy()
        if after:
            fits &= (self.begin + self.duration <= after.starts) & (self.day <= after.day - self.gaps.least)
        self.before_next = fits
        if before:
            gap = self.day - before.day
            fits = fits & self.gaps.fit(gap) & (self.begin >= before.ends)
            for rule, granted in zip(self.gaps.soft, self.wishes, strict=False):
                layer += SOFT * (granted & within(rule, gap))
        else:
            for granted in self.wishes:
                layer += SOFT * granted
        return np.where(fits, layer, NEVER)

    def _next(self, last: Ints) -> Ints:
        apart = self.days[None, :] - self.days[:, None]
        peaks = np.maximum.reduceat(last, self.opens)
        same_day = self._earlier_that_day(last) if self.gaps.least == 0 else None
        allowed = self.gaps.fit(apart) & (apart > 0)
        best = np.full(len(self.at), NEVER, np.int64)
        code = np.zeros(len(self.at), np.int64)
        for n, granted in enumerate(self.wishes):
            code += granted.astype(np.int64) << n
        for value in np.unique(code):
            which = code == value
            extra, extra_today = np.zeros_like(apart), 0
            for n, rule in enumerate(self.gaps.soft):
                if value >> n & 1:
                    extra += SOFT * within(rule, apart)
                    extra_today += SOFT * rule.gap_fits(0)
            reach = np.where(allowed, peaks[:, None] + extra, NEVER).max(0)
            best[which] = reach[self.day_at[which]]
            if same_day is not None:
                best[which] = np.maximum(best[which], same_day[which] + extra_today)
        return np.where(self.before_next & (best > -BARRED), self.worth + best, NEVER)

    def _earlier_that_day(self, last: Ints) -> Ints:
        """Of each start: the best among those of its day that are over, with their buffer, when it begins."""
        lift = self.day_at * A_DAY_APART
        peak = np.maximum.accumulate(last + lift) - lift
        key = self.day_at * SPREAD + (self.begin - self.begin[0])
        at = np.searchsorted(key, key - self.occupied, "right") - 1
        found = (at >= 0) & (self.day_at[at] == self.day_at)
        return np.where(found, peak[at], NEVER)

    def _close_enough(self) -> Bools:
        """The last session's gap to the one after it, which counts where nothing is left out between them."""
        after = self.stretch.after
        return after.day - self.day <= self.gaps.most if after else np.ones(len(self.at), np.bool_)

    def _back(self, layers: list[Ints], last: int) -> list[int]:
        found = [last]
        for layer in reversed(layers[:-1]):
            last = found[-1]
            gap = self.day[last] - self.day
            score = np.where(
                self.gaps.fit(gap) & (self.begin + self.occupied <= self.begin[last]), layer, NEVER
            )
            for rule, granted in zip(self.gaps.soft, self.wishes, strict=False):
                if granted[last]:
                    score = score + SOFT * within(rule, gap)
            found.append(int(score.argmax()))
        return [int(self.at[n]) for n in reversed(found)]


def within(rule: Rule, days: Ints) -> Bools:
    found = days >= (rule.min_gap or 0)
    return found & (days <= rule.max_gap) if rule.max_gap is not None else found
