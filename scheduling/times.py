"""How times are shown: the day strip, one card for each practitioner, and free times as buttons."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from clinic_booking.templatetags.page import epoch_ms
from scheduling import search
from scheduling.models import Booking, Clinic, Hold, Service

STRIP_DAYS = 7
NOTES = {"available": "", "held": _("On hold"), "booked": _("Taken")}
PERIODS = [(12, _("Morning")), (17, _("Afternoon")), (24, _("Evening"))]


@dataclass(frozen=True)
class Choice:
    """Where the button of a time posts to, and with what: a new hold, or the move of a visit."""

    action: str
    fields: dict[str, int]

    @classmethod
    def of_hold(cls, service_id: int, session_id: int | None = None) -> "Choice":
        """With a session, the time is for that one of a course."""
        session = {"session": session_id} if session_id else {}
        return cls(reverse("holds"), {"service": service_id} | session)

    @classmethod
    def of_move(cls, booking: Booking) -> "Choice":
        return cls(reverse("move", args=[booking.reference]), {"version": booking.version})


@dataclass(frozen=True)
class Day:
    date: dt.date
    free: int
    is_chosen: bool


@dataclass(frozen=True)
class DayStrip:
    days: list[Day]
    earlier: dt.date | None
    later: dt.date | None


def day_strip(
    service: Service, clinics: Sequence[Clinic], chosen: dt.date, today: dt.date, last: dt.date
) -> DayStrip:
    """The week that holds the chosen day; weeks are counted from today."""
    first = today + dt.timedelta((chosen - today).days // STRIP_DAYS * STRIP_DAYS)
    counts = search.day_counts(service=service, clinics=clinics, first=first, days=STRIP_DAYS)
    return DayStrip(
        days=[Day(date, free, date == chosen) for date, free in counts.items() if date <= last],
        earlier=first - dt.timedelta(STRIP_DAYS) if first > today else None,
        later=first + dt.timedelta(STRIP_DAYS) if first + dt.timedelta(STRIP_DAYS) <= last else None,
    )


# A page has hundreds of these, and as a template they were three quarters of what it cost. What goes in is numbers,
# our own codes, and notes that are escaped once for all.
BUTTON = (
    '<li><button class="slot" id="slot-{0}" name="slot" value="{0}" data-slot="{0}" data-status="{1}"'
    ' data-covers="{2}" data-version="{3}"{4}><span class="slot-time">{5}</span>'
    '<span class="slot-note">{6}</span></button></li>'
)
MINE = (
    '<li><a class="slot slot-mine" href="{}"><span class="slot-time">{}</span>'
    '<span class="slot-note">{}</span></a></li>'
)


@dataclass(frozen=True)
class Card:
    practitioner_id: int
    name: str
    specialty: str
    station: str
    clinic: Clinic
    free: int
    periods: list[tuple[str | Promise, SafeString]]  # with its times, as items of a list


def cards(
    people: Iterable[search.PractitionerDay], clinics: dict[int, Clinic], mine: Hold | None
) -> list[Card]:
    """Those with free times first."""
    own = {slot.pk for slot in mine.slots.all()} if mine else set()
    link = reverse("checkout", args=[mine.pk]) if mine else ""
    notes = {status: str(escape(note)) for status, note in NOTES.items()}
    found = [_card(person, clinics[person.clinic_id], own, link, notes) for person in people]
    return sorted(found, key=lambda card: card.free == 0)


def _card(
    person: search.PractitionerDay, clinic: Clinic, own: set[int], link: str, notes: dict[str, str]
) -> Card:
    def item(time: search.Time, at: dt.datetime) -> str:
        if own.isdisjoint(time.covers):
            return _button(time, f"{at:%H:%M}", notes[time.status])
        return format_html(MINE, link, f"{at:%H:%M}", _("Yours"))

    zone = clinic.zone
    times = [(time, time.starts_at.astimezone(zone)) for time in person.times]
    by_period = groupby(times, lambda pair: _period(pair[1].hour))
    return Card(
        practitioner_id=person.practitioner_id,
        name=person.name,
        specialty=person.specialty,
        station=person.station,
        clinic=clinic,
        free=sum(time.status == "available" for time in person.times),
        periods=[(name, SafeString("".join(item(*pair) for pair in pairs))) for name, pairs in by_period],
    )


def _period(hour: int) -> str | Promise:
    return next(name for until, name in PERIODS if hour < until)


def _button(time: search.Time, label: str, note: str) -> str:
    more = " disabled" if note else ""
    if time.status == "held" and time.held_until:
        more = f' data-held-until="{epoch_ms(time.held_until)}"{more}'
    covers = " ".join(map(str, time.covers))
    return BUTTON.format(time.slot_id, time.status, covers, time.version, more, label, note)


@dataclass(frozen=True)
class Offer:
    """A free time on a button of its own, outside of a card."""

    slot_id: int
    starts_at: dt.datetime
    practitioner: str
    clinic: Clinic


def offers(free: Iterable[search.FreeTime]) -> list[Offer]:
    free = list(free)
    clinics = Clinic.objects.in_bulk({time.clinic_id for time in free}) if free else {}
    return [
        Offer(time.slot_id, time.starts_at, time.practitioner_name, clinics[time.clinic_id]) for time in free
    ]


def offers_near(hold: Hold) -> list[Offer]:
    free = search.nearest_free(
        service_id=hold.service_id, clinic_ids=[hold.clinic_id], around=hold.starts_at, limit=6
    )
    return offers(free)
