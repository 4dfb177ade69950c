"""What scheduling holds about people, and how it goes: notes and wishes; the visits themselves stay countable."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from django.db.models import Exists, OuterRef, Q
from django.db.models.expressions import Combinable
from django.utils.translation import gettext_lazy as _

from clinic_booking.retention import registry
from clinic_booking.retention.kernel import delete, midnight
from clinic_booking.retention.models import DataClass
from clinic_booking.retention.registry import Cleaner, Pk, Rows, register
from patients.models import Patient
from patients.retention import holds
from scheduling.models import (
    Booking,
    BookingRequest,
    DeskNote,
    Hold,
    Overbooking,
    SessionTicket,
    Slot,
    VisitTicket,
    WaitlistEntry,
    WaitlistOffer,
)

REMOVED = "removed"
OVER = (Booking.Status.CANCELLED, Booking.Status.NOSHOW)
CAME = (Booking.Status.ARRIVED, Booking.Status.FULFILLED)


@registry.eraser
def erase_texts(patient_ids: Sequence[int]) -> Counter[str]:
    bookings = Booking.objects.filter(patient__in=patient_ids)
    done = _without_texts(bookings.values("pk"))
    mine = Hold.objects.filter(Q(patient__in=patient_ids) | Q(booking__patient__in=patient_ids))
    done["scheduling.Hold"] = Hold.objects.filter(pk__in=mine.values("pk")).exclude(note="").update(note="")
    waiting = WaitlistEntry.objects.filter(session__request__patient__in=patient_ids).exclude(note="")
    done["scheduling.WaitlistEntry"] = waiting.update(note="")
    return done


def _without_texts(bookings: Rows) -> Counter[str]:
    done = Counter(DeskNote.objects.filter(booking__in=bookings).delete()[1])
    done["scheduling.Booking"] = Booking.objects.filter(pk__in=bookings).exclude(note="").update(note="")
    for added in Overbooking.objects.filter(booking__in=bookings):
        if added.reason != REMOVED:
            added.reason = REMOVED
            added.save(update_fields=["reason"])
            done["scheduling.Overbooking"] += 1
    return done


# -- Who waits, and who was there -----------------------------------------------------------------


@registry.blocker(_("visit to come"))
def _expected() -> Q:
    booked = Booking.objects.filter(status__in=[Booking.Status.BOOKED, Booking.Status.ARRIVED])
    planned = SessionTicket.objects.filter(
        status__in=[SessionTicket.Status.PLANNED, SessionTicket.Status.SCHEDULED], request__closed_at=None
    )
    return Q(pk__in=booked.values("patient")) | Q(pk__in=planned.values("request__patient"))


@registry.sign_of_life
def _came(since: dt.datetime) -> Q:
    """Once is enough: the rule is for those who never came."""
    seen = Booking.objects.filter(status__in=CAME).values("patient")
    arrived = VisitTicket.objects.filter(arrived_at__isnull=False).values("patient")
    return Q(pk__in=seen) | Q(pk__in=arrived)


@registry.sign_of_life
def _asked(since: dt.datetime) -> Q:
    booked = Booking.objects.filter(Q(created_at__gte=since) | Q(starts_at__gte=since)).values("patient")
    wanted = BookingRequest.objects.filter(created_at__gte=since).values("patient")
    held = Hold.objects.filter(created_at__gte=since, patient__isnull=False).values("patient")
    return Q(pk__in=booked) | Q(pk__in=wanted) | Q(pk__in=held)


# -- The classes ---------------------------------------------------------------------------------


def _of_the_unheld(path: str) -> Combinable:
    """Rows without a patient are nobody's."""
    return ~Exists(Patient.objects.filter(holds.held(), pk=OuterRef(path)))


def _ended_holds(day: dt.date) -> Rows:
    """Nothing came of any that were held together with it."""
    claimed = Q(booking__isnull=False) | Q(payment__isnull=False) | Q(offer__isnull=False)
    together = Hold.objects.filter(claimed, Q(lead=OuterRef("pk")) | Q(lead=OuterRef("lead")))
    held_slots = Slot.objects.filter(hold=OuterRef("pk"))
    return Hold.objects.filter(
        ~Exists(together),
        ~Exists(held_slots),
        ended_at__lt=midnight(day),
        booking=None,
        payment=None,
        offer=None,
    ).exclude(
        Exists(Hold.objects.filter(claimed, pk=OuterRef("lead"))),
    )


def _delete_holds(ids: Sequence[Pk]) -> Counter[str]:
    """With all that were held together: a lead goes last."""
    whole = Hold.objects.filter(Q(pk__in=ids) | Q(lead__in=ids) | Q(followers__in=ids)).values_list(
        "pk", flat=True
    )
    group = list(
        Hold.objects.filter(Q(pk__in=list(whole)) | Q(lead__in=list(whole))).values_list("pk", flat=True)
    )
    return delete(Hold, list(_followers(group))) + delete(Hold, group)


def _followers(ids: Sequence[Pk]) -> Rows:
    return Hold.objects.filter(pk__in=ids, lead__isnull=False).values_list("pk", flat=True)


def _missed(day: dt.date) -> Rows:
    told = Exists(DeskNote.objects.filter(booking=OuterRef("pk")))
    return Booking.objects.filter(told | ~Q(note=""), status__in=OVER, starts_at__lt=midnight(day))


def _ended_waits(day: dt.date) -> Rows:
    return WaitlistEntry.objects.filter(ended_at__lt=midnight(day))


def _delete_waits(ids: Sequence[Pk]) -> Counter[str]:
    done = Counter(WaitlistOffer.objects.filter(entry__in=ids).delete()[1])
    return done + delete(WaitlistEntry, ids)


register(
    Cleaner(
        DataClass.EXPIRED_HOLD,
        "hold",
        _ended_holds,
        _delete_holds,
        lambda rows: rows.filter(_of_the_unheld("patient")),
    )
)
register(
    Cleaner(
        DataClass.MISSED_APPOINTMENT,
        "booking",
        _missed,
        lambda ids: _without_texts(Booking.objects.filter(pk__in=ids).values("pk")),
        lambda rows: rows.filter(patient__in=Patient.objects.filter(~registry.blocked())),
    )
)
register(
    Cleaner(
        DataClass.WAITLIST,
        "waitlist_entry",
        _ended_waits,
        _delete_waits,
        lambda rows: rows.filter(_of_the_unheld("session__request__patient")),
    )
)
