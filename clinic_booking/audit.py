"""Who looked at or did what to whose record. Ids and codes only: no name, contact or number is written here."""

from collections.abc import Iterable

from clinic_booking import logs
from clinic_booking.models import AuditEvent, User

Action = AuditEvent.Action


def record(
    action: str,
    subject: str,
    *,
    by: User | None,
    patient_id: int | None = None,
    clinic_id: int | None = None,
    fields: Iterable[str] = (),
    reason: str = "",
    count: int = 1,
) -> None:
    """Joins the caller's transaction: what is rolled back has not happened. `subject` is kind:id, `fields` are names
    of fields or classes of them, `count` is how many records a list showed."""
    AuditEvent.objects.create(
        action=action,
        subject=subject,
        actor_id=by.pk if by else None,
        patient_id=patient_id,
        clinic_id=clinic_id,
        fields=list(fields),
        reason=reason,
        count=count,
        request_id=logs.request_id.get(),
    )
