"""Notes of practitioners, ticked off at the desk."""

from django.db import transaction
from django.db.models import QuerySet

from clinic_booking.events import publish
from clinic_booking.models import User
from scheduling import live
from scheduling.locks import database_now
from scheduling.models import Booking, Clinic, DeskNote


def write(*, booking: Booking, text: str, by: User) -> DeskNote:
    """By the practitioner. It is on the desk's list until somebody ticks it off."""
    with transaction.atomic(durable=True):
        note = DeskNote.objects.create(booking=booking, text=text.strip(), written_by=by)
        data = {"note": note.pk, "booking": booking.pk, "by": by.pk}
        publish("note.written", f"note:{note.pk}", data, clinic_id=booking.clinic_id)
        live.nudge(booking.clinic_id, booking.clinic.local_date(booking.starts_at))
    return note


def tick_off(*, note_id: int, by: User) -> bool:
    """Done. False where a colleague was faster: the condition of the update decides."""
    with transaction.atomic(durable=True):
        open_note = DeskNote.objects.filter(pk=note_id, done_at=None)
        done = bool(open_note.update(done_at=database_now(), done_by=by))
        if done:
            note = DeskNote.objects.select_related("booking").get(pk=note_id)
            data = {"note": note_id, "booking": note.booking_id, "by": by.pk}
            publish("note.done", f"note:{note_id}", data, clinic_id=note.booking.clinic_id)
    return done


def of_clinic(clinic: Clinic) -> QuerySet[DeskNote]:
    return DeskNote.objects.filter(booking__clinic=clinic)
