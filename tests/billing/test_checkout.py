"""From the hold to the visit over HTTP: details, consent, and the way without a payment."""

import uuid

import pytest
from django.test import Client

from billing.checkout import stripe_hosts
from clinic_booking.pan import holds_card_number
from patients.models import Consent, Patient, PrivacyNotice
from patients.rights import notices
from scheduling.models import Booking, Clinic
from tests import clock, factories, race
from tests.billing.steps import pay, post, take


@pytest.fixture
def pay_at_clinic(clinic):
    clinic.payment_policy = Clinic.PaymentPolicy.PAY_AT_CLINIC
    clinic.save()


def test_checkout_shows_what_is_booked(client, hold):
    response = client.get(f"/checkout/{hold.pk}/")
    assert response.status_code == 200
    assert "General consultation" in response.content.decode()
    assert response["Cache-Control"].startswith("max-age=0, no-cache, no-store")


def test_confirms_without_a_payment(client, pay_at_clinic, hold):
    response = post(client, hold)
    booking = Booking.objects.get(hold=hold)
    assert response.status_code == 303
    assert response["Location"] == f"/bookings/{booking.reference}/"
    assert client.get(response["Location"]).status_code == 200
    assert (booking.patient.name, booking.patient.phone) == ("Siti Rahmah", "+6591234567")
    assert booking.note == "Second floor, please"
    assert Consent.objects.get().patient == booking.patient


def test_posted_twice_is_booked_once(client, pay_at_clinic, hold):
    first, second = post(client, hold), post(client, hold)
    assert first["Location"] == second["Location"]
    assert Booking.objects.count() == Patient.objects.count() == Consent.objects.count() == 1


def test_a_reload_after_an_error_leads_back_to_the_form(client, pay_at_clinic, hold):
    assert post(client, hold, name="").status_code == 422
    answer = client.get(f"/checkout/{hold.pk}/payment/")
    assert (answer.status_code, answer["Location"]) == (303, f"/checkout/{hold.pk}/")
    assert Client().get(f"/checkout/{hold.pk}/payment/").status_code == 404


def test_details_are_asked_for(client, pay_at_clinic, hold):
    response = client.post(f"/checkout/{hold.pk}/payment/", {"email": "nonsense"})
    page = response.content.decode()
    assert response.status_code == 422
    for sentence in ("name of the patient", "such as name@example.com", "a phone number", "Please agree"):
        assert sentence in page
    assert not Booking.objects.exists()
    assert not Patient.objects.exists()


@pytest.mark.parametrize("phone", ["12", "abc", "+65 1234", "+999 12345678", "9" * 30])
def test_no_phone_number(client, pay_at_clinic, hold, phone):
    assert post(client, hold, phone=phone).status_code == 422


def test_foreign_number(client, pay_at_clinic, hold):
    post(client, hold, phone="+44 20 7946 0958")
    assert Patient.objects.get().phone == "+442079460958"


@pytest.mark.parametrize("field", ["name", "note", "email", "surprise"])
@pytest.mark.parametrize("number", ["4242424242424242", "4242 4242 4242 4242", "378282246310005"])
def test_card_number_in_the_details(client, pay_at_clinic, hold, caplog, field, number):
    response = post(client, hold, **{field: f"pay with {number} please"})
    assert response.status_code == 422
    assert "card numbers" in response.content.decode()
    assert number not in response.content.decode() + caplog.text
    assert not Patient.objects.exists()


@pytest.mark.parametrize(
    "text", ["4242424242424241", "Ref 2026112109123456", "9123 4567 8123 4567", "x4242424242424242"]
)
def test_other_digits_are_no_card_number(text):
    assert not holds_card_number(text)


# -- Whose hold it is ----------------------------------------------------------------------------

PAGES = ["", "payment/", "status/"]


def visit(client, hold_id, page):
    send = client.post if page == "payment/" else client.get
    return send(f"/checkout/{hold_id}/{page}")


@pytest.mark.parametrize("page", PAGES)
def test_foreign_hold(client, hold, page):
    assert visit(Client(), hold.pk, page).status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_unknown_hold(client, hold, page):
    assert visit(client, uuid.uuid4(), page).status_code == 404


def test_hold_without_an_owner_is_nobodys(db, slots, service):
    nobodys = factories.hold(slots[:1], service=service, owner="")
    assert visit(Client(), nobodys.pk, "").status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_expired_hold(client, hold, page):
    clock.run_out(hold)
    response = visit(client, hold.pk, page)
    assert response.status_code == 410
    assert "09:20" in response.content.decode()


@pytest.mark.parametrize("page", PAGES)
def test_released_hold(client, hold, page):
    client.post(f"/holds/{hold.pk}/release/")
    assert visit(client, hold.pk, page).status_code == 410


@pytest.mark.parametrize("page", PAGES)
def test_confirmed_hold_leads_to_the_visit(client, pay_at_clinic, hold, page):
    post(client, hold)
    response = visit(client, hold.pk, page)
    assert (response.status_code, response["Location"]) == (
        303,
        f"/bookings/{Booking.objects.get().reference}/",
    )


def test_expired_while_writing(client, pay_at_clinic, hold, monkeypatch):
    race.before(monkeypatch, "billing.checkout.confirm_without_payment", lambda: clock.run_out(hold))
    assert post(client, hold).status_code == 410
    assert not Booking.objects.exists()


def test_visit_belongs_to_this_browser(client, pay_at_clinic, hold):
    url = post(client, hold)["Location"]
    assert Client().get(url).status_code == 404


# -- Paid online ---------------------------------------------------------------------------------


def test_without_scripts_there_is_no_payment(client, double, hold):
    response = post(client, hold)
    assert response.status_code == 422
    assert "JavaScript" in response.content.decode()
    assert not double.calls


@pytest.mark.parametrize("token", ["", "pm_card_visa", "ctoken_../../refunds", "ctoken_" + "x" * 500])
def test_nonsense_instead_of_a_token(client, double, hold, token):
    assert post(client, hold, confirmation_token=token).status_code == 422
    assert not double.calls


def test_unknown_token(client, double, hold):
    response = post(client, hold, confirmation_token="ctoken_unknown")
    assert response["Location"] == f"/checkout/{hold.pk}/"
    assert "have not been charged" in client.get(response["Location"]).content.decode()


def test_form_of_a_paid_service_cannot_be_confirmed_for_free(client, double, hold):
    post(client, hold, needs_payment="", price_cents="0", amount_cents="0")
    assert not Booking.objects.exists()


def test_invalid_details_as_the_script_gets_them(client, double, hold):
    answer = pay(client, hold, "ctoken_any", phone="12", consent="")
    assert (answer["code"], answer["status"]) == (422, "failed")
    assert set(answer["errors"]) == {"phone", "consent"}


def test_checkout_alone_allows_the_providers_script(client, hold, settings):
    policy = client.get(f"/checkout/{hold.pk}/")["Content-Security-Policy"]
    for directive in ("script-src 'self'", "frame-src", "connect-src 'self'"):
        assert f"{directive} {settings.STRIPE_API_BASE}" in policy
    assert settings.STRIPE_API_BASE not in client.get("/")["Content-Security-Policy"]
    assert "unsafe" not in policy


def test_real_stripe_hosts(settings):
    settings.STRIPE_REAL = True
    hosts = stripe_hosts()
    assert hosts["frame-src"] == [
        "https://js.stripe.com",
        "https://*.js.stripe.com",
        "https://hooks.stripe.com",
    ]
    assert hosts["connect-src"] == ["https://api.stripe.com"]


# -- Who comes -----------------------------------------------------------------------------------


def test_login_keeps_what_is_on_file(client, pay_at_clinic, slots, service, patient):
    patient.phone = ""
    patient.save()
    client.force_login(patient.user)
    hold = take(client, slots[0], service)
    assert 'value="Nurul Aisyah"' in client.get(f"/checkout/{hold.pk}/").content.decode()
    post(client, hold, name="Somebody Else")
    patient.refresh_from_db()
    assert (patient.name, patient.phone) == ("Nurul Aisyah", "+6591234567")
    assert Booking.objects.get().patient == patient


def test_login_without_a_patient_becomes_one(client, pay_at_clinic, slots, service):
    user = factories.UserFactory(first_name="Mei", last_name="Tan")
    client.force_login(user)
    post(client, take(client, slots[0], service))
    assert Booking.objects.get().patient.user == user


def test_guest_is_one_patient_for_all_visits(client, pay_at_clinic, slots, service):
    for slot in slots[:2]:
        post(client, take(client, slot, service))
    assert Patient.objects.count() == Consent.objects.count() == 1
    assert Booking.objects.count() == 2


def test_guest_may_correct_before_the_first_visit(client, double, hold, engine):
    pay(client, hold, engine.confirmation_token("card", "declined"), name="Sitti Ramah")
    pay(client, hold, engine.confirmation_token())
    assert Patient.objects.get().name == "Siti Rahmah"


def test_another_name_is_another_person(client, pay_at_clinic, slots, service):
    post(client, take(client, slots[0], service))
    post(client, take(client, slots[1], service), name="Her Mother")
    assert sorted(Patient.objects.values_list("name", flat=True)) == ["Her Mother", "Siti Rahmah"]


def test_second_visit_at_the_same_time(client, pay_at_clinic, slots, service, hold):
    post(client, hold)
    elsewhere = factories.make_slots(
        service.practitioners.create(name="Dr Ong", specialty="General practice"),
        factories.StationFactory(clinic=hold.clinic),
        hold.starts_at,
    )
    response = post(client, take(client, elsewhere[0], service))
    assert response.status_code == 409
    assert "already have a visit" in response.content.decode()


def test_new_notice_is_agreed_to_again(client, pay_at_clinic, slots, service):
    post(client, take(client, slots[0], service))
    notices.seal(PrivacyNotice(version="2027-01", short="New", text="# New")).save()
    post(client, take(client, slots[1], service))
    assert [c.notice_version for c in Consent.objects.order_by("pk")] == [notices.SHIPPED, "2027-01"]


def test_patient_who_holds_another_time_elsewhere(client, pay_at_clinic, slots, service, patient):
    hold = take(client, slots[0], service)
    factories.hold(slots[1:2], service=service, patient=patient)
    client.force_login(patient.user)
    session = client.session
    session["owner"] = hold.owner
    session.save()
    assert post(client, hold).status_code == 303
    assert Booking.objects.get().patient == patient
