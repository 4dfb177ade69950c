"""The waitlist in the browser of a patient and at the desk."""

import datetime as dt

import pytest
from django.core import signing
from django.urls import reverse

from patients.forms import ContactForm
from patients.models import Consent, Patient
from patients.rights.notices import SHIPPED
from scheduling import waitlist_offers
from scheduling.models import Booking, BookingRequest, Clinic, Hold, Slot, WaitlistEntry
from scheduling.queue import Freed
from tests import factories
from tests.clock import run_out
from tests.factories import wait

pytestmark = pytest.mark.django_db
JOIN = "/waitlist/join/"
DETAILS = {"name": "Siti Rahmah", "email": "siti@example.com", "phone": "9123 4567", "consent": "on"}


@pytest.fixture(autouse=True)
def plan(clinic, practitioner, station, service):
    return factories.ScheduleTemplateFactory(
        clinic=clinic, practitioner=practitioner, station=station, starts_at=dt.time(7), ends_at=dt.time(22)
    )


@pytest.fixture
def known(patient):
    factories.ConsentFactory(patient=patient, notice_version=SHIPPED)
    return patient


@pytest.fixture
def me(client, known):
    client.force_login(known.user)
    return client


@pytest.fixture
def offer(known, service, slots):
    """To a patient whose details are on file."""
    Slot.objects.exclude(pk=slots[0].pk).update(is_blocked=True)
    wait(service, patient=known)
    whole = Freed(slots[0].clinic_id, slots[0].starts_at, slots[0].ends_at)
    (offer,) = waitlist_offers.offer_freed(whole)
    return offer


def wished(service, **more):
    return {"service": service.slug, "strict": "yes", "notice_minutes": "120"} | more


def link(kind, pk, path):
    return f"{path}?key={signing.Signer(salt=kind).signature(str(pk))}"


def text(response):
    return response.content.decode()


# -- Joining -------------------------------------------------------------------------------------


def test_times_lead_to_the_waitlist(client, service, clinic, slots):
    page = text(client.get(f"/book/?service={service.slug}&clinic={clinic.slug}"))
    assert f"{JOIN}?service={service.slug}&amp;clinic={clinic.slug}" in page
    form = client.get(JOIN, {"service": service.slug, "clinic": clinic.slug})
    assert form.status_code == 200
    assert 'name="email"' in text(form)


def test_guest_joins_with_details_and_consent(client, service, clinic, practitioner):
    answer = client.post(
        JOIN,
        wished(service, clinics=[clinic.slug], practitioner=practitioner.pk, weekdays=["1", "2"], **DETAILS),
    )
    entry = WaitlistEntry.objects.get()
    assert answer.headers["location"] == f"/waitlist/{entry.pk}/"
    patient = entry.session.request.patient
    assert (patient.name, patient.phone, patient.user) == ("Siti Rahmah", "+6591234567", None)
    assert Consent.objects.get(patient=patient).is_given
    page = text(client.get(answer.headers["location"]))
    assert "Monday, Tuesday · Dr Lim Wei Jie" in page


def test_known_patient_is_asked_nothing_else(me, known, service):
    assert 'name="email"' not in text(me.get(JOIN, {"service": service.slug}))
    assert me.post(JOIN, wished(service)).status_code == 303
    assert WaitlistEntry.objects.get().session.request.patient == known
    assert "On the waitlist" in text(me.get("/me/"))


def test_what_was_missing_on_file_is_kept(me, known, service):
    """Or nobody could tell them of an offer."""
    Patient.objects.filter(pk=known.pk).update(email="", phone="")
    given = {"name": "Somebody Else", "email": "found@example.com", "phone": "9123 4567", "consent": "on"}
    assert me.post(JOIN, wished(service) | given).status_code == 303
    name = known.name
    known.refresh_from_db()
    assert (known.name, known.email, known.phone) == (name, "found@example.com", "+6591234567")


def test_joining_twice_is_said(me, service):
    me.post(JOIN, wished(service, weekdays=["1"]))
    again = me.post(JOIN, wished(service, weekdays=["1"]))
    assert again.status_code == 409
    assert "already on the waitlist" in text(again)
    assert BookingRequest.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"latest": "2020-01-01"}, "This day is over."),
        ({"earliest": "2030-01-02", "latest": "2030-01-01"}, "The last day is before the first."),
        ({"from_time": "10:00", "until_time": "09:00"}, "The end must be after the start."),
        ({"from_time": "10:00", "until_time": "10:10"}, "takes longer than"),
        ({"earliest": "2030-01-01", "latest": "2030-01-01", "weekdays": ["1"]}, "no such day"),
        ({"from_time": "23:00"}, "alert"),
        ({"weekdays": ["9"]}, "not one of the available choices"),
        ({"earliest": "soon"}, "This is not a date"),
        ({"service": "nothing"}, "alert"),
        ({"notice_minutes": "1"}, "not one of the available choices"),
    ],
)
def test_impossible_wishes_are_refused(me, service, wrong, said):
    answer = me.post(JOIN, wished(service) | wrong)
    assert answer.status_code == 422
    assert said in text(answer)
    assert not BookingRequest.objects.exists()
    assert not Patient.objects.exclude(user__isnull=False).exists()


def test_practitioner_must_offer_it(me, service):
    other = factories.PractitionerFactory(name="Dr Other")
    assert "Dr Other does not offer this." in text(me.post(JOIN, wished(service, practitioner=other.pk)))


def test_guest_without_details_makes_nothing(client, service):
    answer = client.post(JOIN, wished(service, name="Siti"))
    assert answer.status_code == 422
    assert not Patient.objects.exists()


def test_unknown_service_is_not_found(client):
    assert client.get(JOIN, {"service": "nothing"}).status_code == 404


# -- The own place in line -----------------------------------------------------------------------


def test_only_the_own_entry_is_seen(client, me, service, other_patient):
    entry = wait(service, patient=other_patient)
    for path in (f"/waitlist/{entry.pk}/", "/waitlist/999/"):
        assert me.get(path).status_code == 404
    assert me.post(f"/waitlist/{entry.pk}/leaving/").status_code == 404
    assert client.get(f"/waitlist/{entry.pk}/?key=wrong").status_code == 404
    entry.refresh_from_db()
    assert entry.status == "waiting"


def test_link_of_the_e_mail_opens_the_entry(client, service):
    entry = wait(service)
    assert client.get(link("offer", entry.pk, f"/waitlist/{entry.pk}/")).status_code == 404
    answer = client.get(link("waiting", entry.pk, f"/waitlist/{entry.pk}/"))
    assert answer.headers["location"] == f"/waitlist/{entry.pk}/"
    assert client.get(f"/waitlist/{entry.pk}/").status_code == 200


def test_leaving(me, known, service):
    entry = wait(service, patient=known)
    me.post(f"/waitlist/{entry.pk}/leaving/")
    assert "You are no longer on this waitlist" in text(me.get(f"/waitlist/{entry.pk}/"))
    assert me.post(f"/waitlist/{entry.pk}/leaving/").status_code == 409
    assert "On the waitlist" not in text(me.get("/me/"))


# -- Offers --------------------------------------------------------------------------------------


def test_offer_by_its_link_is_accepted_at_once(client, offer, clinic):
    Clinic.objects.update(payment_policy="pay_at_clinic")
    Hold.objects.update(due_cents=0)
    path = f"/waitlist/offers/{offer.pk}/"
    assert client.get(path).status_code == 404
    client.get(link("offer", offer.pk, path))
    assert "09:00" in text(client.get(path))
    answer = client.post(f"{path}acceptance/")
    made = Booking.objects.get()
    assert answer.headers["location"] == f"/bookings/{made.reference}/"
    assert made.session == offer.entry.session
    assert "Your visit is booked" in text(client.get(path))


def test_offer_that_is_to_be_paid_leads_to_the_checkout(me, offer, known):
    answer = me.post(f"/waitlist/offers/{offer.pk}/acceptance/")
    hold = Hold.objects.get(kind="checkout")
    assert answer.headers["location"] == f"/checkout/{hold.pk}/"
    page = text(me.get(answer.headers["location"]))
    assert known.name in page


def test_way_back_to_the_checkout_of_an_accepted_offer(me, offer):
    checkout = me.post(reverse("accept_offer", args=[offer.pk])).headers["location"]
    page = text(me.get(reverse("offer", args=[offer.pk])))
    assert "please finish the booking" in page
    assert f'href="{checkout}"' in page
    assert "still on the waitlist" not in page


def test_prepaid_session_is_booked_at_once(me, offer):
    BookingRequest.objects.update(source="contract", is_prepaid=True)
    answer = me.post(f"/waitlist/offers/{offer.pk}/acceptance/")
    assert answer.headers["location"].startswith("/bookings/")
    assert Booking.objects.get().price_cents == 0


def test_checkout_of_an_offer_books_for_the_one_who_waited(client, offer, known, clinic):
    """Opened by the link, without a login, and with other details in the form."""
    Clinic.objects.update(payment_policy="pay_at_clinic")
    Hold.objects.update(due_cents=0)
    path = f"/waitlist/offers/{offer.pk}/"
    client.get(link("offer", offer.pk, path))
    hold = waitlist_offers.accept(offer_id=offer.pk, owner=_owner(client))
    answer = client.post(reverse("checkout_payment", args=[hold.pk]), DETAILS)
    assert answer.status_code == 303
    assert Booking.objects.get().patient == known
    assert Patient.objects.filter(name="Siti Rahmah").count() == 0


def _owner(client):
    session = client.session
    session["owner"] = "this-browser"
    session.save()
    return "this-browser"


def test_declined_offer_keeps_the_place(me, offer):
    path = f"/waitlist/offers/{offer.pk}/"
    me.post(f"{path}declining/")
    assert "You keep your place" in text(me.get(path))
    again = me.post(f"{path}declining/")
    assert again.status_code == 409
    assert "already declined" in text(again)
    assert me.post(f"{path}acceptance/").status_code == 409
    assert not Booking.objects.exists()


def test_run_out_offer_says_so_kindly(me, offer):
    run_out(offer.hold)
    for answer in (
        me.get(f"/waitlist/offers/{offer.pk}/"),
        me.post(f"/waitlist/offers/{offer.pk}/acceptance/"),
    ):
        assert answer.status_code == 410
        assert "This offer has run out. You keep your place on the waitlist." in text(answer)
    assert not Booking.objects.exists()


def test_offer_of_somebody_else_does_not_exist(client, offer, other_patient):
    client.force_login(other_patient.user)
    path = f"/waitlist/offers/{offer.pk}/"
    assert client.get(path).status_code == 404
    for verb in ("acceptance", "declining"):
        assert client.post(f"{path}{verb}/").status_code == 404
    offer.refresh_from_db()
    assert offer.outcome == "open"


def test_patient_who_has_become_busy_is_told(me, offer, known, slots):
    Clinic.objects.update(payment_policy="pay_at_clinic")
    Hold.objects.update(due_cents=0)
    factories.BookingFactory(patient=known, starts_at=slots[0].starts_at)
    answer = me.post(f"/waitlist/offers/{offer.pk}/acceptance/")
    assert answer.status_code == 409
    assert "You already have a visit at this time." in text(answer)
    assert not Hold.objects.filter(ended_at=None).exists()


def test_entry_shows_its_offer(me, offer):
    assert f"/waitlist/offers/{offer.pk}/" in text(me.get(f"/waitlist/{offer.entry_id}/"))


@pytest.mark.parametrize("phone", ["0606060606 AND 85=85 AND 61=61", "0606060606 AND 85=851 AND 61=61"])
def test_no_number_is_told_the_same_however_long(phone):
    """A scanner takes two sentences for the answers of a database."""
    form = ContactForm({"name": "Siti", "email": "siti@example.com", "phone": phone, "consent": "on"})
    assert form.errors == {"phone": ["Please enter a phone number such as 9123 4567."]}
