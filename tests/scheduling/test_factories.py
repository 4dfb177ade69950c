import pytest
from django.utils import timezone
from factory.django import DjangoModelFactory

from scheduling.models import Booking, Hold, Slot
from tests import factories

FACTORIES = [f for f in vars(factories).values() if isinstance(f, type) and issubclass(f, DjangoModelFactory)]
FACTORIES.remove(DjangoModelFactory)


@pytest.mark.parametrize("made_by", FACTORIES)
@pytest.mark.django_db
def test_every_factory_makes_a_valid_row(made_by):
    first, second = made_by(), made_by()

    assert first.pk != second.pk or made_by is factories.VisitTicketFactory
    first.clean_fields()


def test_slots_can_be_held_and_booked(slots, service):
    hold = factories.hold(slots[:2], service=service)
    booking = factories.book(slots[2:4], service=service, note="Two slots")

    assert hold.is_live(timezone.now())
    assert [slot.status for slot in slots] == ["available"] * 2 + ["booked"] * 2 + ["available"] * 2
    assert Slot.objects.filter(hold=hold).count() == 2
    assert booking.session.status == "scheduled"
    assert booking.visit.date == booking.clinic.local_date(booking.starts_at)
    assert Booking.objects.live().get() == booking


def test_run_out_hold_is_not_live(slots):
    hold = factories.hold(slots[:1], run_out=True)

    assert not Hold.objects.get(pk=hold.pk).is_live(timezone.now())
