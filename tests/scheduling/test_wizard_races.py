"""Proposals that overlap, held at the same moment: one gets all of its parts, the others nothing at all."""

import functools

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from scheduling import booking
from scheduling.models import Booking, Hold, Slot
from tests import factories
from tests.invariants import broken
from tests.race import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def xray(db):
    doctor = factories.PractitionerFactory(name="Koh Zhi Wei")
    return factories.ServiceFactory(slug="x-ray", name="X-ray", station_kind="x-ray", practitioners=[doctor])


@pytest.fixture
def xray_slots(xray, clinic):
    room = factories.StationFactory(clinic=clinic, name="X-ray", kind="x-ray")
    return factories.make_slots(xray.practitioners.get(), room, factories.tomorrow_at(9))


def choose(*parts):
    """One click of a browser of its own; the status of the answer."""
    chosen = [f"{slot.pk}:{service.pk}" for slot, service in parts]
    wishes = "service=consultation&service=x-ray"
    return Client().post(reverse("plan_holds"), {"part": chosen, "wishes": wishes}).status_code


def test_of_many_patients_one_holds_the_whole_visit(slots, service, xray_slots, xray):
    """They want the same x-ray, each after another consultation, and name the parts in both orders."""
    wanted = [[(slots[n % 2], service), (xray_slots[3], xray)][:: 1 if n < 4 else -1] for n in range(8)]
    outcomes = together(*(functools.partial(choose, *parts) for parts in wanted))
    assert sorted(outcomes) == [303] + [409] * 7
    lead = Hold.objects.get(lead=None)
    held = Slot.objects.filter(hold__isnull=False)
    assert {slot.hold_id for slot in held} == {lead.pk, Hold.objects.get(lead=lead).pk}
    assert broken() == {}


def test_crossing_choices_do_not_block_each_other_for_good(slots, service, xray_slots, xray):
    """Each holds what the other wants second: no deadlock, and never one part of both."""
    one = functools.partial(choose, (slots[0], service), (xray_slots[2], xray))
    other = functools.partial(choose, (xray_slots[2], xray), (slots[4], service))
    assert sorted(together(one, other)) == [303, 409]
    assert Hold.objects.count() == Slot.objects.filter(hold__isnull=False).count() == 2


def test_desk_and_patient_want_to_change_the_same_visit(
    slots, service, xray_slots, xray, patient, receptionist
):
    """Moved or cancelled as a whole, whoever comes first."""
    parts = [booking.Part(slots[0].pk, service.pk), booking.Part(xray_slots[2].pk, xray.pk)]
    lead = booking.hold_together(parts=parts, owner="browser", patient=patient)[0]
    confirm(lead, patient)
    made = list(booking.bookings_of(lead))
    Booking.objects.update(free_cancel_hours=0)
    outcomes = together(
        functools.partial(cancel, receptionist, made),
        functools.partial(move, patient.user, made, slots, xray_slots),
    )
    statuses = {each.status for each in Booking.objects.all()}
    assert outcomes[0] == 302 or outcomes[1] == 302
    assert len(statuses) == 1
    assert broken() == {}


def confirm(lead, patient):
    with transaction.atomic():
        booking.confirm_hold(hold_id=lead.pk, patient=patient)


def browser(user):
    client = Client()
    client.force_login(user)
    return client


def cancel(user, made):
    return (
        browser(user).post(reverse("cancellation", args=[made[0].reference]), {"scope": "visit"}).status_code
    )


def move(user, made, slots, xray_slots):
    parts = [f"{slots[2].pk}:{made[0].service_id}", f"{xray_slots[4].pk}:{made[1].service_id}"]
    fields = {"part": parts, "version": [each.version for each in made]}
    return browser(user).post(reverse("visit_move", args=[made[0].reference]), fields).status_code
