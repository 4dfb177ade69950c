"""The patient's pages, as a browser without JavaScript sees them."""

import datetime as dt
import re
from urllib.parse import quote

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from icalendar import Calendar

from scheduling import links
from scheduling.models import Booking, Hold, Slot
from tests import clock, factories

pytestmark = pytest.mark.django_db
TOMORROW = factories.tomorrow_at(9).date()


def times(client, service, **query):
    return client.get(reverse("book"), {"service": service.slug, "date": TOMORROW.isoformat(), **query})


def statuses(response):
    found = re.findall(r'data-slot="(\d+)" data-status="(\w+)"', response.content.decode())
    return {int(slot): status for slot, status in found}


def take(client, slot, service):
    return client.post(reverse("holds"), {"slot": slot.pk, "service": service.pk})


@pytest.fixture
def booking(slots, service, patient):
    return factories.book(slots[:1], patient=patient, service=service)


@pytest.fixture
def own(client, patient):
    client.force_login(patient.user)
    return client


# -- Reason and time -----------------------------------------------------------------------------


def test_home_offers_reasons_and_clinics(client, service, clinic):
    page = client.get("/").content.decode()
    assert f'name="service" value="{service.slug}"' in page
    assert f'value="{clinic.slug}"' in page
    assert "S$\u00a065.00" in page


@pytest.mark.parametrize("name", ["home", "help", "privacy", "login"])
def test_open_pages_are_open(client, name):
    assert client.get(reverse(name)).status_code == 200


def test_times_say_what_is_free_held_and_taken(client, service, slots):
    factories.hold(slots[1:2])
    factories.book(slots[2:3])
    shown = statuses(times(client, service))
    assert [shown[slot.pk] for slot in slots[:4]] == ["available", "held", "booked", "available"]


def test_only_free_times_can_be_pressed(client, service, slots):
    factories.book(slots[:1])
    page = times(client, service).content.decode()
    button = re.search(rf'<button[^>]*data-slot="{slots[0].pk}"[^>]*>', page)[0]
    assert "disabled" in button


def test_time_of_a_long_service_covers_all_its_slots(client, practitioner, slots):
    long = factories.ServiceFactory(double=True, practitioners=[practitioner])
    page = times(client, long).content.decode()
    assert f'data-covers="{slots[0].pk} {slots[1].pk}"' in page


def test_clinic_choice_keeps_service_and_date(client, service, slots, clinic):
    page = times(client, service).content.decode()
    assert f"service={service.slug}&amp;date={TOMORROW}&amp;clinic={clinic.slug}" in page


def test_other_clinics_times_are_left_out(client, service, slots):
    other = factories.ClinicFactory()
    assert statuses(times(client, service, clinic=other.slug)) == {}


def test_day_strip_counts_a_week(client, service, slots):
    page = times(client, service).content.decode()
    assert len(re.findall(r'class="day ', page)) == 7
    assert re.search(r">6 <span class=\"day-word\">free", page)


def test_fragment_has_no_frame(client, service, slots):
    page = times(client, service).content.decode()
    fragment = client.get(
        reverse("book"), {"service": service.slug, "date": TOMORROW}, headers={"hx-request": "true"}
    ).content.decode()
    assert "<html" in page
    assert "<html" not in fragment
    assert "data-slot" in fragment


@pytest.mark.parametrize("days", [-400, -2, 181, 60000])
def test_day_out_of_range_shows_the_nearest(client, service, slots, days):
    day = TOMORROW + dt.timedelta(days)
    response = times(client, service, date=day.isoformat())
    assert response.status_code == 200
    assert "The nearest day that can is shown" in response.content.decode()


BAD_SEARCHES = [
    ("service=nothing", 404),
    ("service=%FF%FE", 400),
    ("service=consultation&clinic=%C3%28", 400),
    ("service=consultation%00", 400),
    ("service=consultation&clinic=nowhere", 404),
    ("service=consultation&date=tomorrow", 422),
    ("service=consultation&date=2026-02-30", 422),
    ("service=consultation&date=9999-12-31", 422),
    ("service=consultation&date=0001-01-01", 422),
    ("service=consultation&date=05/10/2026", 422),
    ("service=consultation&date=" + "9" * 5000, 422),
    ("service=" + quote("' OR 1=1 --"), 404),
    ("service=" + quote("診察"), 404),
    ("service=consultation&move=nothing", 404),
]


@pytest.mark.parametrize(("query", "status"), BAD_SEARCHES)
def test_bad_search_gets_a_sentence(client, service, slots, query, status):
    response = client.get(f"/book/?{query}")
    assert response.status_code == status
    assert 'role="alert"' in response.content.decode()


def test_no_service_leads_home(client):
    assert client.get("/book/").headers["location"] == "/"


def test_unknown_clinic_at_home_is_not_found(client):
    assert client.get("/?clinic=nowhere").status_code == 404


def test_inactive_clinic_and_offline_service_are_hidden(client, service, slots, clinic):
    service.is_online = clinic.is_active = False
    service.save()
    assert times(client, service).status_code == 404
    service.is_online = True
    service.save()
    clinic.save()
    assert statuses(times(client, service)) == {}


def test_times_need_few_queries(client, service, slots, django_assert_max_num_queries):
    factories.make_slots(
        factories.PractitionerFactory(), factories.StationFactory(), factories.tomorrow_at(9), slots=20
    )
    times(client, service)
    with django_assert_max_num_queries(10):
        times(client, service)


# -- Holds ---------------------------------------------------------------------------------------


def test_free_time_is_held_for_the_browser(client, service, slots):
    response = take(client, slots[0], service)
    hold = Hold.objects.get()
    assert response.status_code == 303
    assert response.headers["location"] == reverse("checkout", args=[hold.pk])
    assert hold.owner == client.session["owner"]


def test_hold_needs_few_queries(client, service, slots, django_assert_max_num_queries):
    take(client, slots[0], service)
    client.post(reverse("release", args=[Hold.objects.get().pk]))
    with django_assert_max_num_queries(4):
        take(client, slots[1], service)


def test_logged_in_patient_is_on_the_hold(own, patient, service, slots):
    take(own, slots[0], service)
    assert Hold.objects.get().patient == patient


def test_own_held_time_is_marked(client, service, slots):
    take(client, slots[0], service)
    page = times(client, service).content.decode()
    assert "Yours" in page
    assert slots[0].pk not in statuses(times(client, service))


def test_taken_time_is_refused_with_others(client, service, slots):
    factories.hold(slots[:1])
    response = take(client, slots[0], service)
    assert response.status_code == 409
    assert "Someone else has just taken this time" in response.content.decode()
    assert slots[1].pk in statuses(response)
    assert Hold.objects.count() == 1


BAD_HOLDS = [
    ({}, 422),
    ({"slot": "one", "service": "1"}, 422),
    ({"slot": "-1", "service": "1"}, 422),
    ({"slot": str(2**63), "service": "1"}, 422),
    ({"slot": "1", "service": "9" * 400}, 422),
    ({"slot": str(2**63 - 1), "service": "{service}"}, 404),
    ({"slot": "{slot}", "service": str(2**63 - 1)}, 422),
    ({"slot": "{slot}\0", "service": "{service}"}, 422),
]


@pytest.mark.parametrize(("fields", "status"), BAD_HOLDS)
def test_bad_hold_gets_a_sentence_and_changes_nothing(client, service, slots, fields, status):
    values = {n: v.format(slot=slots[0].pk, service=service.pk) for n, v in fields.items()}
    response = client.post(reverse("holds"), values)
    assert response.status_code == status
    assert 'role="alert"' in response.content.decode()
    assert not Hold.objects.exists()


def test_past_time_is_refused(client, service, practitioner, station):
    past = factories.make_slots(practitioner, station, factories.tomorrow_at(9) - dt.timedelta(days=2))
    assert take(client, past[0], service).status_code == 409


def test_hold_without_token_is_refused(service, slots):
    strict = Client(enforce_csrf_checks=True)
    assert take(strict, slots[0], service).status_code == 403
    assert not Hold.objects.exists()


def test_hold_by_get_is_not_allowed(client):
    assert client.get(reverse("holds")).status_code == 405


def test_release_leads_back_to_the_day(client, service, slots):
    take(client, slots[0], service)
    response = client.post(reverse("release", args=[Hold.objects.get().pk]))
    assert response.status_code == 303
    assert f"date={TOMORROW}" in response.headers["location"]
    assert statuses(client.get(response.headers["location"]))[slots[0].pk] == "available"


def test_renewal_extends_and_is_bounded(client, service, slots):
    take(client, slots[0], service)
    hold = Hold.objects.get()
    renew = reverse("renewal", args=[hold.pk])
    assert client.post(renew).status_code == 303
    timer = client.post(renew, headers={"hx-request": "true"})
    assert "data-expires-at" in timer.content.decode()
    assert "I need more time" not in timer.content.decode()
    assert client.post(renew).status_code == 409
    refused = client.post(renew, headers={"hx-request": "true"})
    assert refused.status_code == 409
    assert "data-expires-at" in refused.content.decode()
    hold.refresh_from_db()
    assert hold.renewals == 2


@pytest.mark.parametrize("name", ["release", "renewal"])
def test_foreign_hold_cannot_be_touched(client, service, slots, name):
    hold = factories.hold(slots[:1])
    take(client, slots[1], service)
    assert client.post(reverse(name, args=[hold.pk])).status_code == 404
    hold.refresh_from_db()
    assert hold.ended_at is None


def test_run_out_hold_offers_free_times(client, service, slots):
    take(client, slots[0], service)
    hold = Hold.objects.get()
    clock.run_out(hold)
    page = client.get(reverse("checkout", args=[hold.pk]))
    fragment = client.get(reverse("hold_offers", args=[hold.pk]))
    assert page.status_code == 410
    assert "has run out" in page.content.decode()
    assert slots[0].pk in statuses(page)
    assert statuses(fragment) == statuses(page)


def test_offers_of_foreign_hold_are_not_found(client, slots):
    hold = factories.hold(slots[:1])
    assert client.get(reverse("hold_offers", args=[hold.pk])).status_code == 404


# -- The visit -----------------------------------------------------------------------------------


def test_confirmation_says_where_and_when(own, booking):
    page = own.get(reverse("booking", args=[booking.reference])).content.decode()
    assert f'data-booking="{booking.reference}"' in page
    assert "09:00–09:20" in page
    assert booking.clinic.address in page


@pytest.mark.parametrize("name", ["booking", "booking_ics", "cancellation"])
def test_visit_is_hidden_from_others(client, booking, other_patient, name):
    url = reverse(name, args=[booking.reference])
    assert client.get(url).status_code == 404
    client.force_login(other_patient.user)
    assert client.get(url).status_code == 404
    assert client.get(url.replace(booking.reference, "UNKNOWN")).status_code == 404


def test_clinics_staff_may_see_the_visit(client, booking, receptionist):
    client.force_login(receptionist)
    assert client.get(reverse("booking", args=[booking.reference])).status_code == 200


def test_link_from_the_mail_opens_the_visit(client, booking):
    url = links.booking_url(booking)
    first = client.get(url)
    assert first.status_code == 302
    assert "key" not in first.headers["location"]
    assert client.get(first.headers["location"]).status_code == 200


@pytest.mark.parametrize(("days", "status"), [(29, 302), (31, 410)])
def test_link_of_a_visit_long_over_opens_nothing(client, days, status):
    begins = dt.datetime.now(dt.UTC) - dt.timedelta(days)
    visit = factories.BookingFactory(starts_at=begins, ends_at=begins + dt.timedelta(minutes=20))
    response = client.get(links.booking_url(visit))
    assert response.status_code == status
    if status == 410:
        assert "long over" in response.content.decode()


def test_link_of_another_visit_opens_nothing(client, booking, slots):
    other = factories.book(slots[1:2])
    key = links.booking_url(other).partition("key=")[2]
    assert client.get(reverse("booking", args=[booking.reference]), {"key": key}).status_code == 404


def test_calendar_file_has_the_clinics_time(own, booking):
    response = own.get(reverse("booking_ics", args=[booking.reference]))
    event = Calendar.from_ical(response.content).walk("VEVENT")[0]
    assert response.headers["content-type"].startswith("text/calendar")
    assert event["uid"].startswith(f"{booking.reference}@")
    assert event["dtstart"].params["TZID"] == "Asia/Singapore"
    assert event.decoded("dtstart") == booking.starts_at
    assert event["sequence"] == booking.version
    assert booking.service.name not in response.content.decode()


def test_pages_with_personal_data_are_not_kept(own, booking):
    for url in [reverse("booking", args=[booking.reference]), reverse("me")]:
        assert "no-store" in own.get(url).headers["cache-control"]


def test_cancellation_asks_first(own, slots, service, patient):
    booking = factories.book(soon_enough(slots), patient=patient, service=service)
    url = reverse("cancellation", args=[booking.reference])
    assert "Cancel this visit?" in own.get(url).content.decode()
    assert own.post(url).status_code == 302
    booking.refresh_from_db()
    assert booking.status == Booking.Status.CANCELLED
    assert booking.cancelled_by == patient.user


def test_visit_that_began_is_not_cancelled_online(own, booking):
    Booking.objects.filter(pk=booking.pk).update(starts_at=Now() - dt.timedelta(minutes=1))
    url = reverse("cancellation", args=[booking.reference])
    assert "call the clinic" in own.get(url).content.decode()
    assert own.post(url).status_code == 409
    booking.refresh_from_db()
    assert booking.status == Booking.Status.BOOKED


def test_visit_is_moved_to_a_free_time(own, slots, service, patient):
    later = soon_enough(slots, count=2)
    booking = factories.book(later[:1], patient=patient, service=service)
    day = booking.clinic.local_date(booking.starts_at)
    page = times(own, service, move=booking.reference, date=day.isoformat())
    move = reverse("move", args=[booking.reference])
    assert f'action="{move}"' in page.content.decode()
    response = own.post(move, {"slot": later[1].pk, "version": booking.version})
    assert response.headers["location"] == reverse("booking", args=[booking.reference])
    booking.refresh_from_db()
    assert booking.starts_at == later[1].starts_at


def test_move_to_a_taken_time_offers_others(own, slots, service, patient):
    later = soon_enough(slots, count=3)
    booking = factories.book(later[:1], patient=patient, service=service)
    factories.book(later[1:2])
    move = reverse("move", args=[booking.reference])
    response = own.post(move, {"slot": later[1].pk, "version": booking.version})
    assert response.status_code == 409
    assert f'action="{move}"' in response.content.decode()
    assert later[2].pk in statuses(response)


def test_move_from_a_stale_page_is_refused(own, slots, service, patient):
    later = soon_enough(slots, count=2)
    booking = factories.book(later[:1], patient=patient, service=service)
    move = reverse("move", args=[booking.reference])
    assert own.post(move, {"slot": later[1].pk, "version": booking.version + 1}).status_code == 409
    assert own.post(move, {"slot": "x"}).status_code == 422
    assert Slot.objects.get(pk=later[1].pk).booking is None


def test_visit_cannot_become_another_service(own, booking, practitioner):
    other = factories.ServiceFactory(practitioners=[practitioner])
    assert times(own, other, move=booking.reference).status_code == 422


def test_my_visits_are_upcoming_and_past(own, booking, slots, patient, service):
    past = factories.BookingFactory(
        patient=patient, service=service, starts_at=factories.tomorrow_at(9) - dt.timedelta(days=9)
    )
    foreign = factories.book(slots[1:2])
    page = own.get(reverse("me")).content.decode()
    assert page.index(booking.reference) < page.index(past.reference)
    assert foreign.reference not in page


def test_my_visits_need_a_login(client):
    assert client.get(reverse("me")).headers["location"] == "/login/?next=/me/"


def soon_enough(slots, count=1):
    """Free slots far enough ahead to be changed by the patient."""
    later = factories.tomorrow_at(9) + dt.timedelta(days=3)
    return factories.make_slots(slots[0].practitioner, slots[0].station, later, slots=count)


def test_times_begin_on_the_first_free_day(client, slots, service):
    first_free = slots[0].clinic.local_date(slots[0].starts_at)
    page = client.get("/book/", {"service": service.slug})
    assert page.context["day"] == first_free
