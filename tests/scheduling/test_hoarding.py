"""A script without cookies is a new visitor each time: it must not keep all times from everybody."""

import datetime as dt
import functools
from collections import Counter

import pytest
from django.test import Client

from clinic_booking import addresses
from scheduling import booking, holds
from scheduling.errors import HeldTooMany
from scheduling.models import Hold, Slot
from tests import factories
from tests.clock import run_out
from tests.invariants import broken
from tests.race import together


@pytest.fixture(autouse=True)
def few(settings):
    settings.HOLDS_PER_ADDRESS = 4
    settings.UNKNOWN_SHARE_PERCENT = 100


@pytest.fixture
def many(practitioner, station, service):
    return factories.make_slots(practitioner, station, factories.tomorrow_at(8), slots=24)


def ask(slot, service, *, client=None, address="203.0.113.7"):
    data = {"slot": slot.pk, "service": service.pk}
    return (client or Client()).post("/holds/", data, REMOTE_ADDR=address)


def live():
    return Hold.objects.filter(ended_at=None).count()


@pytest.mark.django_db
def test_one_address_keeps_only_a_few(many, service):
    codes = [ask(slot, service).status_code for slot in many[:6]]
    assert codes == [303, 303, 303, 303, 429, 429]
    refusal = ask(many[7], service)
    assert str(HeldTooMany.sentence) in refusal.text
    assert refusal["Retry-After"] == "60"
    assert ask(many[8], service, address="203.0.113.8").status_code == 303


@pytest.mark.django_db
def test_addresses_of_one_64_are_one(many, service):
    codes = [
        ask(slot, service, address=f"2001:db8::{n}").status_code for n, slot in enumerate(many[:5], start=1)
    ]
    assert codes == [303, 303, 303, 303, 429]
    assert ask(many[6], service, address="2001:db8:0:1::1").status_code == 303


@pytest.mark.django_db
def test_another_choice_of_a_browser_counts_once(many, service):
    browser = Client()
    assert {ask(slot, service, client=browser).status_code for slot in many[:7]} == {303}
    assert live() == 1


def test_the_known_are_not_counted(many, service, receptionist, patient, other_patient):
    for slot in many[:5]:
        ask(slot, service)
    for user, slot in zip((receptionist, patient.user, other_patient.user), many[6:], strict=False):
        known = Client()
        known.force_login(user)
        assert ask(slot, service, client=known).status_code == 303


@pytest.mark.django_db
def test_what_ran_out_or_was_given_back_is_free_again(many, service):
    held = [
        holds.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=f"o{n}", house="a")
        for n, slot in enumerate(many[:4])
    ]
    more = functools.partial(
        holds.hold_slots, slot_id=many[5].pk, service_id=service.pk, owner="x", house="a"
    )
    with pytest.raises(HeldTooMany):
        more()
    run_out(held[0])
    assert more()
    booking.release_hold(hold_id=held[1].pk, owner="o1")
    held[1].refresh_from_db()
    assert held[1].address_key == ""
    assert holds.hold_slots(slot_id=many[6].pk, service_id=service.pk, owner="y", house="a")


@pytest.mark.django_db
def test_all_strangers_leave_a_part_of_the_day(many, service, settings):
    settings.UNKNOWN_SHARE_PERCENT = 50
    codes = [
        ask(slot, service, address=f"203.0.113.{n}").status_code for n, slot in enumerate(many[:14], start=1)
    ]
    assert codes == [303] * 12 + [429] * 2
    next_day = Slot.objects.create(
        clinic=many[0].clinic,
        practitioner=many[0].practitioner,
        station=many[0].station,
        starts_at=many[0].starts_at + dt.timedelta(1),
        ends_at=many[0].ends_at + dt.timedelta(1),
    )
    assert ask(next_day, service, address="203.0.113.99").status_code == 303


@pytest.mark.django_db
def test_no_address_is_kept(many, service, rf):
    ask(many[0], service, address="203.0.113.7")
    key = Hold.objects.get().address_key
    assert len(key) == 32
    assert "203" not in key
    assert key != addresses.household_key(rf.get("/", REMOTE_ADDR="203.0.113.8"))


@pytest.mark.django_db(transaction=True)
def test_hoarder_in_threads_leaves_times_to_others(many, service):
    """Each request as a new visitor, eight at a time: no more than allowed, and a person still gets one."""

    def hoard(mine):
        return [ask(slot, service).status_code for slot in mine]

    outcomes = together(*(functools.partial(hoard, many[n::8]) for n in range(8)))
    codes = Counter(code for outcome in outcomes for code in outcome)
    assert codes[303] == live() == 4
    assert codes[429] == 20
    free = Slot.objects.filter(hold=None).first()
    assert ask(free, service, address="198.51.100.1").status_code == 303
    assert broken() == {}
