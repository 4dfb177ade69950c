"""What scheduling holds about a patient, for the patient. Staff are named by what they do."""

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from patients.models import Patient
from patients.rights import people
from patients.rights.own_parts import BY_USE, FROM_YOU
from patients.rights.parts import Part, Row, register
from scheduling.models import Booking, BookingRequest, DeskNote, Hold, Practitioner, WaitlistEntry

CARE = _("Booking and care")


def _bookings(patient: Patient) -> Iterable[Row]:
    related = "clinic", "service", "practitioner", "visit"
    for booking in Booking.objects.filter(patient=patient).select_related(*related).order_by("starts_at"):
        yield {
            "reference": booking.reference,
            "clinic": booking.clinic.name,
            "from": booking.starts_at,
            "to": booking.ends_at,
            "service": booking.service.name,
            "with": booking.practitioner.specialty,
            "status": booking.get_status_display(),
            "price_cents": booking.price_cents,
            "fee_cents": booking.fee_cents,
            "note": booking.note,
            "made_at": booking.created_at,
            "arrived_at": booking.arrived_at,
            "queue_number": booking.visit.ticket,
            "cancelled_at": booking.cancelled_at,
            "cancelled_by": booking.cancelled_by_id if booking.cancelled_at else None,
        }


def _notes(patient: Patient) -> Iterable[Row]:
    for note in DeskNote.objects.filter(booking__patient=patient).select_related("booking").order_by("pk"):
        yield {
            "reference": note.booking.reference,
            "text": note.text,
            "at": note.created_at,
            "by": note.written_by_id,
        }


def _requests(patient: Patient) -> Iterable[Row]:
    found = BookingRequest.objects.filter(patient=patient).select_related("service")
    for request in found.prefetch_related("sessions", "patterns__practitioners", "patterns__clinics"):
        yield {
            "service": request.service.name,
            "source": request.get_source_display(),
            "sessions": [f"{s.number}: {s.get_status_display()}" for s in request.sessions.all()],
            "wishes": [_without_people(pattern) for pattern in request.patterns.all()],
            "contract": request.contract,
            "made_at": request.created_at,
        }


def _without_people(pattern: object) -> str:
    text = str(getattr(pattern, "in_words", ""))
    named = pattern.practitioners.all() if hasattr(pattern, "practitioners") else ()
    return people.redacted(text, [practitioner.name for practitioner in named])


def _waiting(patient: Patient) -> Iterable[Row]:
    entries = WaitlistEntry.objects.filter(session__request__patient=patient)
    for entry in (
        entries.select_related("session__request__service").prefetch_related("offers").order_by("pk")
    ):
        yield {
            "service": entry.session.request.service.name,
            "status": entry.get_status_display(),
            "joined_at": entry.joined_at,
            "ended_at": entry.ended_at,
            "offers": [offer.get_outcome_display() for offer in entry.offers.all()],
            "note": entry.note,
        }


def _reservations(patient: Patient) -> Iterable[Row]:
    """Those that became no visit."""
    holds = Hold.objects.filter(patient=patient, booking=None).select_related("service", "clinic")
    for hold in holds.order_by("created_at"):
        yield {
            "clinic": hold.clinic.name,
            "service": hold.service.name,
            "from": hold.starts_at,
            "made_at": hold.created_at,
            "note": hold.note,
        }


def _practitioners() -> Iterable[str]:
    return Practitioner.objects.values_list("name", flat=True)


people.staff_names.append(_practitioners)
register(
    Part(
        "visits",
        _("Your visits"),
        CARE,
        FROM_YOU,
        {
            "reference": _("Reference"),
            "clinic": _("Clinic"),
            "from": _("From"),
            "to": _("To"),
            "service": _("Service"),
            "with": _("With"),
            "status": _("Status"),
            "price_cents": _("Price"),
            "fee_cents": _("Charged all the same"),
            "note": _("Your note"),
            "made_at": _("Made"),
            "arrived_at": _("Arrived"),
            "queue_number": _("Queue number"),
            "cancelled_at": _("Cancelled"),
            "cancelled_by": _("Cancelled by"),
        },
        _bookings,
        ("scheduling.Booking", "scheduling.VisitTicket"),
        free=("note",),
        actors=("cancelled_by",),
    ),
    Part(
        "notes",
        _("Notes of the clinic on your visits"),
        CARE,
        BY_USE,
        {"reference": _("Reference"), "text": _("Note"), "at": _("When"), "by": _("By")},
        _notes,
        ("scheduling.DeskNote",),
        free=("text",),
        actors=("by",),
    ),
    Part(
        "wishes",
        _("What you asked to be booked"),
        CARE,
        FROM_YOU,
        {
            "service": _("Service"),
            "source": _("Source"),
            "sessions": _("Sessions"),
            "wishes": _("Wishes"),
            "contract": _("Contract"),
            "made_at": _("Made"),
        },
        _requests,
        ("scheduling.BookingRequest", "scheduling.SessionTicket", "scheduling.BookingPattern"),
    ),
    Part(
        "waitlist",
        _("Your places on the waitlist"),
        CARE,
        FROM_YOU,
        {
            "service": _("Service"),
            "status": _("Status"),
            "joined_at": _("Joined"),
            "ended_at": _("Ended"),
            "offers": _("Offers"),
            "note": _("Note of the clinic"),
        },
        _waiting,
        ("scheduling.WaitlistEntry", "scheduling.WaitlistOffer"),
        free=("note",),
    ),
    Part(
        "reservations",
        _("Times you reserved and did not book"),
        CARE,
        FROM_YOU,
        {
            "clinic": _("Clinic"),
            "service": _("Service"),
            "from": _("Time"),
            "made_at": _("Made"),
            "note": _("Your note"),
        },
        _reservations,
        ("scheduling.Hold",),
        free=("note",),
    ),
)
