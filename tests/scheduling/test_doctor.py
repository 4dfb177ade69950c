"""The practitioner's own pages and calendar feed. At the clinic it is about noon."""

import datetime as dt
import hashlib

import pytest
from django.db import transaction
from django.urls import reverse
from icalendar import Calendar

from clinic_booking.models import Event
from scheduling import booking
from scheduling.models import Booking, CalendarFeed, DeskNote, Membership
from tests import factories
from tests.scheduling.midday import minutes, now, zone_at_noon

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic(db):
    return factories.ClinicFactory(slug="tanjong-pagar", name="Tanjong Pagar", time_zone=zone_at_noon())


@pytest.fixture
def practitioner(db):
    return factories.PractitionerFactory(name="Dr Lim Wei Jie", with_login=True)


@pytest.fixture
def doctor(client, practitioner, clinic):
    factories.MembershipFactory(user=practitioner.user, clinic=clinic, role=Membership.Role.DOCTOR)
    client.force_login(practitioner.user)
    return client


@pytest.fixture
def visit(practitioner, station, service, patient):
    slots = factories.make_slots(practitioner, station, now() - minutes(10))
    return factories.book(slots[:1], service=service, patient=patient)


def test_doctor_sees_the_own_day_at_all_clinics(doctor, visit, practitioner):
    there = factories.StationFactory(clinic__name="Bukit Timah", clinic__time_zone=zone_at_noon())
    later = factories.make_slots(practitioner, there, now() + minutes(120))
    other = factories.book(later[:1], patient=factories.PatientFactory(name="Arjun Pillai"))
    foreign = factories.BookingFactory(
        starts_at=now(), patient=factories.PatientFactory(name="Foreign Person")
    )
    page = doctor.get(reverse("doctor")).content.decode()
    assert page.index(visit.patient.name) < page.index(other.patient.name)
    assert "Bukit Timah" in page
    assert foreign.patient.name not in page


def test_desk_of_who_only_treats_is_the_own_day(doctor, clinic):
    assert doctor.get(reverse("desk_home")).headers["location"] == reverse("doctor")
    assert doctor.get(reverse("desk", args=[clinic.slug])).status_code == 200


def test_only_for_practitioners(client, receptionist, clinic):
    assert client.get(reverse("doctor")).headers["location"].startswith("/login/")
    client.force_login(receptionist)
    assert client.get(reverse("doctor")).status_code == 404
    assert client.post(reverse("doctor_feed")).status_code == 404


def test_doctor_completes_an_own_visit_once(doctor, visit):
    url = reverse("doctor_completion", args=[visit.reference])
    assert doctor.post(url, {"version": 1}).status_code == 303
    visit.refresh_from_db()
    assert visit.status == "fulfilled"
    doctor.post(url, {"version": 1})
    assert "Someone changed this visit just now" in doctor.get(reverse("doctor")).content.decode()
    assert Event.objects.filter(topic="appointment.fulfilled").count() == 1


def test_visits_of_others_do_not_exist(doctor, clinic):
    foreign = factories.BookingFactory(clinic=clinic)
    assert (
        doctor.post(reverse("doctor_completion", args=[foreign.reference]), {"version": 1}).status_code == 404
    )
    assert doctor.post(reverse("doctor_notes", args=[foreign.reference]), {"text": "x"}).status_code == 404
    assert not DeskNote.objects.exists()


def test_note_reaches_the_desk(doctor, visit, client, receptionist, clinic):
    url = reverse("doctor_notes", args=[visit.reference])
    assert doctor.post(url, {"text": " "}).status_code == 422
    doctor.post(url, {"text": "Wants a follow-up in 2 weeks"})
    assert DeskNote.objects.get().written_by == visit.practitioner.user
    client.force_login(receptionist)
    for page in (
        reverse("desk_booking", args=[clinic.slug, visit.reference]),
        reverse("desk_work", args=[clinic.slug]),
    ):
        assert "Wants a follow-up in 2 weeks" in client.get(page).content.decode()


def test_day_needs_few_queries(doctor, visit, django_assert_max_num_queries):
    with django_assert_max_num_queries(11):
        doctor.get(reverse("doctor"))


def test_bad_date_gets_a_sentence(doctor):
    assert doctor.get(reverse("doctor"), {"date": "soon"}).status_code == 422


# -- The feed ------------------------------------------------------------------------------------


@pytest.fixture
def address(doctor, visit):
    page = doctor.post(reverse("doctor_feed")).content.decode()
    secret = page.split("/feeds/")[1].split(".ics")[0]
    assert CalendarFeed.objects.get().token_hash == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in doctor.get(reverse("doctor")).content.decode(), "shown once"
    return reverse("feed", args=[secret])


def events(response):
    assert response.status_code == 200
    return {str(event["uid"]): event for event in Calendar.from_ical(response.content).walk("VEVENT")}


def test_feed_names_no_patient_unless_allowed(client, address, visit):
    client.logout()
    response = client.get(address)
    (event,) = events(response).values()
    assert event["dtstart"].dt == visit.starts_at
    assert visit.station.name in event["location"]
    assert response.headers["cache-control"] == "private, no-cache"
    for secret in (
        visit.patient.name.split()[0],
        visit.patient.email,
        visit.patient.phone,
    ):
        assert secret not in response.content.decode()
    CalendarFeed.objects.update(shows_patients=True)
    assert visit.patient.name in client.get(address).content.decode()


def test_feed_follows_the_visits(client, address, visit, receptionist):
    first = client.get(address)
    unchanged = client.get(address, headers={"if-none-match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    with transaction.atomic():
        booking.check_in(booking_id=visit.pk, by=receptionist)
    changed = client.get(address, headers={"if-none-match": first.headers["etag"]})
    assert events(changed).keys() == events(first).keys(), "the identity stays"
    with transaction.atomic():
        booking.cancel_booking(booking_id=visit.pk, by=receptionist, reason="clinic")
    assert events(client.get(address)) == {}


def test_feed_has_a_window(client, address, visit):
    for days in (-29, -31, 179, 181):
        starts_at = now() + dt.timedelta(days)
        factories.BookingFactory(
            practitioner=visit.practitioner, clinic=visit.clinic, station=visit.station, starts_at=starts_at
        )
    assert len(events(client.get(address))) == 3


def test_replaced_and_revoked_addresses_are_gone(doctor, address):
    CalendarFeed.objects.update(shows_patients=True)
    page = doctor.post(reverse("doctor_feed")).content.decode()
    fresh = reverse("feed", args=[page.split("/feeds/")[1].split(".ics")[0]])
    assert doctor.get(address).status_code == 404
    assert doctor.get(fresh).status_code == 200
    assert CalendarFeed.objects.get(revoked_at=None).shows_patients
    for _ in range(2):
        assert doctor.post(reverse("doctor_feed_revocation")).status_code == 303
    assert doctor.get(fresh).status_code == 404
    assert doctor.get(reverse("feed", args=["guess"])).status_code == 404
    assert Booking.objects.exists()


def test_feed_of_who_has_left(client, address, practitioner):
    practitioner.is_active = False
    practitioner.save()
    assert client.get(address).status_code == 404
