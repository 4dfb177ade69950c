"""The verbs: one patient, one browser, the rules of design §3–4. Races are in test_races.py."""

import datetime as dt

import pytest
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from clinic_booking.models import Event
from scheduling import booking, errors
from scheduling.models import Booking, Hold, SessionTicket, Slot, VisitTicket
from tests import factories

pytestmark = pytest.mark.django_db


def hold(slot, service, owner="browser", **more):
    return booking.hold_slots(slot_id=slot.pk, service_id=service.pk, owner=owner, **more)


def run_out(hold):
    """Age the hold in the database, whose clock decides."""
    past = dt.timedelta(seconds=301)
    with transaction.atomic():
        slots = list(Slot.objects.filter(hold=hold).values_list("pk", flat=True))
        hold.locked_at, hold.expires_at = hold.locked_at - past, hold.expires_at - past
        hold.save()
        Slot.objects.filter(pk__in=slots).update(held_until=hold.expires_at)


def confirm(hold, patient, **more):
    with transaction.atomic():
        return booking.confirm_hold(hold_id=hold.pk, patient=patient, **more)


def test_hold_lasts_exactly_300_seconds(slots, service):
    mine = hold(slots[0], service)
    assert mine.expires_at - mine.locked_at == dt.timedelta(seconds=300)
    slot = Slot.objects.get(pk=slots[0].pk)
    assert (slot.hold_id, slot.held_until, slot.status) == (mine.pk, mine.expires_at, "available")


def test_second_hold_is_refused_with_free_times(slots, service):
    hold(slots[0], service)
    with pytest.raises(errors.SlotTaken) as refusal:
        hold(slots[0], service, "other")
    assert [free.slot_id for free in refusal.value.nearby] == [s.pk for s in slots[1:6]]
    assert Hold.objects.count() == 1


def test_same_choice_again_is_the_same_hold(slots, service):
    assert hold(slots[0], service) == hold(slots[0], service)


def test_new_choice_releases_the_earlier_hold(slots, service):
    first = hold(slots[0], service)
    second = hold(slots[1], service)
    first.refresh_from_db()
    assert first.end_reason == "released"
    assert Slot.objects.get(pk=slots[0].pk).hold_id is None
    assert Slot.objects.get(pk=slots[1].pk).hold_id == second.pk


def test_overlapping_new_choice_keeps_what_both_take(slots, practitioner):
    double = factories.ServiceFactory(double=True, practitioners=[practitioner])
    hold(slots[0], double)
    second = hold(slots[1], double)
    assert [s.hold_id for s in Slot.objects.order_by("pk")[:4]] == [None, second.pk, second.pk, None]


def test_patient_has_one_hold_over_all_browsers(slots, service, patient):
    first = hold(slots[0], service, "phone", patient=patient)
    hold(slots[1], service, "laptop", patient=patient)
    first.refresh_from_db()
    assert first.end_reason == "released"


def test_same_choice_in_another_browser_goes_on_there(slots, service, patient):
    first = hold(slots[0], service, "phone", patient=patient)
    second = hold(slots[0], service, "laptop", patient=patient)
    first.refresh_from_db()
    assert (first.end_reason, second.owner) == ("released", "laptop")
    assert Slot.objects.get(pk=slots[0].pk).hold_id == second.pk


def test_hold_takes_all_slots_of_a_long_service(slots, practitioner):
    double = factories.ServiceFactory(double=True, buffer_minutes=20, practitioners=[practitioner])
    mine = hold(slots[1], double)
    assert [s.hold_id for s in Slot.objects.order_by("pk")] == [None, mine.pk, mine.pk, mine.pk, None, None]
    assert mine.ends_at - mine.starts_at == dt.timedelta(minutes=40)


@pytest.mark.parametrize("taken", [1, 2])
def test_long_service_takes_all_or_none(slots, service, practitioner, taken):
    long = factories.ServiceFactory(duration_minutes=60, practitioners=[practitioner])
    hold(slots[taken], service)
    with pytest.raises(errors.SlotTaken):
        hold(slots[0], long, "other")
    assert Slot.objects.filter(hold__isnull=False).count() == 1


def test_chain_that_is_too_short_is_not_offered(slots, practitioner):
    long = factories.ServiceFactory(duration_minutes=60, practitioners=[practitioner])
    with pytest.raises(errors.NotOffered):
        hold(slots[4], long)


def test_gap_in_the_chain_is_not_offered(slots, practitioner):
    long = factories.ServiceFactory(duration_minutes=60, practitioners=[practitioner])
    slots[1].delete()
    with pytest.raises(errors.NotOffered):
        hold(slots[0], long)


def test_unknown_slot_is_gone(service, db):
    with pytest.raises(errors.SlotGone):
        booking.hold_slots(slot_id=999999, service_id=service.pk, owner="x")


def test_service_of_another_practitioner_is_not_offered(slots):
    with pytest.raises(errors.NotOffered):
        hold(slots[0], factories.ServiceFactory())


def test_service_for_another_kind_of_station_is_not_offered(slots, practitioner):
    with pytest.raises(errors.NotOffered):
        hold(slots[0], factories.ServiceFactory(station_kind="laser", practitioners=[practitioner]))


def test_service_that_is_not_online_is_for_the_desk(slots, service):
    service.is_online = False
    service.save()
    with pytest.raises(errors.NotOffered):
        hold(slots[0], service)
    assert hold(slots[0], service, any_service=True)


def test_past_slot_is_refused(practitioner, station, service):
    slot = factories.make_slots(practitioner, station, factories.tomorrow_at(9) - dt.timedelta(days=2))[0]
    with pytest.raises(errors.SlotPast):
        hold(slot, service)


def test_blocked_slot_is_refused(slots, service):
    Slot.objects.filter(pk=slots[0].pk).update(is_blocked=True)
    with pytest.raises(errors.SlotBlocked):
        hold(slots[0], service)


def test_run_out_hold_blocks_nobody(slots, service):
    old = hold(slots[0], service)
    run_out(old)
    new = hold(slots[0], service, "other")
    old.refresh_from_db()
    assert old.end_reason == "expired"
    assert Slot.objects.get(pk=slots[0].pk).hold_id == new.pk
    assert Event.objects.get(topic="hold.expired").subject == f"hold:{old.pk}"


def test_same_choice_after_a_part_was_lost_is_refused(slots, service, practitioner):
    double = factories.ServiceFactory(double=True, practitioners=[practitioner])
    old = hold(slots[0], double)
    run_out(old)
    hold(slots[1], service, "other")
    assert Slot.objects.get(pk=slots[0].pk).hold_id == old.pk
    with pytest.raises(errors.SlotTaken):
        hold(slots[0], double)


def test_renewal_is_bounded(slots, service):
    mine = hold(slots[0], service)
    for _ in range(2):
        mine = booking.renew_hold(hold_id=mine.pk, owner="browser")
    with pytest.raises(errors.NoMoreRenewals):
        booking.renew_hold(hold_id=mine.pk, owner="browser")


def test_run_out_hold_cannot_be_renewed(slots, service):
    mine = hold(slots[0], service)
    run_out(mine)
    with pytest.raises(errors.HoldExpired):
        booking.renew_hold(hold_id=mine.pk, owner="browser")


def test_foreign_hold_is_unknown(slots, service):
    mine = hold(slots[0], service)
    for verb in (booking.renew_hold, booking.release_hold):
        with pytest.raises(errors.HoldGone):
            verb(hold_id=mine.pk, owner="other")


def test_release_frees_the_slots_and_repeats(slots, service):
    mine = hold(slots[0], service)
    for _ in range(2):
        booking.release_hold(hold_id=mine.pk, owner="browser")
    assert not Slot.objects.filter(hold__isnull=False).exists()


def test_sweeper_ends_run_out_holds_only(slots, service):
    old, live = hold(slots[0], service, "a"), hold(slots[1], service, "b")
    run_out(old)
    assert (booking.expire_holds(), booking.expire_holds()) == (1, 0)
    assert list(Slot.objects.filter(hold__isnull=False).values_list("hold", flat=True)) == [live.pk]


def test_sweeper_tidies_what_a_partial_takeover_left(slots, service, practitioner):
    double = factories.ServiceFactory(double=True, practitioners=[practitioner])
    old = hold(slots[0], double, "a")
    run_out(old)
    new = hold(slots[0], service, "b")
    assert Slot.objects.get(pk=slots[1].pk).hold_id == old.pk
    booking.expire_holds()
    assert list(Slot.objects.filter(hold__isnull=False).values_list("hold", flat=True)) == [new.pk]


def test_confirm_makes_session_visit_and_event(slots, service, patient):
    made = confirm(hold(slots[0], service), patient, note="first time")
    stored = Booking.objects.get()
    assert (stored, stored.status, stored.note, stored.price_cents) == (made, "booked", "first time", 6500)
    assert stored.session.status == SessionTicket.Status.SCHEDULED
    assert stored.visit == VisitTicket.objects.get(patient=patient, clinic=stored.clinic)
    assert Slot.objects.get(pk=slots[0].pk).status == "booked"
    assert Hold.objects.get().end_reason == "confirmed"
    assert Event.objects.get(topic="appointment.booked").data["reference"] == stored.reference


def test_confirm_twice_is_one_booking(slots, service, patient):
    mine = hold(slots[0], service)
    assert confirm(mine, patient) == confirm(mine, patient)
    assert Event.objects.filter(topic="appointment.booked").count() == 1


def test_bookings_of_a_day_share_the_visit(slots, service, patient):
    confirm(hold(slots[0], service), patient)
    confirm(hold(slots[1], service), patient)
    assert VisitTicket.objects.count() == 1
    assert Booking.objects.count() == 2


def test_run_out_hold_is_not_confirmed(slots, service, patient):
    mine = hold(slots[0], service)
    run_out(mine)
    with pytest.raises(errors.HoldExpired):
        confirm(mine, patient)


def test_late_payment_wins_a_free_slot_back(slots, service, patient):
    mine = hold(slots[0], service)
    run_out(mine)
    booking.expire_holds()
    assert confirm(mine, patient, late=True).starts_at == slots[0].starts_at


def test_late_payment_loses_a_taken_slot(slots, service, patient):
    mine = hold(slots[0], service)
    run_out(mine)
    rival = hold(slots[0], service, "other")
    with pytest.raises(errors.SlotTaken):
        confirm(mine, patient, late=True)
    assert Slot.objects.get(pk=slots[0].pk).hold_id == rival.pk


def test_late_payment_wins_nothing_back_once_the_visit_began(slots, service, patient):
    mine = hold(slots[0], service)
    run_out(mine)
    Hold.objects.update(starts_at=F("starts_at") - dt.timedelta(days=2))
    Slot.objects.filter(pk=slots[0].pk).update(starts_at=F("starts_at") - dt.timedelta(days=2))
    with pytest.raises(errors.HoldExpired):
        confirm(mine, patient, late=True)


@pytest.mark.parametrize("end", ["release", "choose anew"])
def test_hold_that_ran_out_is_told_however_it_ends(slots, service, end):
    mine = hold(slots[0], service)
    run_out(mine)
    if end == "release":
        booking.release_hold(hold_id=mine.pk, owner="browser")
    else:
        hold(slots[3], service)
    assert Event.objects.get(topic="hold.expired").subject == f"hold:{mine.pk}"


def test_released_hold_is_never_won_back(slots, service, patient):
    mine = hold(slots[0], service)
    booking.release_hold(hold_id=mine.pk, owner="browser")
    with pytest.raises(errors.HoldExpired):
        confirm(mine, patient, late=True)


def test_patient_cannot_be_in_two_places(slots, service, patient, clinic):
    other = factories.PractitionerFactory()
    service.practitioners.add(other)
    rival = factories.make_slots(other, factories.StationFactory(clinic=clinic), slots[0].starts_at)
    confirm(hold(slots[0], service), patient)
    with pytest.raises(errors.PatientBusy):
        confirm(hold(rival[0], service), patient)


def act(verb, made, **more):
    with transaction.atomic():
        return verb(booking_id=made.pk, **more)


def test_cancel_frees_the_slot(slots, service, patient):
    made = confirm(hold(slots[0], service), patient)
    act(booking.cancel_booking, made, by=patient.user, reason="patient")
    made.refresh_from_db()
    assert (made.status, made.session.status) == ("cancelled", "cancelled")
    assert Slot.objects.get(pk=slots[0].pk).status == "available"
    assert Event.objects.filter(topic="appointment.cancelled").count() == 1


def test_cancel_twice_is_refused(slots, service, patient):
    made = confirm(hold(slots[0], service), patient)
    act(booking.cancel_booking, made, by=patient.user, reason="patient")
    with pytest.raises(errors.WrongState):
        act(booking.cancel_booking, made, by=patient.user, reason="patient")


def test_patient_cancels_until_it_begins(slots, service, patient, receptionist, clinic):
    made = confirm(hold(slots[0], service), patient)
    Booking.objects.filter(pk=made.pk).update(starts_at=Now() - dt.timedelta(minutes=1))
    with pytest.raises(errors.TooLate):
        act(booking.cancel_booking, made, by=patient.user, reason="patient", patient_asks=True)
    assert act(booking.cancel_booking, made, by=receptionist, reason="desk").status == "cancelled"


def test_move_takes_the_new_and_frees_the_old(slots, service, patient):
    made = confirm(hold(slots[0], service), patient)
    moved = act(booking.move_booking, made, slot_id=slots[3].pk, by=patient.user, version=made.version)
    assert moved.starts_at == slots[3].starts_at
    assert [s.booking_id for s in Slot.objects.order_by("pk")] == [None, None, None, made.pk, None, None]
    assert Event.objects.filter(topic="appointment.moved").count() == 1


def test_move_by_one_slot_overlaps_itself(slots, practitioner, patient):
    double = factories.ServiceFactory(double=True, practitioners=[practitioner])
    made = confirm(hold(slots[0], double), patient)
    act(booking.move_booking, made, slot_id=slots[1].pk, by=None)
    assert [s.booking_id for s in Slot.objects.order_by("pk")] == [None, made.pk, made.pk, None, None, None]


def test_moved_visit_keeps_the_length_it_was_booked_with(slots, practitioner, patient):
    double = factories.ServiceFactory(double=True, practitioners=[practitioner])
    made = confirm(hold(slots[0], double), patient)
    double.duration_minutes = 20
    double.save()
    moved = act(booking.move_booking, made, slot_id=slots[3].pk, by=None)
    assert moved.ends_at == slots[4].ends_at
    assert [s.booking_id for s in Slot.objects.order_by("pk")] == [None, None, None, made.pk, made.pk, None]


def test_move_onto_a_held_slot_is_refused(slots, service, patient):
    made = confirm(hold(slots[0], service), patient)
    hold(slots[3], service, "other")
    with pytest.raises(errors.SlotTaken):
        act(booking.move_booking, made, slot_id=slots[3].pk, by=None)
    assert Slot.objects.get(pk=slots[0].pk).booking_id == made.pk


def test_move_with_an_old_version_is_refused(slots, service, patient):
    made = confirm(hold(slots[0], service), patient)
    act(booking.move_booking, made, slot_id=slots[3].pk, by=None, version=1)
    with pytest.raises(errors.ChangedMeanwhile):
        act(booking.move_booking, made, slot_id=slots[4].pk, by=None, version=1)


def test_day_is_followed_to_its_end(slots, service, patient, receptionist, day_of_visit):
    made = confirm(hold(slots[0], service), patient)
    before = Slot.objects.get(pk=slots[0].pk).version
    assert act(booking.check_in, made, by=receptionist).status == "arrived"
    assert Slot.objects.get(pk=slots[0].pk).version == before + 1
    act(booking.complete, made, by=receptionist)
    assert SessionTicket.objects.get().status == "completed"


def test_no_show_frees_the_time_and_forfeits(slots, service, patient, receptionist, day_of_visit):
    made = confirm(hold(slots[0], service), patient)
    act(booking.no_show, made, by=receptionist)
    assert SessionTicket.objects.get().status == "forfeited"
    assert Slot.objects.get(pk=slots[0].pk).status == "available"


def test_hold_is_one_statement(slots, service, django_assert_num_queries):
    with django_assert_num_queries(1):
        hold(slots[0], service)
