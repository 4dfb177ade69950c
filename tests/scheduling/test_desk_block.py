"""Blocking, opening and adding times on the calendar: at once where nobody is hit, else as a plan; undone in one act."""

import datetime as dt

import pytest
from django.urls import reverse

from scheduling.models import ChangePlan, ScheduleException, Slot
from tests import factories

pytestmark = pytest.mark.django_db
JSON = {"HTTP_ACCEPT": "application/json"}


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


def wall(instant, clinic):
    return f"{instant.astimezone(clinic.zone):%Y-%m-%dT%H:%M}"


def send(client, clinic, first, last, **more):
    data = {
        "what": "block",
        "reason": "Meeting",
        "clinic": clinic.slug,
        "practitioner": first.practitioner_id,
        "start": wall(first.starts_at, clinic),
        "until": wall(last.ends_at, clinic),
    }
    return client.post(reverse("desk_block", args=[clinic.slug]), data | more, **JSON)


def blocked():
    return list(Slot.objects.filter(is_blocked=True).order_by("starts_at").values_list("pk", flat=True))


def test_empty_time_is_blocked_and_opened_again(desk, clinic, slots):
    answer = send(desk, clinic, slots[1], slots[3]).json()
    assert answer["sentence"] == "Blocked: 09:20–10:20."
    assert blocked() == [slot.pk for slot in slots[1:4]]
    assert Slot.objects.get(pk=slots[1].pk).block_reason == "Meeting"
    undone = desk.post(answer["undo"]["url"], {"slots": answer["undo"]["slots"]}, **JSON)
    assert undone.json()["sentence"] == "3 times are open again."
    assert blocked() == []


def test_blocking_a_visit_drafts_leave(desk, clinic, slots, service):
    made = factories.book(slots[2:3], service=service)
    answer = send(desk, clinic, slots[1], slots[3]).json()
    plan = ChangePlan.objects.get()
    assert answer["plan"] == reverse("supply_plan", args=[clinic.slug, plan.pk])
    assert (plan.kind, plan.payload["clinic"], plan.proposals.get().booking_id) == (
        "leave",
        clinic.pk,
        made.pk,
    )
    assert blocked() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reason": ""}, "say why"),
        ({"until": "2024-01-05T09:00"}, "must be after"),
        ({"start": "2024-01-05T09:00", "until": "2024-01-05T10:00"}, "already over"),
        ({"what": "extra"}, "who works there and where"),
        ({"what": "open"}, "Nothing is blocked"),
        ({"start": "tea"}, "not a time"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(desk, clinic, slots, change, words):
    answer = send(desk, clinic, slots[1], slots[3], **change)
    assert (answer.status_code, words in answer.json()["error"]) == (422, True)
    assert blocked() == []


def test_time_without_hours_is_not_blocked(desk, clinic, slots):
    late = slots[0].starts_at + dt.timedelta(hours=9)
    answer = send(
        desk,
        clinic,
        slots[0],
        slots[0],
        start=wall(late, clinic),
        until=wall(late + dt.timedelta(hours=1), clinic),
    )
    assert "no hours here" in answer.json()["error"]


def test_time_being_booked_is_not_blocked(desk, clinic, slots, service):
    factories.hold(slots[2:3], service=service)
    answer = send(desk, clinic, slots[1], slots[3])
    assert (answer.status_code, "booking one of these" in answer.json()["error"]) == (409, True)
    assert blocked() == []


def test_blocked_time_is_blocked_already(desk, clinic, slots):
    send(desk, clinic, slots[1], slots[1])
    assert "blocked already" in send(desk, clinic, slots[1], slots[1]).json()["error"]


def test_leave_inside_leave_is_refused(desk, clinic, slots, service):
    factories.book(slots[2:3], service=service)
    factories.ScheduleExceptionFactory(
        leave=True,
        practitioner=slots[0].practitioner,
        clinic=clinic,
        starts_at=slots[0].starts_at,
        ends_at=slots[5].ends_at,
    )
    answer = send(desk, clinic, slots[1], slots[3])
    assert (answer.status_code, "overlaps what is already entered" in answer.json()["error"]) == (409, True)


def test_time_closed_by_leave_is_not_opened_here(desk, clinic, slots):
    send(desk, clinic, slots[1], slots[1])
    factories.ScheduleExceptionFactory(
        leave=True, practitioner=slots[0].practitioner, starts_at=slots[0].starts_at, ends_at=slots[5].ends_at
    )
    answer = send(desk, clinic, slots[1], slots[1], what="open")
    assert "end it under Hours" in answer.json()["error"]
    assert blocked() == [slots[1].pk]


def extra(client, clinic, slots, **more):
    start = slots[-1].ends_at + dt.timedelta(hours=1)
    return send(
        client,
        clinic,
        slots[0],
        slots[0],
        what="extra",
        station=slots[0].station_id,
        start=wall(start, clinic),
        until=wall(start + dt.timedelta(minutes=40), clinic),
        **more,
    )


def test_extra_times_are_added_and_taken_back(desk, clinic, slots):
    answer = extra(desk, clinic, slots).json()
    assert answer["sentence"] == "Extra times added: 2."
    made = Slot.objects.filter(exception__isnull=False)
    assert made.count() == 2
    assert (
        "overlap" in extra(desk, clinic, slots).json()["error"]
        or "already" in extra(desk, clinic, slots).json()["error"]
    )
    assert desk.post(answer["undo"]["url"], **JSON).json()["sentence"] == "The extra times are gone again."
    assert made.count() == 0
    assert ScheduleException.objects.get().withdrawn_at


def test_extra_times_that_are_booked_stay(desk, clinic, slots, service):
    answer = extra(desk, clinic, slots).json()
    [first, _second] = Slot.objects.filter(exception__isnull=False).order_by("starts_at")
    factories.book([first], service=service)
    assert "plan" in desk.post(answer["undo"]["url"], **JSON).json()
    assert Slot.objects.filter(exception__isnull=False).count() == 2


def test_dialogs_work_without_scripts(desk, clinic, slots):
    page = desk.get(reverse("desk_block", args=[clinic.slug]), {"practitioner": slots[0].practitioner_id})
    assert "Block, with a reason" in page.content.decode()
    send(desk, clinic, slots[1], slots[2])
    place = {
        "clinic": clinic.slug,
        "practitioner": slots[0].practitioner_id,
        "start": wall(slots[1].starts_at, clinic),
        "until": wall(slots[1].ends_at, clinic),
    }
    page = desk.get(reverse("desk_unblock", args=[clinic.slug]), place).content.decode()
    assert "09:20–10:00" in page
    assert "Meeting" in page


def test_doctors_only_look(client, clinic, slots):
    client.force_login(factories.MembershipFactory(clinic=clinic, role="doctor").user)
    assert send(client, clinic, slots[1], slots[3]).status_code == 403
    assert blocked() == []
