"""The kinds of messages about visits, and the facts that they may name. None says why somebody comes."""

import datetime as dt
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clinic_booking.messages.kinds import FACTS, VISIT, Kind, register
from clinic_booking.templatetags.page import local_date, local_time, money, phone
from scheduling.locks import database_now
from scheduling.models import Booking, Clinic
from scheduling.terms import rule_of

FACTS.update(
    hours=gettext_lazy("until how many hours before it can be changed online"),
    rule=gettext_lazy("until when it is free to change, and what is charged then"),
    reason=gettext_lazy("a sentence on what happens to what was paid"),
    summary=gettext_lazy("how many visits there are, as a sentence"),
    count=gettext_lazy("how many visits there are"),
    visits=gettext_lazy("each visit with its time, place and link"),
    old=gettext_lazy("the old time"),
    answer_by=gettext_lazy("until when the time is kept"),
)

register(
    Kind(
        "booked",
        gettext_lazy("A visit is booked"),
        gettext_lazy("Your visit on {date} at {time} is booked"),
        (*VISIT, "link", "hours", "rule"),
    ),
    Kind("planned", gettext_lazy("Several visits are booked"), "{summary}", ("summary", "count", "visits")),
    Kind(
        "moved",
        gettext_lazy("A visit is moved"),
        gettext_lazy("Your visit is moved to {date} at {time}"),
        (*VISIT, "link"),
    ),
    Kind(
        "replanned",
        gettext_lazy("The clinic had to move a visit"),
        gettext_lazy("Your visit has a new time: {date} at {time}"),
        (*VISIT, "link", "old"),
        waits=True,
    ),
    Kind(
        "needs_new_time",
        gettext_lazy("The clinic cannot keep a time"),
        gettext_lazy("Your visit on {date} at {time} needs a new time"),
        (*VISIT, "link"),
        waits=True,
    ),
    Kind(
        "cancelled",
        gettext_lazy("A visit is cancelled"),
        gettext_lazy("Your visit on {date} at {time} is cancelled"),
        (*VISIT, "reason"),
    ),
    Kind(
        "offer",
        gettext_lazy("A time has become free"),
        gettext_lazy("A time has become free for you: {date} at {time}"),
        ("date", "time", "until", "clinic", "address", "phone", "link", "answer_by"),
    ),
    Kind(
        "waiting",
        gettext_lazy("The place on the waitlist"),
        gettext_lazy("You are on the waitlist"),
        ("link",),
    ),
)


def place_facts(clinic: Clinic) -> dict[str, str]:
    return {"clinic": clinic.name, "address": clinic.address, "phone": phone(clinic.phone)}


def time_facts(starts_at: dt.datetime, ends_at: dt.datetime, clinic: Clinic) -> dict[str, str]:
    return {
        "date": local_date(starts_at, clinic),
        "time": local_time(starts_at, clinic),
        "until": local_time(ends_at, clinic),
    }


def visit_facts(booking: Booking, **more: str) -> dict[str, Any]:
    when = time_facts(booking.starts_at, booking.ends_at, booking.clinic)
    return {**when, **place_facts(booking.clinic), "reference": booking.reference, **more}


def as_moment(instant: dt.datetime, clinic: Clinic) -> str:
    return f"{local_date(instant, clinic)}, {local_time(instant, clinic)}"


def list_facts(visits: list[tuple[Booking, str]]) -> dict[str, Any]:
    """Of several: `visits` is text, `visit_list` for the shipped e-mail."""
    now = database_now()
    parts = [visit_facts(booking, link=url, rule=rule_of(booking, now)) for booking, url in visits]
    lines = [f"{part['date']}, {part['time']}, {part['clinic']}: {part['link']}" for part in parts]
    return {"count": str(len(parts)), "visits": "\n".join(lines), "visit_list": parts}


def cancel_reason(booking: Booking) -> str:
    if booking.cancel_reason == "payment_failed":
        return _(
            "Your bank refused the payment after all, so the visit is not booked. You have not been charged. "
            "Please choose a time again."
        )
    if not booking.price_cents:
        return ""
    ways = _(
        "What was paid online goes back the same way and may take some days; what was paid at the clinic is given back "
        "there."
    )
    if not booking.fee_cents:
        return _("If you have paid for it, you get your money back.") + f" {ways}"
    fee = _(
        "A fee of %(fee)s is charged, as was agreed. If you have paid less, please pay the rest online or at the "
        "clinic. If you have paid more, you get the rest back."
    )
    return f"{fee} {ways}" % {"fee": money(booking.fee_cents)}
