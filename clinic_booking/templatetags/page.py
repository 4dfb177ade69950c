"""Template tags for every page (built in, no {% load %})."""

import datetime as dt
import re
from functools import cache
from typing import Protocol

import phonenumbers
from django import template
from django.conf import settings
from django.db import connection
from django.forms import BoundField
from django.utils import formats
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.safestring import SafeString, mark_safe

from clinic_booking import roles

register = template.Library()
TITLES = {"dr", "mr", "mrs", "ms", "mdm", "prof"}


class HasZone(Protocol):
    """A clinic; the kernel does not know that model."""

    @property
    def zone(self) -> dt.tzinfo: ...


@register.simple_tag
@cache
def icon(name: str) -> SafeString:
    """One of Bootstrap's icons, inline, silent for screen readers."""
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise ValueError(f"No such icon: {name}")
    svg = (settings.NODE_MODULES / f"bootstrap-icons/icons/{name}.svg").read_text()
    svg = re.sub(
        r'width="16" height="16"', 'width="1em" height="1em" aria-hidden="true"', " ".join(svg.split())
    )
    return mark_safe(svg)  # noqa: S308  (a file of the icon package)


@register.simple_tag(takes_context=True)
def may(context: template.Context, what: str, clinic: object = None) -> bool:
    """`{% may "see_money" clinic as sees_money %}`: `clinic_booking.roles` for who is logged in."""
    request = context.get("request")
    return request is not None and roles.may(request.user, roles.Can(what), clinic)


@register.filter
def money(cents: int) -> str:
    """4000 -> "S$ 40.00", which does not wrap."""
    return f"S$\u00a0{cents // 100:,}.{cents % 100:02d}"


@register.filter
def plain_money(cents: int) -> str:
    """4000 -> "40.00", for fields."""
    return f"{cents // 100}.{cents % 100:02d}"


@register.filter
def signed_money(cents: int) -> str:
    """-4000 -> "−S$ 40.00"."""
    return money(cents) if cents >= 0 else f"\u2212{money(-cents)}"


@register.filter
def percent(part: float | None) -> str:
    """0.413 -> "41 %", which does not wrap; a dash where nothing is known."""
    return "–" if part is None else f"{part * 100:.0f}\u00a0%"


@register.filter
def phone(number: str) -> str:
    """+6561234567 -> +65 6123 4567"""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


@register.filter
def local_date(instant: dt.datetime, clinic: HasZone) -> str:
    """Monday 5 October 2026, by the clinic's clock."""
    return formats.date_format(_local(instant, clinic), "DATE_FORMAT")


@register.filter
def local_day(instant: dt.datetime, clinic: HasZone) -> dt.date:
    """The date there, to be formatted or put into an address."""
    return _local(instant, clinic).date()


@register.filter
def local_short_date(instant: dt.datetime, clinic: HasZone) -> str:
    return formats.date_format(_local(instant, clinic), "D j M")


@register.filter
def local_time(instant: dt.datetime, clinic: HasZone) -> str:
    """09:20, by the clinic's clock."""
    return formats.date_format(_local(instant, clinic), "TIME_FORMAT")


@register.filter
def local_iso(instant: dt.datetime, clinic: HasZone) -> str:
    """For the datetime attribute of <time>."""
    return _local(instant, clinic).isoformat(timespec="minutes")


@register.filter
def epoch_ms(instant: dt.datetime) -> int:
    return round(instant.timestamp() * 1000)


@register.simple_tag
def clock_ms() -> int:
    """Now by the database's clock, which decides about holds: browsers correct their own clock with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        now: int = cursor.fetchone()[0]
    return now


@register.filter
def control(field: BoundField) -> SafeString:
    """The field's widget as the framework draws it. Django adds what it is described by."""
    kind = getattr(field.field.widget, "input_type", "")
    name = {"checkbox": "form-check-input", "select": "form-select"}.get(kind, "form-control")
    return field.as_widget(attrs={"class": f"{name} is-invalid" if field.errors else name})


@register.filter
def initials(name: str) -> str:
    words = [word for word in name.replace(".", " ").split() if word.lower() not in TITLES]
    return "".join(word[0] for word in words[:2]).upper()


@register.filter
def place(clinic_name: str) -> str:
    """Harbour Clinic Katong -> Katong: beside the brand the group's name says nothing."""
    return re.sub(r"^Harbour Clinics? ", "", clinic_name)


@register.filter
def minutes(number: int) -> str:
    """20 -> "20 min", 80 -> "1 h 20 min"."""
    hours, rest = divmod(number, 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest else "") if part)


@register.filter
def weekdays(numbers: list[int]) -> str:
    """[1, 3] -> "Mon, Wed"."""
    return ", ".join(str(WEEKDAYS_ABBR[number - 1]) for number in sorted(numbers))


def _local(instant: dt.datetime, clinic: HasZone) -> dt.datetime:
    return instant.astimezone(clinic.zone)
