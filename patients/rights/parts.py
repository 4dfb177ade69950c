"""What is held about a patient, part by part. Apps to the right register theirs, so that imports go to the left."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from clinic_booking.templatetags.page import money
from patients.models import Patient
from patients.rights import notices, people

FORMAT = "clinic-booking-export/1"
Row = Mapping[str, object]


class Part(NamedTuple):
    """`columns` name and label what each row has. Those in `free` were written by people: names of others are taken out.
    Those in `actors` are ids of users: what they did it as is shown. `models` are the labels of what it covers."""

    slug: str
    title: Promise
    purpose: Promise
    source: Promise
    columns: Mapping[str, Promise]
    rows: Callable[[Patient], Iterable[Row]]
    models: tuple[str, ...]
    free: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()


class Section(NamedTuple):
    part: Part
    rows: list[dict[str, object]]

    @property
    def read(self) -> list[list[tuple[str, str]]]:
        """Each row as (label, text), without what is empty."""
        return [
            [
                (str(label), _money(row[name]) if name.endswith("_cents") else said(row[name]))
                for name, label in self.part.columns.items()
                if row.get(name) not in (None, "", [])
            ]
            for row in self.rows
        ]


_parts: dict[str, Part] = {}


def register(*parts: Part) -> None:
    _parts.update({part.slug: part for part in parts})


def registered() -> list[Part]:
    return list(_parts.values())


def collect(patient: Patient) -> list[Section]:
    """Everything, with nobody else in it."""
    sections = [Section(part, [dict(row) for row in part.rows(patient)]) for part in _parts.values()]
    texts = [str(row[name]) for part, rows in sections for row in rows for name in part.free if row.get(name)]
    names = people.names_in(texts, patient)
    actors = {row.get(name) for part, rows in sections for row in rows for name in part.actors}
    roles = people.roles([a if isinstance(a, int) else None for a in actors], patient)
    for part, rows in sections:
        for row in rows:
            row.update({n: people.redacted(str(row[n]), names) for n in part.free if row.get(n)})
            row.update({n: roles[_pk(row.get(n))] for n in part.actors})
    return sections


def _pk(value: object) -> int | None:
    return value if isinstance(value, int) else None


def as_json(patient: Patient) -> dict[str, object]:
    """Structured, for other programs. The order of the parts means nothing."""
    return {
        "format": FORMAT,
        "made_at": timezone.now().isoformat(),
        "patient": str(patient.uuid),
        "notice": notices.current().version,
        "parts": {
            section.part.slug: {
                "title": str(section.part.title),
                "purpose": str(section.part.purpose),
                "source": str(section.part.source),
                "rows": section.rows,
            }
            for section in collect(patient)
        },
    }


def _money(cents: object) -> str:
    return money(cents) if isinstance(cents, int) else said(cents)


def said(value: object) -> str:
    """As it is read, by Singapore's clock."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, dt.datetime):
        local = timezone.localtime(value)
        return f"{formats.date_format(local, 'DATE_FORMAT')}, {formats.date_format(local, 'TIME_FORMAT')}"
    if isinstance(value, dt.date):
        return formats.date_format(value, "DATE_FORMAT")
    if isinstance(value, list | tuple):
        return ", ".join(map(said, value))
    return str(value)
