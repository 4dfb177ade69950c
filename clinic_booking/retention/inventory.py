"""What is kept about people, field by field: inventory.toml beside this file tags every field of every model that we
have or use. Ids and links between rows are what they are; each other field has a class of data."""

import csv
import tomllib
from collections.abc import Iterator
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import Field, Model

FILE = Path(__file__).with_name("inventory.toml")
CLASSES = ("identifier", "contact", "health", "financial", "security", "none")
OURS = ("clinic_booking", "patients", "scheduling", "billing")
# Of others: those that may hold something about a person.
OTHERS = (
    "admin.LogEntry",
    "sessions.Session",
    "account.EmailAddress",
    "account.EmailConfirmation",
    "mfa.Authenticator",
    "procrastinate.ProcrastinateJob",
)


class Entry(NamedTuple):
    model: str
    field: str
    label: str
    data: str
    purpose: str
    retention: str


@cache
def tags() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())


def models() -> list[type[Model]]:
    ours = [m for m in apps.get_models(include_auto_created=True) if m._meta.app_label in OURS]
    return [*ours, *(apps.get_model(label) for label in OTHERS)]


def needs_tag(field: "Field[Any, Any]") -> bool:
    return not (field.primary_key or field.is_relation)


def entries() -> Iterator[Entry]:
    for model in models():
        tagged = tags().get(model._meta.label, {})
        by_field = {name: each for each in CLASSES for name in tagged.get(each, [])}
        for field in model._meta.concrete_fields:
            if needs_tag(field) or field.name in by_field:
                data = by_field.get(field.name, "?")
                yield Entry(
                    model._meta.label,
                    field.name,
                    str(field.verbose_name),
                    data,
                    tagged.get("purpose", "?"),
                    tagged.get("retention", "?"),
                )


def problems() -> list[str]:
    """Sentences that say what to write."""
    known = {model._meta.label: model for model in models()}
    said = [
        f"{label} is in inventory.toml, but there is no such model." for label in tags().keys() - known.keys()
    ]
    for label, model in known.items():
        values = [f.name for f in model._meta.concrete_fields if needs_tag(f)]
        tagged = tags().get(label, {})
        if values and not {"purpose", "retention"} <= tagged.keys():
            said.append(
                f'{label} is not tagged: add ["{label}"] with purpose, retention (a class of the schedule, or "none") '
                f"and each field under {', '.join(CLASSES)} to clinic_booking/retention/inventory.toml."
            )
            continue
        by_class = [name for each in CLASSES for name in tagged.get(each, [])]
        fields = {f.name for f in model._meta.concrete_fields}
        said += [
            f'{label}.{name} is not tagged: add "{name}" to one of {", ".join(CLASSES)} under ["{label}"] in '
            "clinic_booking/retention/inventory.toml."
            for name in values
            if name not in by_class
        ]
        said += [f"{label}.{name} is tagged, but there is no such field." for name in set(by_class) - fields]
        said += [f"{label}.{name} is tagged twice." for name in fields if by_class.count(name) > 1]
    return sorted(said)


def as_csv() -> str:
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(Entry._fields)
    writer.writerows(entries())
    return out.getvalue()
