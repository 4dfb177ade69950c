"""What the desk can do with a visit as it stands: one button for each act, and the verb behind it."""

import datetime as dt
from collections.abc import Callable
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from scheduling import arrivals
from scheduling.arrivals import step_of
from scheduling.models import Booking

VERBS: dict[str, Callable[..., Booking]] = {
    "arrive": arrivals.check_in,
    "call": arrivals.call,
    "start": arrivals.start,
    "complete": arrivals.complete,
    "no-show": arrivals.no_show,
    "undo": arrivals.undo_status,
}


class Act(NamedTuple):
    """`key` is pressed in the open details of the visit."""

    name: str
    text: str | Promise
    icon: str
    key: str
    is_next: bool = False


ARRIVE = Act("arrive", _("Arrived"), "person-check-fill", "a")
CALL = Act("call", _("Call"), "megaphone-fill", "c")
RECALL = Act("call", _("Call again"), "megaphone-fill", "c")
START = Act("start", _("Start"), "play-fill", "s")
COMPLETE = Act("complete", _("Done"), "check2-all", "d")
NO_SHOW = Act("no-show", _("Did not come"), "person-x-fill", "x")

UNDO: dict[str, str | Promise] = {
    "arrived": _("Undo: arrived"),
    "called": _("Undo: called"),
    "started": _("Undo: started"),
    "fulfilled": _("Undo: done"),
    "noshow": _("Undo: did not come"),
}
STEPS: dict[str, str | Promise] = {
    "booked": _("Booked"),
    "arrived": _("Waiting"),
    "called": _("Called"),
    "started": _("With the doctor"),
    "fulfilled": _("Done"),
    "cancelled": _("Cancelled"),
    "noshow": _("Did not come"),
}


def acts_on(booking: Booking, now: dt.datetime) -> list[Act]:
    """The one that comes next is first."""
    day, today = booking.clinic.local_date(booking.starts_at), booking.clinic.local_date(now)
    step = step_of(booking)
    acts: list[Act] = []
    if step == "booked" and day == today:
        acts = [ARRIVE, CALL, START]
    elif step == "arrived":
        acts = [CALL, START]
    elif step == "called":
        acts = [START, RECALL]
    if step == "started" or (step in ("booked", "arrived", "called") and day <= today):
        acts.append(COMPLETE)
    if step == "booked" and now >= booking.starts_at:
        acts.append(NO_SHOW)
    if step in UNDO:
        acts.append(Act("undo", UNDO[step], "arrow-counterclockwise", "z"))
    return [act._replace(is_next=n == 0 and act.name != "undo") for n, act in enumerate(acts)]


def on_walk_in(step: str) -> list[Act]:
    leave = Act("leave", _("Has left"), "box-arrow-right", "x")
    acts = [START, RECALL, leave] if step == "called" else [CALL, START, leave]
    return [act._replace(is_next=n == 0) for n, act in enumerate(acts)]
