"""People with a past, and all that the database says in text."""

import datetime as dt

from django.db import connection
from django.utils import timezone

from billing.models import Bill, BillLine, CreditNote
from patients.models import Patient
from scheduling.models import BookingRequest, DeskNote, Hold, WaitlistEntry
from tests import factories


def days_ago(days):
    return timezone.now() - dt.timedelta(days=days)


def someone(n=1, *, silent_days=1000, login=True, **values):
    """Who registered so long ago and did nothing since. The words of `secrets_of` are theirs alone."""
    facts = {
        "name": f"Zubaidah Xq{n}",
        "email": f"zubaidah{n}@home.example",
        "phone": f"+65888000{n:02d}",
        "birth_date": dt.date(1951, 7, 10 + n % 18),
        "masked_id": f"{n % 1000:03d}Q",
        "with_login": login,
    }
    made = factories.PatientFactory(**facts | values)
    Patient.objects.filter(pk=made.pk).update(created_at=days_ago(silent_days))
    return made


def secrets_of(patient):
    return {patient.name, patient.email, patient.phone, patient.birth_date.isoformat(), patient.masked_id} - {
        ""
    }


def visit(patient, *, days=1000, **values):
    """An appointment so long ago, with all that is written beside one."""
    at = days_ago(days)
    booking = factories.BookingFactory(
        patient=patient,
        starts_at=at,
        created_at=at,
        note=f"Note of {patient.name}",
        session__request__closed_at=at,
        **values,
    )
    BookingRequest.objects.filter(pk=booking.session.request_id).update(created_at=at)
    DeskNote.objects.create(
        booking=booking, text=f"Call {patient.name}", written_by=factories.UserFactory(), created_at=at
    )
    return booking


def bill(booking, *, days, cents=6500, settled=True):
    """Credited in full when it is settled."""
    entity = booking.clinic.legal_entity
    made = Bill.objects.create(
        booking=booking,
        patient=booking.patient,
        clinic=booking.clinic,
        legal_entity=entity,
        number=Bill.objects.filter(legal_entity=entity).count() + 1,
        entity_name=entity.name,
        entity_uen=entity.uen,
        entity_address="1 Example Street",
        currency="SGD",
        total_cents=cents,
        gst_cents=0,
        gst_basis_points=0,
        issued_at=days_ago(days),
    )
    BillLine.objects.create(bill=made, position=1, description="Rare treatment", amount_cents=cents)
    if settled:
        CreditNote.objects.create(
            bill=made,
            legal_entity=entity,
            number=made.number,
            amount_cents=cents,
            gst_cents=0,
            reason="goodwill",
            note=f"For {booking.patient.name}",
        )
    return made


def old_hold(patient=None, *, days=30, **values):
    made = factories.HoldFactory(patient=patient, note="Sore knee", **values)
    Hold.objects.filter(pk=made.pk).update(ended_at=days_ago(days), end_reason="released")
    return made


def old_wait(patient, *, days):
    entry = factories.wait(factories.ServiceFactory(), patient=patient)
    WaitlistEntry.objects.filter(pk=entry.pk).update(status="left", ended_at=days_ago(days))
    return entry


def dump(*, without=()):
    """Every row of every table as text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
        )
        names = [name for (name,) in cursor.fetchall() if name not in without]
        cursor.execute(" UNION ALL ".join(f'SELECT t::text FROM "{name}" t' for name in names))
        return sorted(text for (text,) in cursor.fetchall())
