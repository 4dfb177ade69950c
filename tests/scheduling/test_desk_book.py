"""The dialog "New booking": what it offers, holds, books and refuses, with and without scripts."""

import datetime as dt

import pytest
from django.db import transaction
from django.urls import reverse

from clinic_booking.models import Event
from patients.models import Consent, Patient
from scheduling import booking
from scheduling.models import Booking, BookingRequest, Hold, Overbooking, Slot, WalkIn
from tests import factories

pytestmark = pytest.mark.django_db
HX = {"headers": {"hx-request": "true"}}
NEW = {"name": "Siti Rahmah", "phone": "9123 4567", "consent": "on"}


@pytest.fixture
def url(clinic):
    return reverse("desk_book", args=[clinic.slug])


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


@pytest.fixture
def post(desk, url, slots, service):
    def post(**values):
        asked = {"act": "book", "slot": slots[0].pk, "service": service.slug, "pay": "later"} | values
        return desk.post(url, {name: value for name, value in asked.items() if value is not None}, **HX)

    return post


def test_books_a_known_patient(post, patient, receptionist, slots):
    answer = post(patient=patient.pk, note="Needs a ramp")
    assert answer.status_code == 201
    made = Booking.objects.get(reference=answer.json()["reference"])
    assert (made.patient, made.note) == (patient, "Needs a ramp")
    assert made.session.request.source == BookingRequest.Source.DESK
    assert Event.objects.get(topic="appointment.booked").data["by"] == receptionist.pk
    slots[0].refresh_from_db()
    assert slots[0].booking == made


def test_books_without_scripts(desk, url, slots, service, patient):
    page = desk.post(url, {"act": "find", "q": "nurul", "slot": slots[0].pk, "service": service.slug})
    assert f'value="{patient.pk}"' in page.content.decode()
    asked = {"act": "book", "slot": slots[0].pk, "service": service.slug, "patient": ["", patient.pk]}
    answer = desk.post(url, asked)
    assert (answer.status_code, answer["Location"]) == (
        303,
        reverse("desk_booking", args=["tanjong-pagar", Booking.objects.get().reference]),
    )


def test_registers_a_new_patient_with_consent(post, receptionist):
    assert post(**NEW, birth_date="1990-02-03", masked_id="567a").status_code == 201
    made = Booking.objects.get().patient
    assert (made.name, made.phone, made.email) == ("Siti Rahmah", "+6591234567", "")
    assert (made.birth_date, made.masked_id) == (dt.date(1990, 2, 3), "567A")
    consent = Consent.objects.get(patient=made)
    assert (consent.channel, consent.actor, consent.is_given) == ("desk", receptionist, True)


@pytest.mark.parametrize("lacking", ["name", "phone", "consent"])
def test_a_new_patient_needs_name_phone_and_consent(post, lacking):
    answer = post(**(NEW | {lacking: None}))
    assert answer.status_code == 422
    assert not Patient.objects.exists()


def test_nobody_chosen_books_nothing(post):
    assert post().status_code == 422
    assert post(patient=999999).status_code == 422
    assert not Booking.objects.exists()


def test_who_may_be_known_is_shown_first(post, patient):
    Patient.objects.filter(pk=patient.pk).update(phone="+6591234567")
    answer = post(**NEW)
    assert answer.status_code == 409
    assert f'data-use="{patient.pk}"' in answer.content.decode()
    assert Patient.objects.count() == 1
    assert post(**NEW, is_other="on").status_code == 201
    assert Patient.objects.count() == 2


def test_the_time_is_held_while_the_dialog_is_open(desk, clinic, slots, service, post, patient):
    held = reverse("desk_book_hold", args=[clinic.slug])
    answer = desk.post(held, {"slot": slots[0].pk, "service": service.pk})
    first = Hold.objects.get()
    assert answer.json()["hold"] == str(first.pk)
    desk.post(held, {"slot": slots[0].pk, "service": service.pk, "again": "1"})
    first.refresh_from_db()
    assert first.renewals == 1
    assert post(patient=patient.pk).status_code == 201
    assert Booking.objects.get().hold == first


def test_closing_gives_the_time_back(desk, clinic, slots, service):
    desk.post(reverse("desk_book_hold", args=[clinic.slug]), {"slot": slots[0].pk, "service": service.pk})
    desk.post(reverse("desk_book_release", args=[clinic.slug, Hold.objects.get().pk]))
    slots[0].refresh_from_db()
    assert slots[0].hold is None


def test_a_time_that_is_taken_meanwhile_is_refused(
    post, patient, other_patient, slots, service, desk, clinic
):
    held = booking.hold_slots(slot_id=slots[0].pk, service_id=service.pk, owner="somebody")
    refused = desk.post(
        reverse("desk_book_hold", args=[clinic.slug]), {"slot": slots[0].pk, "service": service.pk}
    )
    assert refused.status_code == 409
    with transaction.atomic():
        booking.confirm_hold(hold_id=held.pk, patient=other_patient)
    answer = post(patient=patient.pk)
    assert answer.status_code == 409
    assert "Someone else has just taken this time" in answer.content.decode()
    assert Booking.objects.count() == 1


def test_the_patient_who_is_elsewhere_is_said_to_staff(post, patient, clinic, slots):
    factories.BookingFactory(
        patient=patient, clinic=clinic, starts_at=slots[0].starts_at, ends_at=slots[0].ends_at
    )
    answer = post(patient=patient.pk)
    assert answer.status_code == 409
    assert "The patient already has a visit at this time." in answer.content.decode()


def test_only_what_fits_is_offered(desk, url, slots, practitioner, service):
    factories.ServiceFactory(slug="long", duration_minutes=240, practitioners=[practitioner])
    page = desk.get(url, {"slot": slots[0].pk}, **HX).content.decode()
    assert 'value="consultation"' in page
    assert 'value="long"' not in page
    factories.book(slots[1:2])
    factories.ServiceFactory(slug="double", double=True, practitioners=[practitioner])
    assert 'value="double"' not in desk.get(url, {"slot": slots[0].pk}, **HX).content.decode()
    assert 'value="double"' in desk.get(url, {"slot": slots[2].pk}, **HX).content.decode()


def test_next_free_across_practitioners_the_first_chosen(desk, url, slots, service, station, clinic):
    other = factories.PractitionerFactory(name="Dr Ong")
    service.practitioners.add(other)
    room = factories.StationFactory(clinic=clinic)
    earlier = factories.make_slots(other, room, slots[0].starts_at - dt.timedelta(minutes=40), slots=1)[0]
    page = desk.get(url, {"times": "next", "service": service.slug}, **HX).content.decode()
    assert page.index(f'value="{earlier.pk}" checked') < page.index(f'value="{slots[0].pk}"')
    assert "Dr Ong" in page


def test_covered_by_a_contract_costs_nothing(post, patient, service, desk, clinic, slots):
    request = factories.BookingRequestFactory(
        patient=patient,
        service=service,
        source="contract",
        contract="C-2026-0001",
        is_prepaid=True,
        quantity=2,
    )
    session = factories.SessionTicketFactory(request=request, number=1, status="planned")
    factories.SessionTicketFactory(request=request, number=2, status="planned")
    asked = {"part": "ways", "patient": patient.pk, "service": service.slug, "slot": slots[0].pk}
    page = desk.get(reverse("desk_book_parts", args=[clinic.slug]), asked).content.decode()
    assert "Covered by C-2026-0001: session 1 of 2" in page
    assert post(patient=patient.pk, pay=f"session:{session.pk}").status_code == 201
    made = Booking.objects.get()
    assert (made.session, made.price_cents) == (session, 0)


def test_somebody_elses_session_covers_nothing(post, patient, other_patient, service):
    request = factories.BookingRequestFactory(patient=other_patient, service=service, is_prepaid=True)
    session = factories.SessionTicketFactory(request=request, number=1, status="planned")
    assert post(patient=patient.pk, pay=f"session:{session.pk}").status_code == 201
    assert Booking.objects.get().price_cents == service.price_cents


def test_walk_in_goes_into_the_queue(post, patient):
    answer = post(act="walk_in", slot=None, patient=patient.pk)
    assert answer.status_code == 201
    waiting = WalkIn.objects.get()
    assert (waiting.visit.patient, waiting.visit.number) == (patient, 1)
    assert "number 1" in answer.json()["sentence"]


def test_options_name_people_apart(desk, clinic, patient):
    options = reverse("desk_book_patients", args=[clinic.slug])
    page = desk.get(options, {"q": "nur"}).content.decode()
    assert f'data-patient-pk="{patient.pk}"' in page
    assert "born 12 Apr 1988" in page
    assert patient.email not in page
    assert 'role="option"' not in desk.get(options, {"q": "nu"}).content.decode()


@pytest.mark.parametrize("name", ["desk_book", "desk_book_patients", "desk_book_parts", "desk_overbook"])
def test_only_the_desk_of_the_clinic_may(client, clinic, name, patient):
    doctor = factories.MembershipFactory(clinic=clinic, role="doctor").user
    stranger = factories.MembershipFactory().user
    for user in (doctor, stranger, patient.user):
        client.force_login(user)
        assert client.get(reverse(name, args=[clinic.slug]), {"q": "nurul"}).status_code == 404


def test_slots_of_foreign_clinics_are_not_booked(post, patient, service, practitioner):
    foreign = factories.make_slots(
        factories.PractitionerFactory(), factories.StationFactory(), factories.tomorrow_at(9), slots=1
    )[0]
    service.practitioners.add(foreign.practitioner)
    assert post(slot=foreign.pk, patient=patient.pk).status_code == 404
    assert not Booking.objects.exists()


@pytest.mark.parametrize("slot", ["x", "-1", "9" * 30, "²", ""])
def test_nonsense_is_no_time(desk, url, slot, patient, service):
    assert desk.get(url, {"slot": slot, "patient": slot}).status_code == 200
    asked = {"act": "book", "slot": slot, "service": service.slug, "patient": patient.pk}
    assert desk.post(url, asked).status_code == 422


# -- Overbooking ---------------------------------------------------------------------------------


@pytest.fixture
def taken(slots, service, practitioner, station, clinic):
    hours = factories.ScheduleTemplateFactory(
        clinic=clinic, practitioner=practitioner, station=station, overbook_limit=1
    )
    Slot.objects.update(template=hours)
    return factories.book(slots[:1], service=service)


def overbook(client, taken, patient, **values):
    local = taken.starts_at.astimezone(taken.clinic.zone)
    asked = {
        "practitioner": taken.practitioner_id,
        "service": taken.service.slug,
        "date": local.date().isoformat(),
        "time": f"{local:%H:%M}",
        "reason": "In pain",
        "patient": patient.pk,
    }
    return client.post(reverse("desk_overbook", args=[taken.clinic.slug]), asked | values)


def test_overbooking_by_its_page(client, taken, patient, other_patient, clinic, slots):
    client.force_login(factories.MembershipFactory(clinic=clinic, role="manager").user)
    page = client.get(reverse("desk_overbook", args=[clinic.slug]), {"slot": slots[0].pk}).content.decode()
    assert "0 of 1 such places of these hours are used on this day." in page
    assert overbook(client, taken, patient, reason="").status_code == 422
    assert overbook(client, taken, patient).status_code == 303
    assert Overbooking.objects.get().booking.patient == patient
    answer = overbook(client, taken, other_patient)
    assert answer.status_code == 409
    assert "1 of 1 such places" in answer.content.decode()


def test_overbooking_needs_the_permission(desk, taken, patient):
    assert overbook(desk, taken, patient).status_code == 404
    assert not Overbooking.objects.exists()


def test_the_usual_way_never_overbooks(post, taken, patient):
    assert post(patient=patient.pk).status_code == 409
    assert not Overbooking.objects.exists()
