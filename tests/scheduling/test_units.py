"""Random sequences of what is done to several times at once: whatever is refused, the invariants hold."""

from contextlib import suppress

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduling import booking
from scheduling.booking import Move, Part, Place
from scheduling.errors import BookingError
from scheduling.models import Booking, EquipmentReservation, Hold, SessionTicket, Slot
from tests import factories
from tests.clock import advance
from tests.invariants import broken

number = st.integers(0, 11)
chosen = st.lists(st.tuples(number, st.integers(0, 2)), min_size=1, max_size=3)
acts = st.one_of(
    st.tuples(st.just("hold"), chosen, st.integers(0, 1)),
    st.tuples(st.just("offer"), number, number),
    st.tuples(st.just("take"), number),
    st.tuples(st.just("renew"), number),
    st.tuples(st.just("release"), number),
    st.tuples(st.just("run_out"), number),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("confirm"), number, st.booleans()),
    st.tuples(st.just("place"), st.lists(st.tuples(number, number), min_size=1, max_size=4)),
    st.tuples(st.just("move"), st.lists(st.tuples(number, number), min_size=1, max_size=3)),
    st.tuples(st.just("cancel"), st.lists(number, min_size=1, max_size=3)),
    st.tuples(st.just("no_show"), number),
    st.tuples(st.just("undo"), number),
)


class Desk:
    """Two practitioners with six slots each, one device for two rooms, two patients with a contract each."""

    def __init__(self):
        self.clinic = factories.ClinicFactory()
        self.staff = factories.MembershipFactory(clinic=self.clinic).user
        factories.EquipmentFactory(clinic=self.clinic, kind="laser-head")
        people = factories.PractitionerFactory.create_batch(2)
        self.services = [
            factories.ServiceFactory(practitioners=people),
            factories.ServiceFactory(practitioners=people, double=True, with_buffer=True),
            factories.ServiceFactory(practitioners=people, equipment_kinds=["laser-head"]),
        ]
        rooms = factories.StationFactory.create_batch(2, clinic=self.clinic)
        nine = factories.tomorrow_at(9)
        self.slots = [
            s for who, room in zip(people, rooms, strict=True) for s in factories.make_slots(who, room, nine)
        ]
        self.patients = factories.PatientFactory.create_batch(2)
        self.sessions = [
            factories.SessionTicketFactory(request=request, number=n)
            for patient, service in zip(self.patients, self.services[::2], strict=True)
            for request in [
                factories.BookingRequestFactory(
                    patient=patient,
                    service=service,
                    source="contract",
                    contract="C-1",
                    quantity=4,
                    is_prepaid=True,
                )
            ]
            for n in range(1, 5)
        ]
        self.own = {session.pk for session in self.sessions}

    def clear(self):
        Slot.objects.update(hold=None, held_until=None, booking=None)
        EquipmentReservation.objects.all().delete()
        Booking.objects.all().delete()
        Hold.objects.filter(lead__isnull=False).delete()
        Hold.objects.all().delete()
        SessionTicket.objects.filter(pk__in=self.own).update(status="planned")
        SessionTicket.objects.exclude(pk__in=self.own).delete()

    # -- What may be done; all of it may be refused ----------------------------------------------

    def hold(self, parts, who):
        asked = [Part(self.slots[n].pk, self.services[service].pk) for n, service in parts]
        booking.hold_together(parts=asked, owner=f"owner-{who}", patient=self.patients[who])

    def offer(self, n, m):
        session = self.sessions[m % len(self.sessions)]
        with transaction.atomic():
            booking.hold_offer(
                slot_id=self.slots[n].pk, session_id=session.pk, patient=session.request.patient, seconds=3600
            )

    def take(self, n):
        booking.take_offer(hold_id=self.nth(Hold.objects.filter(lead=None), n).pk, owner="taker")

    def renew(self, n):
        hold = self.nth(Hold.objects.filter(lead=None), n)
        booking.renew_hold(hold_id=hold.pk, owner=hold.owner)

    def release(self, n):
        hold = self.nth(Hold.objects.filter(lead=None), n)
        booking.release_hold(hold_id=hold.pk, owner=hold.owner)

    def run_out(self, n):
        lead = self.nth(Hold.objects.filter(lead=None, ended_at=None), n)
        for hold in (lead, *lead.followers.all()):
            advance(hold, seconds=3601)

    def sweep(self):
        booking.expire_holds()

    def confirm(self, n, late):
        hold = self.nth(Hold.objects.filter(lead=None), n)
        with transaction.atomic():
            booking.confirm_hold(hold_id=hold.pk, patient=hold.patient, late=late)

    def place(self, places):
        asked = [Place(self.sessions[s % len(self.sessions)].pk, self.slots[n].pk) for s, n in places]
        with transaction.atomic():
            booking.place_sessions(places=asked, by=self.staff)

    def move(self, moves):
        asked = [Move(self.nth(Booking.objects.all(), b).pk, self.slots[n].pk) for b, n in moves]
        with transaction.atomic():
            booking.move_bookings(moves=asked, by=self.staff)

    def cancel(self, numbers):
        ids = {self.nth(Booking.objects.all(), n).pk for n in numbers}
        with transaction.atomic():
            booking.cancel_bookings(booking_ids=ids, by=self.staff, reason="patient")

    def no_show(self, n):
        with transaction.atomic():
            booking.no_show(booking_id=self.nth(Booking.objects.all(), n).pk, by=self.staff)

    def undo(self, n):
        with transaction.atomic():
            booking.undo_status(booking_id=self.nth(Booking.objects.all(), n).pk, by=self.staff)

    def nth(self, rows, n):
        found = list(rows.order_by("pk"))
        if not found:
            raise BookingError
        return found[n % len(found)]


@pytest.mark.django_db
@pytest.mark.timeout(240)
def test_whatever_is_done_to_several_keeps_every_promise(day_of_visit):
    desk = Desk()

    @settings(max_examples=50, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(acts, min_size=4, max_size=12))
    def run(sequence):
        desk.clear()
        for name, *arguments in sequence:
            with suppress(BookingError):
                getattr(desk, name)(*arguments)
            assert not broken(), name

    run()
