"""The schedule we begin with (compliance.md §3). Whoever answers for the data changes it on the page of the rules."""

from typing import Any

from django.apps import apps
from django.db import connections

OWN = "Own choice"
SCHEDULE: dict[str, dict[str, Any]] = {
    "expired_hold": {
        "trigger": "the hold ran out or was given back",
        "days": 7,
        "action": "delete",
        "basis": OWN,
    },
    "inactive_account": {
        "trigger": "last activity",
        "months": 24,
        "action": "anonymise",
        "basis": f"{OWN}: PDPA s 25, no purpose is left",
    },
    "missed_appointment": {
        "trigger": "the day of the appointment",
        "months": 72,
        "action": "anonymise",
        "basis": f"{OWN}: with the patient record, or 6 years (limitation of claims)",
    },
    "patient_record": {
        "trigger": "birth (from a death on 6 years)",
        "months": 116 * 12,
        "action": "review",
        "basis": "HCSA General Regulations 37: lifetime and 6 years, until the licence condition says otherwise",
    },
    "waitlist": {"trigger": "served or withdrawn", "days": 90, "action": "delete", "basis": OWN},
    "bill": {
        "trigger": "issue",
        "months": 84,
        "action": "strip",
        "basis": "GST: at least 5 years (IRAS); 7 years set",
    },
    "consent": {
        "trigger": "the patient was made anonymous",
        "months": 84,
        "action": "delete",
        "basis": f"{OWN}: evidence of consent and withdrawal",
    },
    "message": {"trigger": "sent", "days": 90, "action": "purge", "basis": OWN},
    "access_log": {"trigger": "the look", "months": 24, "action": "delete", "basis": OWN},
    "change_log": {"trigger": "the change", "action": "follow", "basis": "As the record it is about"},
    "case": {"trigger": "closed", "months": 84, "action": "delete", "basis": OWN},
    "session": {"trigger": "ran out", "days": 1, "action": "delete", "basis": "No purpose is left"},
    "backup": {"trigger": "made", "days": 35, "action": "delete", "basis": OWN},
}


def seed(model: Any, using: str) -> None:
    """Whatever class has no rule gets its first. Safe to repeat."""
    made = (model(data_class=name, version=1, **rule) for name, rule in SCHEDULE.items())
    model.objects.using(using).bulk_create(made, ignore_conflicts=True)


def seed_after_migrate(using: str, **_about: Any) -> None:
    """Also after a flush, which empties tables that migrations filled."""
    model = apps.get_model("clinic_booking", "RetentionRule")
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [model._meta.db_table])
        if cursor.fetchone() == (None,):
            return
    seed(model, using)
