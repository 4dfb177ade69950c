"""Who is named in what a patient is given: the patient by name, the staff by what they do, nobody else at all."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import F, TextField, Value
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clinic_booking import rows
from clinic_booking.models import User
from patients.models import Patient

ROLES: dict[str, Promise] = {
    "receptionist": gettext_lazy("Front desk"),
    "nurse": gettext_lazy("Nurse"),
    "doctor": gettext_lazy("Doctor"),
    "manager": gettext_lazy("Clinic manager"),
    "finance": gettext_lazy("Finance"),
    "privacy_officer": gettext_lazy("Data Protection Officer"),
    "system_admin": gettext_lazy("System administrator"),
}
SHORTEST_NAME = 4  # letters: "Lim" is in many words
# Functions that give the names of staff; apps to the right add theirs.
staff_names: list[Callable[[], Iterable[str]]] = []


def roles(user_ids: Iterable[int | None], patient: Patient) -> dict[int | None, str]:
    """What each did it as, by their id."""
    wanted = {pk for pk in user_ids if pk is not None}
    found: dict[int | None, str] = {None: _("Automatic, or without a login")}
    rows = User.objects.filter(pk__in=wanted).values_list("pk", "office", "memberships__role")
    for pk, office, role in rows.order_by("pk", "memberships__pk"):
        found.setdefault(pk, str(ROLES.get(office) or ROLES.get(role) or _("Staff")))
    if patient.user_id:
        found[patient.user_id] = _("You")
    return found | {pk: _("Staff") for pk in wanted - found.keys()}


def redacted(text: str, names: Iterable[str]) -> str:
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(re.escape(name), _("[name removed]"), text, flags=re.IGNORECASE)
    return text


def names_in(texts: Iterable[str], patient: Patient) -> set[str]:
    """Of staff and of other patients, as they stand in what somebody wrote."""
    whole = "\n".join(texts)
    if not whole.strip():
        return set()
    others = Patient.objects.exclude(name__iexact=patient.name).alias(whole=Value(whole, TextField()))
    with rows.all_rows():  # to take their names out
        found = set(others.filter(whole__icontains=F("name")).values_list("name", flat=True)[:500])
    return {
        name
        for name in found | set(_staff())
        if len(name) >= SHORTEST_NAME and name.lower() in whole.lower() and name != patient.name
    }


def _staff() -> Iterable[str]:
    staff: Any = User.objects.exclude(memberships=None, office="")
    for first, last, username in staff.values_list("first_name", "last_name", "username").distinct():
        yield from filter(None, (f"{first} {last}".strip(), username))
    for names in staff_names:
        yield from names()
