"""The staff's page of sessions without a time, its job, and the command."""

import json
import threading

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from procrastinate.contrib.django.models import ProcrastinateJob

from clinic_booking.models import Event
from scheduling import inventory, matching
from scheduling.matching import job
from scheduling.models import Booking, SessionTicket, Slot
from tests import factories
from tests.scheduling.test_matching import hard, make_request

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


def url(clinic, name="unmatched", *more):
    return reverse(name, args=[clinic.slug, *more])


def test_page_lists_sessions_with_their_reason(desk, clinic, slots, service, patient):
    request = make_request(service, patient=patient, valid_from=slots[0].starts_at.date().replace(year=2090))
    matching.autofill(request_id=request.pk, by=None)
    page = desk.get(url(clinic)).content.decode()
    assert patient.name in page
    assert "Times are made until" in page


def test_sessions_that_must_be_elsewhere_are_not_listed(desk, clinic, slots, service, patient):
    make_request(service, patient=patient, patterns=[hard(clinics=[factories.ClinicFactory()])])
    assert patient.name not in desk.get(url(clinic)).content.decode()


def test_find_a_time_books_the_request(desk, clinic, slots, service):
    request = make_request(service, 2)
    answer = desk.post(url(clinic, "unmatched_time", request.pk), follow=True)
    assert "2 sessions have a time now." in answer.content.decode()
    assert Booking.objects.count() == 2


def test_find_a_time_says_why_there_is_none(desk, clinic, station, service):
    request = make_request(service)
    answer = desk.post(url(clinic, "unmatched_time", request.pk), follow=True)
    reason = SessionTicket.objects.get().unplaced_reason
    assert reason
    assert answer.content.decode().count(reason) == 2


def test_plan_all_is_one_job_with_progress(desk, clinic, slots, service):
    make_request(service, 2)
    for _click in range(2):
        page = desk.post(url(clinic, "unmatched_plan"), headers={"hx-request": "true"}).content.decode()
        assert "every 1s" in page
    [waiting] = ProcrastinateJob.objects.filter(task_name="match_requests")
    job.plan_backlog(**waiting.args)
    assert Booking.objects.count() == 2
    assert job.progress()["placed"] == 2


@pytest.mark.parametrize("source", ["waitlist", "walk_in"])
def test_who_waits_for_an_offer_or_in_the_queue_is_not_booked_unasked(desk, clinic, slots, service, source):
    waiting = make_request(service, source=source)
    assert waiting.patient.name not in desk.get(url(clinic)).content.decode()
    matching.match_requests()
    assert not Booking.objects.exists()


def test_prepaid_session_that_waits_is_planned(clinic, slots, service):
    make_request(service, source="waitlist", is_prepaid=True)
    matching.match_requests()
    assert Booking.objects.get().price_cents == 0


def test_new_supply_is_used_for_what_has_no_time(clinic, practitioner, station, service):
    factories.ScheduleTemplateFactory(clinic=clinic, practitioner=practitioner, station=station)
    inventory.generate(days=1)
    assert not ProcrastinateJob.objects.filter(task_name="match_requests").exists()
    make_request(service)
    Slot.objects.all().delete()
    inventory.generate(days=7)
    for event in Event.objects.filter(topic="supply.added"):
        job.plan_with_new_supply(event)
    [waiting] = ProcrastinateJob.objects.filter(task_name="match_requests")
    job.plan_backlog(**waiting.args)
    assert Booking.objects.count() == 1


def test_strangers_find_no_page(client, clinic, patient, slots, service):
    request = make_request(service)
    client.force_login(patient.user)
    for answer in (
        client.get(url(clinic)),
        client.get(url(clinic, "unmatched_state")),
        client.post(url(clinic, "unmatched_plan")),
        client.post(url(clinic, "unmatched_time", request.pk)),
    ):
        assert answer.status_code == 404
    assert not Booking.objects.exists()


# -- The command ---------------------------------------------------------------------------------


def run(capsys, *arguments):
    call_command("match_requests", "--json", *arguments)
    return json.loads(capsys.readouterr().out)


def test_command_books_and_reports(capsys, slots, service):
    make_request(service, 4)
    make_request(service, 4)
    report = run(capsys)
    assert (report["sessions"], report["placed"], report["bound"], report["unplaced"]) == (8, 6, 6, 2)
    assert report["greedy"] <= report["planned"] == 6
    assert Booking.objects.count() == 6


def test_command_again_changes_nothing(capsys, slots, service):
    make_request(service, 8)
    run(capsys)
    before = list(Booking.objects.order_by("pk").values())
    assert run(capsys)["placed"] == 0
    assert list(Booking.objects.order_by("pk").values()) == before


def test_dry_run_writes_nothing(capsys, slots, service):
    make_request(service, 8)
    assert run(capsys, "--dry-run")["planned"] == 6
    assert not Booking.objects.exists()
    assert not SessionTicket.objects.exclude(unplaced_reason="").exists()


def test_only_the_chosen_clinic_is_used(capsys, clinic, slots, service):
    other = factories.StationFactory(clinic__slug="elsewhere")
    make_request(service, 2)
    make_request(service, patterns=[hard(clinics=[other.clinic])])
    assert run(capsys, "--clinic", "elsewhere")["placed"] == 0
    assert run(capsys, "--clinic", clinic.slug)["placed"] == 2
    with pytest.raises(CommandError, match="Unknown clinic"):
        run(capsys, "--clinic", "nowhere")


@pytest.mark.parametrize("limit", ["0", "-1", "soon", "nan", "1e9"])
def test_absurd_time_limits_are_refused(limit):
    with pytest.raises(CommandError, match="between 1 and 3600"):
        call_command("match_requests", "--time-limit", limit)


def test_stopped_run_books_nothing_more(slots, service):
    make_request(service, 2)
    stop = threading.Event()
    stop.set()
    report = matching.match_requests(stop=stop)
    assert report.is_stopped
    assert not Booking.objects.exists()


def test_urgent_session_gets_the_last_time(practitioner, station, service):
    factories.make_slots(practitioner, station, factories.tomorrow_at(9), slots=1)
    make_request(service)
    urgent = make_request(service, urgency=1)
    matching.match_requests()
    assert Booking.objects.get().session.request == urgent


def test_one_makes_way_for_two(practitioner, station, service):
    """First come first served gives the second nothing."""
    slots = factories.make_slots(practitioner, station, factories.tomorrow_at(9), slots=2)
    make_request(service)
    late = make_request(
        service, patterns=[hard(until_time=slots[0].ends_at.astimezone(station.clinic.zone).time())]
    )
    report = matching.match_requests()
    assert (report.greedy, report.placed, report.bound) == (1, 2, 2)
    assert Booking.objects.get(session__request=late).starts_at == slots[0].starts_at
