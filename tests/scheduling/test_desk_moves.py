"""A drop on the calendar: what it asks, what it does, how it is undone, and what the patient hears of it."""

import datetime as dt
import uuid

import pytest
from django.core import mail
from django.urls import reverse

from clinic_booking.events import NotYet
from clinic_booking.jobs import deliver
from clinic_booking.models import Event
from scheduling import desk_moves, desk_news
from scheduling.models import Booking, Slot
from scheduling.notifications import mail_about_visit
from scheduling.waitlist_news import offer_time_before_move
from tests import factories

pytestmark = pytest.mark.django_db
JSON = {"HTTP_ACCEPT": "application/json"}


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


@pytest.fixture
def booking(slots, service, patient):
    return factories.book(slots[:1], patient=patient, service=service)


def wall(instant, clinic):
    return f"{instant.astimezone(clinic.zone):%Y-%m-%dT%H:%M}"


def drop(client, booking, slot, *, version=1, key=None, **more):
    data = {
        "key": key or uuid.uuid4(),
        "version": version,
        "clinic": slot.clinic.slug,
        "practitioner": slot.practitioner_id,
        "start": wall(slot.starts_at, slot.clinic),
    }
    url = reverse("desk_move", args=[booking.clinic.slug, booking.reference])
    return client.post(url, data | more, **JSON)


def undo(client, booking, answer):
    url = reverse("desk_undo", args=[booking.clinic.slug, booking.reference])
    return client.post(url, {"key": answer.json()["key"]}, **JSON)


def place(booking):
    booking = Booking.objects.get(pk=booking.pk)
    claimed = list(Slot.objects.filter(booking=booking).order_by("starts_at").values_list("pk", flat=True))
    return booking.starts_at, booking.version, claimed


def move_events():
    return list(Event.objects.filter(topic="appointment.moved").order_by("pk"))


# -- Dropping ------------------------------------------------------------------------------------


def test_drop_moves_at_once(desk, booking, slots, receptionist):
    answer = drop(desk, booking, slots[3])
    assert answer.status_code == 200
    assert place(booking) == (slots[3].starts_at, 2, [slots[3].pk])
    assert answer.json()["moved"][0]["start"] == wall(slots[3].starts_at, booking.clinic)
    assert "in 3 minutes" in answer.json()["notes"][0]
    assert move_events()[0].data["by"] == receptionist.pk


def test_drop_inside_a_slot_means_the_slot(desk, booking, slots):
    start = wall(slots[3].starts_at + dt.timedelta(minutes=7), booking.clinic)
    assert drop(desk, booking, slots[3], start=start).status_code == 200
    assert place(booking)[0] == slots[3].starts_at


def test_drop_on_a_station(desk, booking, slots, station):
    drop(desk, booking, slots[2], practitioner="", station=station.pk)
    assert place(booking)[2] == [slots[2].pk]


def test_lost_answer_is_asked_for_again(desk, booking, slots):
    key = uuid.uuid4()
    first = drop(desk, booking, slots[3], key=key)
    again = drop(desk, booking, slots[3], key=key)
    assert again.json()["moved"] == first.json()["moved"]
    assert len(move_events()) == 1


def test_dry_run_changes_nothing(desk, booking, slots):
    before = place(booking)
    answer = drop(desk, booking, slots[3], dry="1").json()
    assert answer["ask"]["questions"] == []
    assert place(booking) == before
    assert not move_events()


@pytest.mark.parametrize(
    ("spoil", "status", "words"),
    [
        ("taken", 409, "is taken"),
        ("held", 409, "is taken"),
        ("blocked", 409, "is blocked"),
        ("past", 409, "already over"),
        ("other", 422, "cannot be given there"),
        ("busy", 409, "The patient already has a visit"),
    ],
)
def test_drop_where_it_cannot_be(desk, booking, slots, service, patient, spoil, status, words):
    target = slots[3]
    if spoil == "taken":
        factories.book([target], service=service)
    elif spoil == "held":
        factories.hold([target], service=service)
    elif spoil == "blocked":
        Slot.objects.filter(pk=target.pk).update(is_blocked=True, block_reason="Lunch")
    elif spoil == "past":
        long_ago = factories.tomorrow_at(9) - dt.timedelta(3)
        [target] = factories.make_slots(target.practitioner, target.station, long_ago, slots=1)
    elif spoil == "other":
        [target] = factories.make_slots(
            factories.PractitionerFactory(),
            factories.StationFactory(clinic=booking.clinic),
            target.starts_at,
            slots=1,
        )
    else:
        [elsewhere] = factories.make_slots(
            factories.PractitionerFactory(), factories.StationFactory(), target.starts_at, slots=1
        )
        factories.book([elsewhere], patient=patient)
    before = place(booking)
    answer = drop(desk, booking, target)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True)
    assert answer.json()["now"]["version"] == 1
    assert place(booking) == before


def test_drop_outside_the_hours(desk, booking, slots):
    answer = drop(desk, booking, slots[0], start=wall(slots[0].starts_at, booking.clinic)[:11] + "03:00")
    assert (answer.status_code, answer.json()["error"]) == (422, str(desk_moves.NoTimeThere.sentence))


@pytest.mark.parametrize(
    "broken_field", [{"start": "soon"}, {"version": "x"}, {"key": "1"}, {"clinic": "no"}]
)
def test_nonsense_is_refused(desk, booking, slots, broken_field):
    answer = drop(desk, booking, slots[3], **broken_field)
    assert answer.status_code == 422
    assert answer.json()["error"]


def test_stale_version_hears_who_was_faster(desk, client, booking, slots, clinic):
    other = factories.MembershipFactory(clinic=clinic, user__first_name="Mei", user__last_name="Lin").user
    client.force_login(other)
    drop(client, booking, slots[2])
    answer = drop(client, booking, slots[4])
    assert answer.status_code == 409
    assert answer.json()["error"].startswith("Mei Lin changed this visit just now. It is: ")
    assert "09:40" in answer.json()["error"]
    assert answer.json()["now"]["version"] == 2


# -- What is asked first -------------------------------------------------------------------------


def test_other_clinic_is_asked_for(desk, booking, slots, receptionist, service):
    elsewhere = factories.StationFactory()
    factories.MembershipFactory(user=receptionist, clinic=elsewhere.clinic)
    later = slots[-1].ends_at + dt.timedelta(hours=2)
    [slot] = factories.make_slots(slots[0].practitioner, elsewhere, later, slots=1)
    asked = drop(desk, booking, slot).json()["ask"]
    assert elsewhere.clinic.name in asked["questions"][0]
    assert place(booking)[1] == 1
    assert drop(desk, booking, slot, sure="1").json()["moved"][0]["clinic"] == elsewhere.clinic.slug


def test_clinic_without_permission_is_refused(desk, booking, slots):
    elsewhere = factories.StationFactory()
    [slot] = factories.make_slots(slots[0].practitioner, elsewhere, slots[-1].ends_at, slots=1)
    assert "may not act" in drop(desk, booking, slot).json()["error"]


def test_other_stops_are_asked_for_and_go_along(desk, booking, slots, service, patient):
    other = factories.book(slots[1:2], patient=patient, service=service, visit=booking.visit)
    asked = drop(desk, booking, slots[3]).json()["ask"]
    assert "another appointment that day: 09:20" in asked["questions"][0]
    assert asked["along"] is True
    answer = drop(desk, booking, slots[3], sure="1", whole="1")
    assert len(answer.json()["moved"]) == 2
    assert (place(booking)[2], place(other)[2]) == ([slots[3].pk], [slots[4].pk])
    undo(desk, booking, answer)
    assert (place(booking)[2], place(other)[2]) == ([slots[0].pk], [slots[1].pk])


def test_rules_of_a_course_are_asked_for(desk, booking, slots):
    request = booking.session.request
    request.valid_until = booking.clinic.local_date(booking.starts_at)
    request.save()
    next_day = slots[0].starts_at + dt.timedelta(1)
    [slot] = factories.make_slots(slots[0].practitioner, slots[0].station, next_day, slots=1)
    assert len(drop(desk, booking, slot).json()["ask"]["questions"]) == 1
    assert "moved" in drop(desk, booking, slots[4]).json()


# -- Undoing -------------------------------------------------------------------------------------


def test_undo_moves_back_once(desk, booking, slots):
    answer = drop(desk, booking, slots[3])
    undone = undo(desk, booking, answer)
    assert "09:00" in undone.json()["sentence"]
    assert place(booking) == (slots[0].starts_at, 3, [slots[0].pk])
    assert undo(desk, booking, answer).json()["moved"] == undone.json()["moved"]
    assert place(booking)[1] == 3


def test_undo_after_the_old_time_began(desk, service, patient, practitioner, station):
    now = desk_moves.database_now().replace(second=0, microsecond=0)
    old = factories.make_slots(practitioner, station, now - dt.timedelta(minutes=5), slots=2)
    booking = factories.book(old[:1], patient=patient, service=service)
    answer = drop(desk, booking, old[1])
    assert undo(desk, booking, answer).status_code == 200
    assert place(booking)[2] == [old[0].pk]


def test_undo_is_for_who_moved_it(desk, client, booking, slots, clinic):
    answer = drop(desk, booking, slots[3])
    client.force_login(factories.MembershipFactory(clinic=clinic).user)
    assert undo(client, booking, answer).status_code == 404
    assert place(booking)[1] == 2


def test_undo_after_a_second_move_is_refused(desk, booking, slots):
    answer = drop(desk, booking, slots[3])
    drop(desk, booking, slots[4], version=2)
    assert undo(desk, booking, answer).status_code == 409
    assert place(booking)[2] == [slots[4].pk]


def test_undo_where_the_old_time_is_taken(desk, booking, slots, service):
    answer = drop(desk, booking, slots[3])
    factories.book(slots[:1], service=service)
    assert undo(desk, booking, answer).status_code == 409
    assert place(booking)[2] == [slots[3].pk]


def test_undo_has_an_end(desk, booking, slots, monkeypatch):
    answer = drop(desk, booking, slots[3])
    monkeypatch.setattr(desk_moves, "UNDO_WITHIN", dt.timedelta(0))
    assert "too late" in undo(desk, booking, answer).json()["error"]


# -- Where to ------------------------------------------------------------------------------------


def targets(client, booking):
    day = booking.clinic.local_date(booking.starts_at)
    url = reverse("desk_targets", args=[booking.clinic.slug, booking.reference])
    return client.get(url, {"from": day, "to": day, "clinic": booking.clinic.slug}).json()["starts"]


def starts(found):
    return [start[3][-5:] for start in found]


def test_targets_are_where_it_fits(desk, slots, patient, practitioner):
    double = factories.ServiceFactory(double=True, practitioners=[practitioner])
    booking = factories.book(slots[:2], patient=patient, service=double)
    factories.book(slots[4:5])
    assert starts(targets(desk, booking)) == ["09:00", "09:20", "09:40"]


def test_targets_spare_where_the_patient_is(desk, booking, slots, patient):
    [elsewhere] = factories.make_slots(
        factories.PractitionerFactory(), factories.StationFactory(), slots[2].starts_at, slots=1
    )
    factories.book([elsewhere], patient=patient)
    assert "09:40" not in starts(targets(desk, booking))


def test_targets_count_own_equipment_as_free(desk, slots, patient, practitioner, clinic):
    factories.EquipmentFactory(clinic=clinic, kind="laser", units=1)
    service = factories.ServiceFactory(equipment_kinds=["laser"], double=True, practitioners=[practitioner])
    booking = factories.book(slots[:2], patient=patient, service=service)
    drop(desk, booking, slots[1])
    assert "09:00" in starts(targets(desk, Booking.objects.get(pk=booking.pk)))


# -- For whom ------------------------------------------------------------------------------------


def test_doctors_only_look(client, booking, slots, clinic):
    client.force_login(factories.MembershipFactory(clinic=clinic, role="doctor").user)
    assert drop(client, booking, slots[3]).status_code == 403
    assert place(booking)[1] == 1


def test_permission_lost_in_mid_session(desk, booking, slots, receptionist):
    receptionist.memberships.all().delete()
    assert drop(desk, booking, slots[3]).status_code == 404
    assert place(booking)[1] == 1


# -- Without scripts -----------------------------------------------------------------------------


def test_dialog_moves_without_scripts(desk, booking, slots):
    url = reverse("desk_move", args=[booking.clinic.slug, booking.reference])
    page = desk.get(url).content.decode()
    to = f"{slots[3].practitioner_id} {slots[3].station_id} {wall(slots[3].starts_at, booking.clinic)}"
    assert to in page
    data = {"key": uuid.uuid4(), "version": 1, "clinic": booking.clinic.slug, "to": to}
    assert desk.post(url, data).headers["location"].startswith(f"/desk/{booking.clinic.slug}/?date=")
    stale = desk.post(url, data | {"key": uuid.uuid4()})
    assert stale.status_code == 409
    assert "changed this visit just now" in stale.content.decode()


def test_dialog_asks_without_scripts(desk, booking, slots, service, patient):
    factories.book(slots[1:2], patient=patient, service=service, visit=booking.visit)
    url = reverse("desk_move", args=[booking.clinic.slug, booking.reference])
    to = f"{slots[3].practitioner_id} {slots[3].station_id} {wall(slots[3].starts_at, booking.clinic)}"
    data = {"key": uuid.uuid4(), "version": 1, "clinic": booking.clinic.slug, "to": to}
    assert "another appointment that day" in desk.post(url, data).content.decode()
    assert desk.post(url, data | {"sure": "1"}).status_code == 302


def test_cancel_with_a_reason(desk, booking, receptionist):
    url = reverse("desk_cancel", args=[booking.clinic.slug, booking.reference])
    assert "cannot be undone" in desk.get(url).content.decode()
    assert desk.post(url, {"version": 7, "reason": "clinic"}, **JSON).status_code == 409
    assert desk.post(url, {"version": 1, "reason": "clinic"}, **JSON).status_code == 200
    booking.refresh_from_db()
    assert (booking.status, booking.cancel_reason, booking.cancelled_by) == (
        "cancelled",
        "clinic",
        receptionist,
    )


# -- What the patient hears ----------------------------------------------------------------------


@pytest.fixture
def later(monkeypatch):
    monkeypatch.setattr(desk_news, "PATIENTS_WAIT", dt.timedelta(0))


def hear():
    for event in Event.objects.filter(topic__startswith="appointment.").order_by("pk"):
        mail_about_visit(event)
    return [message.subject for message in mail.outbox]


def test_patient_hears_three_minutes_later(desk, booking, slots):
    drop(desk, booking, slots[3])
    [event] = move_events()
    with pytest.raises(NotYet) as wait:
        mail_about_visit(event)
    assert 170 < wait.value.seconds <= 180


def test_waiting_message_is_a_job_for_later(desk, booking, slots):
    from procrastinate.contrib.django.models import ProcrastinateJob

    drop(desk, booking, slots[3])
    [event] = move_events()
    for name in (
        "scheduling.notifications.mail_about_visit",
        "scheduling.waitlist_news.offer_time_before_move",
    ):
        deliver(event_id=event.pk, subscriber=name)
    mailing, offering = ProcrastinateJob.objects.filter(queue_name="later").order_by("pk")
    assert 170 < (mailing.scheduled_at - event.created_at).total_seconds() < 190
    assert (offering.scheduled_at - event.created_at).total_seconds() < 25
    assert not mail.outbox


def test_old_time_is_not_offered_while_it_may_be_undone(desk, booking, slots):
    drop(desk, booking, slots[3])
    with pytest.raises(NotYet):
        offer_time_before_move(move_events()[0])


def test_undone_move_sends_nothing(desk, booking, slots, later):
    undo(desk, booking, drop(desk, booking, slots[3]))
    assert hear() == []


def test_two_moves_send_the_last_time(desk, booking, slots, later):
    drop(desk, booking, slots[3])
    drop(desk, booking, slots[4], version=2)
    [subject] = hear()
    assert "10:20" in subject
    assert hear() == [subject]


def test_moved_and_moved_back_later_is_told(desk, booking, slots, later):
    drop(desk, booking, slots[3])
    assert len(hear()) == 1
    drop(desk, booking, slots[0], version=2)
    assert "09:00" in hear()[1]


def test_cancelled_in_between_sends_the_cancellation_of_what_was_told(desk, booking, slots, later):
    drop(desk, booking, slots[3])
    url = reverse("desk_cancel", args=[booking.clinic.slug, booking.reference])
    desk.post(url, {"version": 2, "reason": "patient"}, **JSON)
    [subject] = hear()
    assert "cancelled" in subject
    assert "09:00" in subject
    assert "09:00" in mail.outbox[0].body


def test_other_doctor_and_room_at_the_same_time_are_no_news(desk, booking, slots, service, station, later):
    stand_in = factories.PractitionerFactory()
    service.practitioners.add(stand_in)
    slot = slots[3]
    drop(desk, booking, slot)
    assert len(hear()) == 1
    Slot.objects.filter(pk=slots[4].pk).delete()
    room = factories.StationFactory(clinic=booking.clinic)
    [other] = factories.make_slots(stand_in, room, slot.starts_at, slots=1)
    drop(desk, booking, other, version=2)
    assert len(hear()) == 1


def test_nobody_is_asked_about_what_cannot_be(desk, booking, slots, service, patient):
    factories.book(slots[1:2], patient=patient, service=service, visit=booking.visit)
    factories.book(slots[4:5], service=service)
    assert "is taken" in drop(desk, booking, slots[4]).json()["error"]


def test_visit_whose_next_stop_is_in_the_way_may_go_as_a_whole(desk, slots, patient, practitioner, service):
    double = factories.ServiceFactory(double=True, practitioners=[practitioner])
    booking = factories.book(slots[:2], patient=patient, service=double)
    doctor = factories.PractitionerFactory()
    service.practitioners.add(doctor)
    room = factories.StationFactory(clinic=booking.clinic)
    late = factories.make_slots(doctor, room, slots[2].starts_at, slots=3)
    factories.book(late[:1], patient=patient, service=service, visit=booking.visit)
    asked = drop(desk, booking, slots[1]).json()["ask"]
    assert asked["along"] is True
    assert "moved" in drop(desk, booking, slots[1], sure="1", whole="1").json()
