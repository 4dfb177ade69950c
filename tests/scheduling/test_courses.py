import datetime as dt

import pytest
from django.urls import reverse

from billing import contracts
from scheduling import booking
from scheduling.models import Booking, Hold, SessionTicket
from tests import factories
from tests.billing.courses import make_draft, make_mornings
from tests.billing.steps import post

pytestmark = pytest.mark.django_db


@pytest.fixture
def mornings(practitioner, station, service):
    return make_mornings(practitioner, station, weeks=4)


@pytest.fixture
def course(mornings, clinic, patient, service):
    """Four sessions a week apart, the last one back without a time."""
    draft = make_draft(clinic, patient, service, quantity=4)
    contracts.confirm_contract(reference=draft.reference, by=None)
    first, *_others, last = Booking.objects.order_by("starts_at")
    booking.cancel_booking(booking_id=last.pk, by=None, reason="clinic")
    return draft.lines.get().request


@pytest.fixture
def open_session(course):
    return course.sessions.get(status="planned")


@pytest.fixture
def me(client, patient):
    client.force_login(patient.user)
    return client


def page(response, status=200):
    assert response.status_code == status
    return response.content.decode()


def test_own_courses_are_shown_with_their_progress(me, course, open_session):
    SessionTicket.objects.filter(pk=open_session.pk).update(unplaced_reason="No room free on Mondays.")
    shown = page(me.get("/me/"))
    assert "0 of 4 sessions done." in shown
    assert "Next on" in shown
    assert "No room free on Mondays." in shown
    assert f"/book/?service=consultation&amp;session={open_session.pk}" in shown


def test_courses_of_others_are_not(client, course, other_patient, open_session):
    client.force_login(other_patient.user)
    assert "My courses" not in page(client.get("/me/"))
    assert client.post(reverse("course_planning", args=[course.pk])).status_code == 404
    assert client.get(f"/book/?service=consultation&session={open_session.pk}").status_code == 404


def test_time_is_found_for_the_patient(me, course, open_session):
    answer = me.post(reverse("course_planning", args=[course.pk]), follow=True)
    assert "1 session has a time now." in page(answer)
    open_session.refresh_from_db()
    assert open_session.status == "scheduled"


def test_request_without_a_contract_is_no_course(me, patient, service):
    factories.SessionTicketFactory(request__patient=patient, request__service=service)
    assert "My courses" not in page(me.get("/me/"))


@pytest.mark.parametrize("is_online", [True, False])
def test_patient_chooses_and_confirms_without_paying(me, course, open_session, mornings, service, is_online):
    service.is_online = is_online
    service.save()
    shown = page(me.get(f"/book/?service=consultation&session={open_session.pk}"))
    assert "session 4 of 4 of your course" in shown
    assert "It has to be: at least 7 days apart." in shown
    assert f'data-slot="{mornings[3][0].pk}" data-status="available"' in shown  # on the first day that fits
    assert f'name="session" value="{open_session.pk}"' in shown

    slot = mornings[3][1]
    data = {"slot": slot.pk, "service": service.pk, "session": open_session.pk}
    answer = me.post("/holds/", data)
    hold = Hold.objects.get(session=open_session)
    assert answer.headers["location"] == f"/checkout/{hold.pk}/"
    assert "Prepaid" in page(me.get(f"/checkout/{hold.pk}/"))
    post(me, hold)

    open_session.refresh_from_db()
    made = Booking.objects.get(hold=hold)
    assert (open_session.status, made.session, made.price_cents) == ("scheduled", open_session, 0)
    assert made.patient == course.patient


def test_rules_of_the_course_hold_for_own_choices_too(me, open_session, mornings, service):
    """Two days after the third session is no time for the fourth: they are to be a week apart."""
    data = {"slot": mornings[2][1].pk, "service": service.pk, "session": open_session.pk}
    said = page(me.post("/holds/", data), 409)
    assert "too close to another session" in said
    assert not Hold.objects.exists()


def test_validity_holds_for_own_choices_too(me, course, open_session, mornings, service):
    type(course).objects.update(valid_until=factories.tomorrow_at(9).date() + dt.timedelta(20))
    data = {"slot": mornings[3][1].pk, "service": service.pk, "session": open_session.pk}
    assert "no longer valid on this day" in page(me.post("/holds/", data), 409)


@pytest.mark.parametrize("wrong", ["0", "x", "999999999", str(2**70)])
def test_session_that_is_none(me, course, service, mornings, wrong):
    assert me.get(f"/book/?service=consultation&session={wrong}").status_code in (404, 422)
    data = {"slot": mornings[3][1].pk, "service": service.pk, "session": wrong}
    assert me.post("/holds/", data).status_code in (404, 422)
    assert not Hold.objects.exists()


def test_session_of_another_cannot_be_held(client, other_patient, course, open_session, mornings, service):
    data = {"slot": mornings[3][1].pk, "service": service.pk, "session": open_session.pk}
    for user in (None, other_patient.user):
        if user:
            client.force_login(user)
        assert client.post("/holds/", data).status_code == 404
    assert not Hold.objects.exists()


def test_closed_course_plans_nothing(me, course, open_session, service):
    decisions = {b.pk: True for b in Booking.objects.live()}
    contracts.cancel_contract(reference=course.contract, by=None, decisions=decisions)
    assert "Find a time for me" not in page(me.get("/me/"))
    assert me.post(reverse("course_planning", args=[course.pk])).status_code == 404
    assert me.get(f"/book/?service=consultation&session={open_session.pk}").status_code == 404


# -- Moving --------------------------------------------------------------------------------------


@pytest.fixture
def third(course):
    return Booking.objects.live().filter(session__request=course).order_by("starts_at")[2]


def move(client, booking, slot):
    data = {"slot": slot.pk, "version": booking.version}
    return client.post(reverse("move", args=[booking.reference]), data)


def test_rules_of_the_course_hold_when_its_patient_moves_a_session(me, third, mornings):
    assert "too close to another session" in page(move(me, third, mornings[1][1]), 409)
    third.refresh_from_db()
    assert third.version == 1
    assert move(me, third, mornings[2][1]).status_code == 302


def test_session_is_not_moved_past_its_validity(me, course, third, mornings):
    type(course).objects.update(valid_until=factories.tomorrow_at(9).date() + dt.timedelta(20))
    assert "no longer valid on this day" in page(move(me, third, mornings[3][1]), 409)


def test_staff_may_move_a_session_against_its_rules(client, receptionist, third, mornings):
    client.force_login(receptionist)
    assert move(client, third, mornings[1][1]).status_code == 302


@pytest.mark.parametrize("is_online", [True, False])
def test_times_to_move_a_session_to_come_with_its_rules(me, third, service, is_online):
    type(service).objects.update(is_online=is_online)
    shown = page(me.get(f"/book/?service=consultation&move={third.reference}"))
    assert "It has to be: at least 7 days apart." in shown
