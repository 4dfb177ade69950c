import datetime as dt

import pytest
from django.db import transaction
from django.utils import timezone

from clinic_booking.models import Event
from scheduling import live
from scheduling.errors import SlotGone, SlotTaken
from scheduling.inventory import UnknownCountry, block_slots, generate, unblock_slots
from scheduling.models import Hold, Slot
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def tomorrow():
    return timezone.localdate() + dt.timedelta(days=1)


@pytest.fixture
def template(clinic, practitioner, station, monkeypatch):
    """Three slots a day, whatever day it is."""
    monkeypatch.setattr("scheduling.inventory.public_holidays", lambda clinic, first, days: set())
    return factories.ScheduleTemplateFactory(
        clinic=clinic, practitioner=practitioner, station=station, ends_at=dt.time(10)
    )


def generated(clinic, tomorrow, days=2, **options):
    return generate(days=days, clinics=[clinic], first=tomorrow, **options)


def figures(report):
    return {
        name: getattr(report, name)
        for name in ("added", "removed", "unchanged", "kept", "blocked")
        if getattr(report, name)
    }


def rows():
    return list(Slot.objects.order_by("pk").values())


def test_slots_are_made_from_the_template(template, clinic, tomorrow):
    report = generated(clinic, tomorrow)

    assert figures(report) == {"added": 6}
    first = Slot.objects.earliest("starts_at")
    assert first.starts_at == dt.datetime.combine(tomorrow, dt.time(9), clinic.zone)
    assert first.ends_at - first.starts_at == dt.timedelta(minutes=20)
    assert (first.template, first.practitioner, first.station) == (
        template,
        template.practitioner,
        template.station,
    )
    assert (first.status, first.version, first.hold_id, first.block_reason) == ("available", 1, None, "")


def test_second_run_changes_nothing(template, clinic, tomorrow):
    generated(clinic, tomorrow)
    before = rows()

    assert figures(generated(clinic, tomorrow)) == {"unchanged": 6}
    assert rows() == before


def test_later_run_adds_the_new_days(template, clinic, tomorrow):
    generated(clinic, tomorrow)

    assert figures(generated(clinic, tomorrow, days=4)) == {"added": 6, "unchanged": 6}


def test_dry_run_reports_and_changes_nothing(template, clinic, tomorrow):
    generated(clinic, tomorrow)
    template.station = factories.StationFactory(clinic=clinic)
    template.save()
    before = rows()

    assert figures(generated(clinic, tomorrow, days=3, dry_run=True)) == {"added": 9, "removed": 6}
    assert rows() == before


def test_past_slots_of_today_are_made_and_never_removed(template, clinic):
    today = timezone.localdate()
    template.starts_at, template.ends_at = dt.time(0), dt.time(0, 20)
    template.save()
    assert figures(generate(days=1, clinics=[clinic])) == {"added": 1}

    template.valid_until = today - dt.timedelta(days=1)
    template.save()
    assert figures(generate(days=1, clinics=[clinic])) == {}
    assert Slot.objects.count() == 1


def test_changed_template_replaces_free_slots(template, clinic, tomorrow):
    generated(clinic, tomorrow)
    template.slot_minutes = 30
    template.save()

    assert figures(generated(clinic, tomorrow)) == {"added": 4, "removed": 6}
    assert {slot.ends_at - slot.starts_at for slot in Slot.objects.all()} == {dt.timedelta(minutes=30)}


def test_booked_slot_outlives_its_template(template, clinic, tomorrow):
    generated(clinic, tomorrow)
    booked = list(Slot.objects.order_by("starts_at"))[1]
    factories.book([booked])
    template.slot_minutes = 30
    template.save()

    report = generated(clinic, tomorrow)

    assert figures(report) == {"added": 2, "removed": 5, "kept": 1, "blocked": 2}
    assert [str(conflict) for conflict in report.conflicts] == [
        "kept: booked, outside the template now",
        "not added: a slot that is booked overlaps",
        "not added: a slot that is booked overlaps",
    ]
    kept = report.conflicts[0]
    assert (kept.clinic, kept.practitioner, kept.starts_at) == (
        clinic.slug,
        template.practitioner.name,
        booked.starts_at,
    )
    booked.refresh_from_db()
    assert (booked.status, booked.version) == ("booked", 2)


def test_held_slot_is_kept_while_the_hold_lives(template, clinic, tomorrow):
    generated(clinic, tomorrow)
    held, lapsed, *_rest = Slot.objects.order_by("starts_at")
    factories.hold([held])
    factories.hold([lapsed], run_out=True)
    template.valid_until = dt.date(2024, 1, 1)
    template.save()

    report = generated(clinic, tomorrow)

    assert figures(report) == {"removed": 5, "kept": 1}
    assert report.conflicts[0].state == "held"
    assert Slot.objects.get() == held


def test_blocked_slot_is_kept(template, clinic, tomorrow, receptionist):
    generated(clinic, tomorrow)
    blocked = Slot.objects.earliest("starts_at")
    with transaction.atomic():
        block_slots(slot_ids=[blocked.pk], reason="Repair", by=receptionist)
    template.valid_until = dt.date(2024, 1, 1)
    template.save()

    report = generated(clinic, tomorrow)

    assert figures(report) == {"removed": 5, "kept": 1}
    assert str(report.conflicts[0]) == "kept: blocked, outside the template now"


def test_slots_that_nobody_planned_stay(clinic, practitioner, station, tomorrow):
    factories.make_day(practitioner, station, tomorrow)

    assert figures(generated(clinic, tomorrow)) == {}
    assert Slot.objects.count() == 6


def test_slot_passes_to_the_template_that_wants_it_now(template, clinic, tomorrow):
    generated(clinic, tomorrow)
    before = Slot.objects.in_bulk()
    successor = factories.ScheduleTemplateFactory(
        clinic=clinic, practitioner=template.practitioner, station=template.station, ends_at=dt.time(10)
    )
    template.delete()

    assert figures(generated(clinic, tomorrow)) == {"unchanged": 6}
    assert set(Slot.objects.values_list("template", flat=True)) == {successor.pk}
    assert Slot.objects.in_bulk() == before


def test_practitioner_who_left_is_offered_no_more(template, clinic, tomorrow):
    generated(clinic, tomorrow)
    template.practitioner.is_active = False
    template.practitioner.save()

    assert figures(generated(clinic, tomorrow)) == {"removed": 6}


def test_leave_closure_and_extra_hours_count(template, clinic, tomorrow):
    day_after = tomorrow + dt.timedelta(days=1)
    nine, ten, six = (
        dt.datetime.combine(day, time, clinic.zone)
        for day, time in [(tomorrow, dt.time(9)), (day_after, dt.time(0)), (day_after, dt.time(18))]
    )
    factories.ScheduleExceptionFactory(
        leave=True,
        practitioner=template.practitioner,
        starts_at=nine,
        ends_at=nine + dt.timedelta(minutes=10),
    )
    factories.ScheduleExceptionFactory(clinic=clinic, starts_at=ten, ends_at=ten + dt.timedelta(hours=12))
    extra = factories.ScheduleExceptionFactory(
        extra_hours=True,
        clinic=clinic,
        practitioner=template.practitioner,
        station=template.station,
        starts_at=six,
        ends_at=six + dt.timedelta(minutes=40),
    )

    assert figures(generated(clinic, tomorrow)) == {"added": 4}
    assert Slot.objects.filter(exception=extra).count() == 2
    extra.delete()
    assert figures(generated(clinic, tomorrow)) == {"unchanged": 2}


def test_removed_extra_hours_leave_orphans_only_when_deleted(template, clinic, tomorrow):
    """Shortened extra hours give their slots back; see the admin, which refuses to delete what made slots."""
    evening = dt.datetime.combine(tomorrow, dt.time(18), clinic.zone)
    extra = factories.ScheduleExceptionFactory(
        extra_hours=True,
        clinic=clinic,
        practitioner=template.practitioner,
        station=template.station,
        starts_at=evening,
        ends_at=evening + dt.timedelta(minutes=40),
    )
    generated(clinic, tomorrow)
    extra.ends_at = evening + dt.timedelta(minutes=20)
    extra.save()

    assert figures(generated(clinic, tomorrow)) == {"unchanged": 7, "removed": 1}


def test_second_practitioner_in_a_room_is_reported(template, clinic, tomorrow):
    factories.ScheduleTemplateFactory(clinic=clinic, station=template.station, ends_at=dt.time(9, 20))

    report = generated(clinic, tomorrow)

    assert figures(report) == {"added": 6, "blocked": 2}
    assert str(report.conflicts[0]) == "not added: a slot that is available overlaps"
    assert figures(generated(clinic, tomorrow)) == {"unchanged": 6, "blocked": 2}


def test_practitioner_in_two_clinics_at_once_is_reported(template, clinic, tomorrow):
    elsewhere = factories.ClinicFactory()
    factories.ScheduleTemplateFactory(
        clinic=elsewhere,
        practitioner=template.practitioner,
        starts_at=dt.time(9, 50),
        ends_at=dt.time(10, 30),
    )
    generated(clinic, tomorrow)

    report = generated(elsewhere, tomorrow)

    assert figures(report) == {"added": 2, "blocked": 2}
    assert not figures(generated(clinic, tomorrow)).get("removed")


def test_public_holidays_of_singapore_are_kept(clinic, practitioner, station):
    factories.ScheduleTemplateFactory(
        clinic=clinic, practitioner=practitioner, station=station, ends_at=dt.time(9, 20)
    )
    christmas = dt.date(timezone.localdate().year + 1, 12, 25)

    report = generate(days=3, clinics=[clinic], first=christmas - dt.timedelta(days=1))

    assert report.added == 2
    assert not Slot.objects.filter(starts_at__date=christmas).exists()


def test_clinic_in_an_unknown_country_is_named(clinic, practitioner, station):
    factories.ScheduleTemplateFactory(clinic=clinic, practitioner=practitioner, station=station)
    clinic.country = "XX"
    clinic.save()

    with pytest.raises(UnknownCountry):
        generate(days=3, clinics=[clinic])
    assert not Slot.objects.exists()


def test_batches_cover_all_practitioners_and_days(clinic, tomorrow, monkeypatch):
    monkeypatch.setattr("scheduling.inventory.BATCH_PRACTITIONERS", 2)
    monkeypatch.setattr("scheduling.inventory.BATCH_DAYS", 3)
    monkeypatch.setattr("scheduling.inventory.public_holidays", lambda clinic, first, days: set())
    for _n in range(3):
        factories.ScheduleTemplateFactory(clinic=clinic, ends_at=dt.time(9, 20))
    seen = []

    report = generated(clinic, tomorrow, days=7, progress=lambda *step: seen.append(step))

    assert report.added == 21
    assert [(done, total) for done, total, _what in seen] == [(n, 6) for n in range(1, 7)]


def test_interrupted_run_is_continued(template, clinic, tomorrow, monkeypatch):
    monkeypatch.setattr("scheduling.inventory.BATCH_DAYS", 1)

    def stop(done, total, what):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generated(clinic, tomorrow, days=4, progress=stop)
    assert Slot.objects.count() == 6

    assert figures(generated(clinic, tomorrow, days=4)) == {"added": 6, "unchanged": 6}


def test_hours_on_the_utc_day_before_belong_to_the_local_day(
    clinic, practitioner, station, tomorrow, template
):
    template.starts_at, template.ends_at = dt.time(0, 20), dt.time(8)
    template.save()

    assert figures(generated(clinic, tomorrow, days=1)) == {"added": 23}
    assert figures(generated(clinic, tomorrow, days=1)) == {"unchanged": 23}
    assert {clinic.local_date(slot.starts_at) for slot in Slot.objects.all()} == {tomorrow}


# -- Blocking ------------------------------------------------------------------------------------


@pytest.fixture
def announced(monkeypatch):
    changes = []
    monkeypatch.setattr(live, "announce", lambda found: changes.extend(found))
    return changes


def test_blocked_slots_are_closed_and_announced(slots, receptionist, announced):
    day = timezone.localdate(slots[0].starts_at)

    block_slots(slot_ids=[slot.pk for slot in slots[:2]], reason="Repair", by=receptionist)

    assert [s.status for s in Slot.objects.order_by("starts_at")] == ["blocked"] * 2 + ["available"] * 4
    assert announced == [(slot.clinic_id, day, slot.pk, 2, "blocked", None) for slot in slots[:2]]
    event = Event.objects.get()
    assert (event.topic, event.data["by"], event.data["slots"]) == (
        "slots.changed",
        receptionist.pk,
        [slot.pk for slot in slots[:2]],
    )


@pytest.mark.parametrize("claim", [factories.book, factories.hold])
def test_claimed_slot_is_not_blocked(slots, receptionist, announced, claim):
    claim(slots[1:2])
    before = rows()

    with pytest.raises(SlotTaken), transaction.atomic():
        block_slots(slot_ids=[slot.pk for slot in slots[:2]], reason="Repair", by=receptionist)

    assert rows() == before
    assert announced == []
    assert not Event.objects.exists()


def test_run_out_hold_does_not_keep_from_blocking(slots, receptionist):
    hold = factories.hold(slots[:1], run_out=True)

    block_slots(slot_ids=[slots[0].pk], reason="Repair", by=receptionist)

    assert Slot.objects.get(pk=slots[0].pk).status == "blocked"
    assert Hold.objects.get(pk=hold.pk).end_reason == "expired"


def test_unblocked_slots_are_open_again(slots, receptionist, announced):
    block_slots(slot_ids=[slots[0].pk], reason="Repair", by=receptionist)

    opened = unblock_slots(slot_ids=[slots[0].pk, slots[1].pk], by=receptionist)

    assert opened == slots[:1]
    slot = Slot.objects.get(pk=slots[0].pk)
    assert (slot.status, slot.block_reason, slot.version) == ("available", "", 3)
    assert announced[-1][2:] == (slot.pk, 3, "available", None)


def test_unknown_slot_is_not_blocked(slots, receptionist):
    with pytest.raises(SlotGone), transaction.atomic():
        block_slots(slot_ids=[slots[0].pk, 0], reason="Repair", by=receptionist)
    assert not Slot.objects.filter(is_blocked=True).exists()
