"""The desk's pages about hours, and the patient's page about a new time."""

import datetime as dt

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from clinic_booking.models import Event
from scheduling import changes
from scheduling.models import Booking, ChangePlan, ChangeProposal, ScheduleException, ScheduleTemplate
from scheduling.notifications import mail_about_visit, mail_to_choose
from tests import factories
from tests.scheduling.replanning import Kind, at, leave, no_holidays, practise, sick_day, visit

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def every_day_works(monkeypatch):
    no_holidays(monkeypatch)


@pytest.fixture
def consultation(db):
    return factories.ServiceFactory(name="Consultation", slug="consultation")


@pytest.fixture
def lim(clinic, consultation):
    return practise(clinic, consultation)


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


def url(name, clinic, *args):
    return reverse(name, args=[clinic.slug, *args])


def enter(desk, clinic, what, **fields):
    return desk.post(url("supply_new", clinic, what), fields)


def day(clinic, ahead):
    return (clinic.today() + dt.timedelta(ahead)).isoformat()


# -- Who may -------------------------------------------------------------------------------------


def test_pages_are_for_the_clinics_staff(client, desk, lim, consultation, patient, receptionist):
    visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    pages = [
        url("supply", lim.clinic),
        url("supply_new", lim.clinic, "leave"),
        url("supply_hours", lim.clinic, lim.pk),
        url("supply_end_hours", lim.clinic, lim.pk),
        url("supply_plan", lim.clinic, plan.pk),
        url("supply_proposal", lim.clinic, plan.proposals.get().pk),
    ]

    assert {desk.get(page).status_code for page in pages} == {200}
    client.force_login(patient.user)
    assert {client.get(page).status_code for page in pages} == {404}
    for name in ("supply_application", "supply_discard"):
        assert client.post(url(name, lim.clinic, plan.pk)).status_code == 404
    client.logout()
    assert {client.get(page).status_code for page in pages} == {302}


def test_plan_of_another_clinic_is_not_found(desk, lim, receptionist):
    other = factories.MembershipFactory(user=receptionist).clinic

    assert desk.get(url("supply_plan", other, sick_day(lim, receptionist).pk)).status_code == 404
    assert desk.get(url("supply_hours", other, lim.pk)).status_code == 404


def test_unknown_kind_of_edit_is_not_found(desk, clinic):
    assert desk.get(url("supply_new", clinic, "party")).status_code == 404


# -- From entering to applying -------------------------------------------------------------------


def test_sick_day_is_entered_shown_and_applied(desk, lim, consultation):
    made = visit(lim, consultation, 9)

    answer = enter(
        desk, lim.clinic, "leave", practitioner=lim.practitioner_id, first=day(lim.clinic, 1), everywhere="on"
    )
    page = desk.get(answer.url).content.decode()

    assert f'data-proposal="{made.reference}"' in page
    assert not ScheduleException.objects.exists()
    plan = ChangePlan.objects.get()
    fields = {"seen": plan.computed_at.strftime("%Y-%m-%dT%H:%M:%S.%f%z"), "move": [plan.proposals.get().pk]}
    applied = desk.post(url("supply_application", lim.clinic, plan.pk), fields, follow=True).content.decode()
    assert "1 visit has a new time and its patient is told." in applied
    assert Booking.objects.get().starts_at == at(lim.clinic, 9, day=2)


def test_visit_that_is_not_ticked_is_listed(desk, lim, consultation, receptionist):
    made = visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    fields = {"seen": plan.computed_at.strftime("%Y-%m-%dT%H:%M:%S.%f%z")}

    applied = desk.post(url("supply_application", lim.clinic, plan.pk), fields, follow=True).content.decode()

    assert "1 still needs one." in applied
    listed = desk.get(url("supply", lim.clinic)).content.decode()
    assert "Visits that need a new time" in listed
    assert made.patient.name in listed


def test_open_visit_gets_a_time_from_the_list(desk, lim, consultation, receptionist):
    visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    changes.decide(plan_id=plan.pk, left_open=[plan.proposals.get().pk], seen=plan.computed_at)
    changes.apply_plan(plan_id=plan.pk, by=receptionist)
    page = url("supply_visit", lim.clinic, Booking.objects.get().reference)
    time = f"{lim.practitioner_id}/{at(lim.clinic, 10, day=2).isoformat(timespec='minutes')}"

    assert time in desk.get(page).content.decode()
    desk.post(page, {"time": time})

    assert Booking.objects.get().starts_at == at(lim.clinic, 10, day=2)
    assert not ChangeProposal.objects.open_proposals().exists()
    assert desk.get(page).status_code == 404


def test_another_time_is_chosen_in_the_plan(desk, lim, consultation, receptionist):
    visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    page = url("supply_proposal", lim.clinic, plan.proposals.get().pk)
    time = f"{lim.practitioner_id}/{at(lim.clinic, 11, day=3).isoformat(timespec='minutes')}"

    assert desk.post(page, {"time": time}).url == url("supply_plan", lim.clinic, plan.pk)

    assert plan.proposals.get().starts_at == at(lim.clinic, 11, day=3)
    assert Booking.objects.get().starts_at == at(lim.clinic, 9)


@pytest.mark.parametrize("time", ["", "x", "1/2026-13-45T99:99+08:00", "1/yesterday"])
def test_time_that_is_none_is_refused(desk, lim, consultation, receptionist, time):
    visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)

    answer = desk.post(url("supply_proposal", lim.clinic, plan.proposals.get().pk), {"time": time})

    assert answer.status_code == 422


def test_changed_meanwhile_is_said_and_shown(desk, lim, consultation, receptionist):
    visit(lim, consultation, 9)
    plan = sick_day(lim, receptionist)
    fields = {"seen": plan.computed_at.strftime("%Y-%m-%dT%H:%M:%S.%f%z"), "move": [plan.proposals.get().pk]}
    late = visit(lim, consultation, 10)

    page = desk.post(url("supply_application", lim.clinic, plan.pk), fields, follow=True).content.decode()

    assert "nothing was applied" in page
    assert late.reference in page
    assert not ScheduleException.objects.exists()


def test_discarded_plan_leaves_the_list(desk, lim, receptionist):
    plan = sick_day(lim, receptionist)

    page = desk.post(url("supply_discard", lim.clinic, plan.pk), follow=True).content.decode()

    assert "Nothing was changed." in page
    assert "Not applied yet" not in page


def test_hours_are_changed_with_their_breaks(desk, lim, receptionist):
    form = desk.get(url("supply_hours", lim.clinic, lim.pk)).context["form"]
    fields = {n: form[n].value() for n in form.fields if form[n].value() is not None}
    fields |= {"breaks": "10:00-10:20, 11:00–11:20", "starts_at": "08:00", "ends_at": "12:00"}

    plan_page = desk.post(url("supply_hours", lim.clinic, lim.pk), fields)
    assert plan_page.status_code == 302, form.errors
    plan = ChangePlan.objects.get()
    changes.apply_plan(plan_id=plan.pk, by=receptionist)

    template = ScheduleTemplate.objects.get()
    assert (template.starts_at, template.breaks.count()) == (dt.time(8), 2)
    assert plan.added > 0


def test_hours_are_ended(desk, lim):
    answer = desk.post(url("supply_end_hours", lim.clinic, lim.pk), {"last": day(lim.clinic, 2)})

    assert desk.get(answer.url).status_code == 200
    assert ChangePlan.objects.get().removed == 27


def test_leave_is_removed_through_a_plan(desk, lim, receptionist):
    changes.apply_plan(plan_id=sick_day(lim, receptionist).pk, by=receptionist)

    answer = desk.post(url("supply_removal", lim.clinic, ScheduleException.objects.get().pk))

    assert ScheduleException.objects.exists()
    assert ChangePlan.objects.get(kind=Kind.REMOVE).added == 9
    assert desk.get(answer.url).status_code == 200


def test_overview_has_few_queries(desk, lim, consultation, receptionist, django_assert_max_num_queries):
    for minute in (0, 20, 40):
        visit(lim, consultation, 9, minute)
    changes.apply_plan(plan_id=sick_day(lim, receptionist).pk, by=receptionist)

    with django_assert_max_num_queries(16):
        desk.get(url("supply", lim.clinic))
    with django_assert_max_num_queries(12):
        desk.get(url("supply_plan", lim.clinic, ChangePlan.objects.get().pk))


# -- Bad input -----------------------------------------------------------------------------------


def said(answer, field=None):
    assert answer.status_code == 422
    return " ".join(sum(answer.context["form"].errors.values(), []))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"first": 3, "last": 2}, "The end must be after the start."),
        ({"first": 1, "from_time": "12:00", "until_time": "09:00"}, "The end must be after the start."),
        ({"first": -3, "last": -2}, "This time is already over."),
        ({"first": 1, "last": 500}, "longer than a year"),
        ({"first": 1, "from_time": "25:00"}, "This is not a time such as 09:30."),
        ({}, "This field is required."),
    ],
)
def test_leave_that_makes_no_sense_is_explained(desk, lim, fields, sentence):
    fields = {k: day(lim.clinic, v) if isinstance(v, int) else v for k, v in fields.items()}

    answer = enter(desk, lim.clinic, "leave", practitioner=lim.practitioner_id, everywhere="on", **fields)

    assert sentence in said(answer)
    assert not ChangePlan.objects.exists()


def test_leave_inside_leave_is_explained(desk, lim):
    factories.ScheduleExceptionFactory(
        leave=True,
        practitioner=lim.practitioner,
        starts_at=at(lim.clinic, 0),
        ends_at=at(lim.clinic, 0, day=6),
    )

    answer = enter(desk, lim.clinic, "leave", practitioner=lim.practitioner_id, first=day(lim.clinic, 2))

    assert "overlaps what is already entered: Leave" in said(answer)


def test_leave_elsewhere_is_for_the_staff_there(desk, lim, receptionist):
    other = factories.ScheduleTemplateFactory(
        practitioner=lim.practitioner, starts_at=dt.time(14), ends_at=dt.time(15)
    )
    fields = {"practitioner": lim.practitioner_id, "first": day(lim.clinic, 1)}

    assert f"not on the staff of {other.clinic.name}" in said(
        enter(desk, lim.clinic, "leave", everywhere="on", **fields)
    )
    assert enter(desk, lim.clinic, "leave", **fields).status_code == 302
    factories.MembershipFactory(user=receptionist, clinic=other.clinic)
    assert enter(desk, lim.clinic, "leave", everywhere="on", **fields).status_code == 302


@pytest.mark.parametrize("type", ["closure", "public_holiday"])
def test_closure_is_entered_once(desk, lim, receptionist, type):
    fields = {"type": type, "first": day(lim.clinic, 1)}
    enter(desk, lim.clinic, "closure", **fields)
    changes.apply_plan(plan_id=ChangePlan.objects.get().pk, by=receptionist)

    assert "overlaps what is already entered" in said(enter(desk, lim.clinic, "closure", **fields))


def test_closure_in_the_past_is_explained(desk, lim):
    answer = enter(desk, lim.clinic, "closure", type="closure", first=day(lim.clinic, -1))

    assert "This time is already over." in said(answer)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"from_time": "11:00", "until_time": "13:00"}, "overlap the regular hours of this practitioner"),
        ({"from_time": "14:00", "until_time": "14:00"}, "The end must be after the start."),
        ({"from_time": "14:00", "until_time": "14:10"}, "Not one slot of this length fits into these hours."),
        ({"from_time": "14:00", "until_time": "15:00", "slot_minutes": 0}, "greater than or equal to 5"),
        ({"from_time": "", "until_time": "15:00"}, "This field is required."),
    ],
)
def test_extra_hours_that_cannot_be_are_explained(desk, lim, fields, sentence):
    fields = {"slot_minutes": 20, "station": lim.station_id, "practitioner": lim.practitioner_id} | fields

    assert sentence in said(enter(desk, lim.clinic, "extra", first=day(lim.clinic, 1), **fields))


def test_extra_hours_respect_who_else_is_there(desk, lim, consultation, receptionist):
    tan = practise(lim.clinic, consultation, name="Dr Tan", starts_at=dt.time(14), ends_at=dt.time(15))
    fields = {"slot_minutes": 20, "practitioner": lim.practitioner_id, "first": day(lim.clinic, 1)}
    times = {"from_time": "14:00", "until_time": "15:00"}

    in_use = enter(desk, lim.clinic, "extra", station=tan.station_id, **times, **fields)
    foreign = enter(desk, lim.clinic, "extra", station=factories.StationFactory().pk, **times, **fields)
    fine = enter(desk, lim.clinic, "extra", station=lim.station_id, **times, **fields)

    assert "The station is in use by somebody else's hours then." in said(in_use)
    assert "Select a valid choice." in said(foreign)
    assert fine.status_code == 302
    changes.apply_plan(plan_id=ChangePlan.objects.get().pk, by=receptionist)
    again = enter(desk, lim.clinic, "extra", station=lim.station_id, **times, **fields)
    assert "There are extra hours" in said(again)


def test_extra_hours_in_leave_are_refused(desk, lim, receptionist):
    changes.apply_plan(plan_id=sick_day(lim, receptionist).pk, by=receptionist)
    fields = {"slot_minutes": 20, "practitioner": lim.practitioner_id, "first": day(lim.clinic, 1)}

    answer = enter(
        desk, lim.clinic, "extra", station=lim.station_id, from_time="09:00", until_time="10:00", **fields
    )

    assert "is on leave at this time" in said(answer)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"breaks": "08:00–08:20"}, "The break 08:00–08:20 lies outside the hours 14:00–17:00."),
        ({"breaks": "15:00–15:40, 15:20–16:00"}, "The breaks 15:00–15:40 and 15:20–16:00 overlap."),
        ({"breaks": "15:40–15:00"}, "A break must end after it starts."),
        ({"breaks": "noon"}, "Please write breaks like"),
        ({"breaks": "29:00–30:00"}, "Please write breaks like"),
        ({"ends_at": "13:00"}, "The end must be after the start."),
        ({"ends_at": "14:10"}, "Not one slot of this length fits into these hours."),
        ({"breaks": "14:10–17:00"}, "Not one slot of this length fits into these hours."),
        ({"weekdays": []}, "This field is required."),
        ({"starts_at": "11:00"}, "that overlap: 09:00–12:00"),
        ({"valid_until": "2024-01-01"}, "“Valid until” is before “valid from”."),
    ],
)
def test_hours_that_cannot_be_are_explained(desk, lim, fields, sentence):
    values = {
        "practitioner": lim.practitioner_id,
        "station": lim.station_id,
        "weekdays": [1, 2],
        "starts_at": "14:00",
        "ends_at": "17:00",
        "slot_minutes": 20,
        "valid_from": day(lim.clinic, 1),
        "every_n_weeks": 1,
    }

    assert sentence in said(enter(desk, lim.clinic, "hours", **values | fields))


def test_hours_do_not_end_before_they_begin(desk, clinic, consultation):
    later = practise(clinic, consultation, valid_from=clinic.today() + dt.timedelta(10))

    assert "begin later" in said(
        desk.post(url("supply_end_hours", clinic, later.pk), {"last": day(clinic, 5)})
    )


# -- The patient ---------------------------------------------------------------------------------


@pytest.fixture
def moved(lim, consultation, receptionist, patient):
    """A visit that a sick day has moved, and the e-mail about it."""
    made = visit(lim, consultation, 9, patient=patient)
    changes.apply_plan(plan_id=sick_day(lim, receptionist).pk, by=receptionist)
    made.refresh_from_db()
    mail_about_visit(Event.objects.get(topic="appointment.moved"))
    return made


def link_in(letter):
    return next(word for word in letter.body.split() if "key=" in word).split("/", 3)[3]


def test_letter_says_the_new_time_and_nothing_medical(moved, consultation):
    (letter,) = mail.outbox

    assert "has a new time" in letter.subject
    text = letter.body + letter.alternatives[0].content
    assert "/new-time/?key=" in text
    assert consultation.name not in text
    assert moved.practitioner.name not in text


def test_patient_accepts_with_one_tap(client, moved):
    page = client.get("/" + link_in(mail.outbox[0]), follow=True)
    assert "Is this new time good for you?" in page.content.decode()
    assert not ChangeProposal.objects.get().accepted_at

    accepted = client.post(reverse("new_time", args=[moved.reference]), follow=True).content.decode()

    assert "this time is yours" in accepted
    first = ChangeProposal.objects.get().accepted_at
    again = client.post(reverse("new_time", args=[moved.reference]), follow=True).content.decode()
    assert "You have accepted this time already." in again
    assert ChangeProposal.objects.get().accepted_at == first
    assert "this time is yours" in client.get("/" + link_in(mail.outbox[0]), follow=True).content.decode()


def test_page_needs_the_link(client, moved):
    page = reverse("new_time", args=[moved.reference])

    for answer in (client.get(page), client.post(page), client.get(page + "?key=wrong")):
        assert answer.status_code == 404


def test_patient_chooses_another_time_even_late(client, moved, lim, consultation):
    Booking.objects.filter(pk=moved.pk).update(free_cancel_hours=24 * 7)
    page = client.get("/" + link_in(mail.outbox[0]), follow=True).content.decode()
    assert f"/book/?service=consultation&amp;move={moved.reference}" in page
    slot = lim.slot_set.get(starts_at=at(lim.clinic, 11, day=3))

    client.post(reverse("move", args=[moved.reference]), {"slot": slot.pk, "version": moved.version})

    moved.refresh_from_db()
    assert moved.starts_at == at(lim.clinic, 11, day=3)
    assert client.get(reverse("new_time", args=[moved.reference])).url == reverse(
        "booking", args=[moved.reference]
    )
    assert not moved.can_be_changed()


def test_moved_again_the_first_letter_is_not_sent(lim, consultation, receptionist):
    made = visit(lim, consultation, 9)
    changes.apply_plan(plan_id=sick_day(lim, receptionist).pk, by=receptionist)
    event = Event.objects.get(topic="appointment.moved")
    Booking.objects.filter(pk=made.pk).update(version=9)

    mail_about_visit(event)

    assert mail.outbox == []


def test_patient_left_open_is_asked_to_choose(client, lim, consultation, receptionist, patient):
    made = visit(lim, consultation, 9, patient=patient)
    payload = leave(lim, at(lim.clinic, 0), at(lim.clinic, 0, day=2))
    plan = changes.draft_plan(clinic=lim.clinic, kind=Kind.LEAVE, payload=payload, by=receptionist)
    changes.decide(plan_id=plan.pk, left_open=[plan.proposals.get().pk], seen=plan.computed_at)
    changes.apply_plan(plan_id=plan.pk, by=receptionist, ask_open=True)

    event = Event.objects.get(topic="change.open")
    mail_to_choose(event)
    mail_to_choose(event)

    (letter,) = mail.outbox
    assert "needs a new time" in letter.subject
    page = client.get("/" + link_in(letter), follow=True).content.decode()
    assert "Please choose a new time" in page
    assert f"move={made.reference}" in page
    assert ChangeProposal.objects.get().asked_at <= timezone.now()
