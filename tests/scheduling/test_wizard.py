"""The wizard's pages: what is asked, what is proposed, what is held, and what is said to nonsense."""

import datetime as dt
import functools
import re

import pytest
from django.urls import reverse

from scheduling.models import Booking, Hold, Slot
from tests import clock, factories
from tests.proxies.given import child, given

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(1)


@pytest.fixture
def radiographer(db):
    return factories.PractitionerFactory(name="Koh Zhi Wei")


@pytest.fixture
def xray(radiographer):
    return factories.ServiceFactory(
        slug="x-ray", name="X-ray", station_kind="x-ray", price_cents=8500, practitioners=[radiographer]
    )


@pytest.fixture
def xray_slots(radiographer, xray, clinic):
    room = factories.StationFactory(clinic=clinic, name="X-ray", kind="x-ray")
    return factories.make_slots(radiographer, room, factories.tomorrow_at(9))


@pytest.fixture
def both(slots, service, xray_slots, xray):
    """Consultation then x-ray can be had tomorrow."""
    return [service, xray]


def ask(client, *services, url=None, **more):
    query = {"service": [each.slug for each in services], "find": "1", **more}
    return client.get(url or reverse("plan"), query)


def proposals(response):
    """Of each proposal its parts, as the page posts them."""
    return [found.split() for found in re.findall(r'data-proposal="([^"]*)"', response.content.decode())]


def hold(client, parts, url=None, wishes="service=consultation&service=x-ray"):
    return client.post(url or reverse("plan_holds"), {"part": parts, "wishes": wishes})


def part(slot, service):
    return f"{slot.pk}:{service.pk}"


def test_home_leads_to_the_wizard(client, service):
    assert reverse("plan") in client.get("/").content.decode()


def test_page_asks_for_two_services_at_first(client, both):
    page = client.get(reverse("plan")).content.decode()
    assert page.count('name="service"') == 2
    assert "x-ray" in page


def test_another_service_can_be_added(client, both):
    page = client.get(reverse("plan"), {"service": ["consultation", "x-ray"], "add": "1"}).content.decode()
    assert page.count('name="service"') == 3
    assert "data-proposal" not in page


def test_proposals_come_in_order_with_price_and_reasons(client, both, slots, xray_slots):
    response = ask(client, *both)
    page = response.content.decode()
    assert proposals(response)[0] == [part(slots[0], both[0]), part(xray_slots[2], both[1])]
    assert "S$\u00a0150.00" in page
    assert "Earliest" in page
    assert "20 min between, 2 min on foot" in page


def test_named_practitioner_is_kept(client, both, practitioner, slots):
    stranger = factories.PractitionerFactory()
    assert proposals(ask(client, *both, with0=[practitioner.pk]))
    assert proposals(ask(client, *both, with0=[stranger.pk, practitioner.pk]))


def test_nothing_fits_says_why(client, both):
    response = ask(client, *both, after="18:00")
    page = response.content.decode()
    assert response.status_code == 200
    assert "Nothing fits all of your wishes" in page
    assert "if before 18:00 is allowed" in page
    shown = re.search(r'block-show" href="([^"]*)"', page)[1].replace("&amp;", "&")
    assert proposals(client.get(shown))


def test_proposals_go_around_own_visits(client, both, patient, slots):
    factories.book(slots[:1], patient=patient, service=both[0])
    client.force_login(patient.user)
    assert proposals(ask(client, *both))[0][0] == part(slots[1], both[0])


def test_a_parent_chooses_first_for_whom(client, both, patient, slots, xray_slots):
    mia, other = child(name="Mia Tan"), child(name="Ben Lim")
    given(mia, patient.user)
    factories.BookingFactory(patient=mia, starts_at=slots[0].starts_at, ends_at=slots[0].ends_at)
    client.force_login(patient.user)
    page = client.get(reverse("plan")).text
    assert f'value="{mia.uuid}">Mia Tan' in page
    assert "Ben Lim" not in page
    assert part(slots[0], both[0]) in proposals(ask(client, *both))[0]
    offered = proposals(ask(client, *both, **{"for": mia.uuid}))
    assert offered
    assert not any(part(slots[0], both[0]) in each for each in offered)
    wishes = f"service=consultation&service=x-ray&for={mia.uuid}"
    checkout = hold(client, offered[0], wishes=wishes)["Location"]
    assert Hold.objects.get(lead=None).patient == mia
    assert re.search(rf'value="{mia.uuid}"[^>]* checked', client.get(checkout).text)
    assert ask(client, *both, **{"for": other.uuid}).status_code == 404
    assert hold(client, offered[0], wishes=f"for={other.uuid}").status_code == 404


def test_few_queries_whatever_is_found(client, both, django_assert_max_num_queries):
    with django_assert_max_num_queries(14):
        ask(client, *both)


BAD_WISHES = [
    ("service=nothing&find=1", 404, "This cannot be booked here."),
    ("find=1", 422, "Please choose at least one service."),
    ("&".join(["service=consultation"] * 7), 422, "Please choose at most 6 services."),
    ("service=consultation&min_wait=60&max_wait=30", 422, "The longest break is shorter than the shortest."),
    ("service=consultation&after=18:00&before=09:00", 422, "It cannot be over before it may begin."),
    ("service=consultation&date=2020-01-01", 422, "This day is over."),
    ("service=consultation&date=2199-01-01", 422, "cannot be booked yet"),
    ("service=consultation&date=soon", 422, "This is not a date"),
    ("service=consultation&service=x-ray&times=13", 422, "At most 24 appointments"),
    ("service=consultation&times=0", 422, "greater than or equal to 1"),
    ("service=consultation&weekday=9", 422, "Weekdays are 1 (Monday) to 7 (Sunday)."),
    ("service=consultation&clinic=nowhere", 422, "There is no such clinic."),
    ("service=consultation&after=late", 422, "This is not a time"),
    ("service=consultation&days=9999", 422, "less than or equal to 60"),
]


@pytest.mark.parametrize(("query", "status", "sentence"), BAD_WISHES)
def test_nonsense_is_answered_at_the_form(client, both, query, status, sentence):
    response = client.get(f"{reverse('plan')}?{query}")
    assert response.status_code == status
    assert sentence in response.content.decode()
    assert "data-proposal" not in response.content.decode()


def test_service_that_is_not_online_is_for_the_desk_only(client, both, xray, receptionist, clinic):
    xray.is_online = False
    xray.save()
    assert ask(client, *both).status_code == 404
    client.force_login(receptionist)
    assert proposals(ask(client, *both, url=reverse("desk_plan", args=[clinic.slug])))


# -- Holding -------------------------------------------------------------------------------------


def test_one_click_holds_all_parts(client, both, slots, xray_slots):
    parts = proposals(ask(client, *both))[0]
    response = hold(client, parts)
    lead = Hold.objects.get(lead=None)
    assert (response.status_code, response["Location"]) == (303, reverse("checkout", args=[lead.pk]))
    held = Slot.objects.filter(hold__isnull=False).order_by("starts_at")
    assert [s.pk for s in held] == [slots[0].pk, xray_slots[2].pk]


def test_lost_part_leaves_nothing_held_and_proposes_afresh(client, both, slots, xray_slots):
    parts = proposals(ask(client, *both))[0]
    factories.book(xray_slots[2:3], service=both[1])
    response = hold(client, parts)
    assert response.status_code == 409
    assert "Someone else has just taken this time" in response.content.decode()
    assert proposals(response)
    assert parts not in proposals(response)
    assert not Hold.objects.exists()


BAD_PARTS = [[], ["x"], ["1:"], ["1:2:3"], ["0:0"], [f"{10**17}:1"], ["1:1", "1:1"], ["-1:2"]]


@pytest.mark.parametrize("parts", BAD_PARTS)
def test_bad_parts_hold_nothing(client, both, parts):
    response = hold(client, parts)
    assert response.status_code in (404, 422)
    assert proposals(response)
    assert not Hold.objects.exists()


def test_too_many_parts_hold_nothing(client, both, slots):
    assert hold(client, [f"{slots[0].pk + n}:{both[0].pk}" for n in range(25)]).status_code == 422
    assert not Hold.objects.exists()


def test_parts_at_the_same_time_hold_nothing(client, both, slots, xray_slots):
    response = hold(client, [part(slots[0], both[0]), part(xray_slots[0], both[1])])
    assert response.status_code in (409, 422)
    assert not Hold.objects.exists()


# -- The desk ------------------------------------------------------------------------------------


@pytest.fixture
def desk(client, receptionist, clinic):
    client.force_login(receptionist)
    return reverse("desk_plan", args=[clinic.slug])


def test_desk_is_for_staff_of_the_clinic(client, patient, both, clinic):
    url = reverse("desk_plan", args=[clinic.slug])
    assert client.get(url).status_code == 302
    client.force_login(patient.user)
    assert client.get(url).status_code == 404
    assert hold(client, ["1:1"], url=reverse("desk_plan_holds", args=[clinic.slug])).status_code == 404


@pytest.mark.parametrize("asked", ["aisyah", "{phone}", "{reference}"])
def test_desk_finds_patients(client, desk, patient, other_patient, clinic, asked):
    booking = factories.BookingFactory(patient=patient, clinic=clinic)
    asked = asked.format(phone=patient.phone[3:], reference=booking.reference.lower())
    page = client.get(desk, {"q": asked}).content.decode()
    assert f"?patient={patient.pk}" in page
    assert other_patient.name not in page


def desk_hold(client, desk, both, patient=None):
    more = {"patient": patient.pk} if patient else {}
    response = ask(client, *both, url=desk, **more)
    wishes = f"service=consultation&service=x-ray&patient={patient.pk if patient else ''}"
    response = hold(client, proposals(response)[0], url=f"{desk}holds/", wishes=wishes)
    assert response.status_code == 303
    return response["Location"]


def test_desk_books_for_a_known_patient(client, desk, both, patient, receptionist, clinic):
    checkout = desk_hold(client, desk, both, patient)
    page = client.get(checkout).content.decode()
    assert "S$\u00a0150.00 to be paid at the clinic" in page
    assert patient.name in page
    response = client.post(checkout, {"note": "Needs a ramp"})
    made = Booking.objects.order_by("starts_at")
    assert [(b.patient, b.note, b.session.request.source) for b in made] == [
        (patient, "Needs a ramp", "desk")
    ] * 2
    assert response["Location"] == reverse("desk_booking", args=[clinic.slug, made[0].reference])
    assert client.get(checkout)["Location"] == response["Location"]


def test_desk_books_for_a_new_patient(client, desk, both):
    checkout = desk_hold(client, desk, both)
    assert client.post(checkout, {"name": "Tan Ah Kow"}).status_code == 422
    assert not Booking.objects.exists()
    client.post(checkout, {"name": "Tan Ah Kow", "phone": "9123 4567", "consent": "on"})
    patient = Booking.objects.first().patient
    assert (patient.name, patient.phone, patient.consents.get().channel) == (
        "Tan Ah Kow",
        "+6591234567",
        "desk",
    )


def test_what_a_contract_covers_is_not_paid_again(client, desk, both, patient, xray):
    """A planned session of the x-ray is used, one whose contract has run out is not."""
    make = functools.partial(
        factories.BookingRequestFactory, patient=patient, source="contract", is_prepaid=True
    )
    over = make(service=both[0], contract="C-2026-0001", valid_until=factories.tomorrow_at(9).date() - DAY)
    good = make(service=xray, contract="C-2026-0002")
    for request in (over, good):
        factories.SessionTicketFactory(request=request, number=1)
    checkout = desk_hold(client, desk, both, patient)
    page = client.get(checkout).content.decode()
    assert "covered by contract C-2026-0002" in page
    assert "C-2026-0001" not in page
    assert "S$\u00a065.00 to be paid at the clinic" in page
    client.post(checkout, {})
    booked = Booking.objects.get(service=xray)
    assert (booked.session.request, booked.price_cents) == (good, 0)


def test_desk_hold_that_ran_out_starts_again(client, desk, both, patient):
    checkout = desk_hold(client, desk, both, patient)
    for hold in Hold.objects.all():
        clock.run_out(hold)
    assert client.post(checkout, {})["Location"] == f"{desk}?patient={patient.pk}"
    assert not Booking.objects.exists()


def test_desk_says_that_the_patient_is_busy(client, desk, both, patient, slots):
    checkout = desk_hold(client, desk, both, patient)
    factories.book(slots[5:6], patient=patient, service=both[0])
    Booking.objects.update(starts_at=slots[0].starts_at, ends_at=slots[0].ends_at)
    response = client.post(checkout, {})
    assert response.status_code == 409
    assert "already have a visit at this time" in response.content.decode()
    assert Booking.objects.count() == 1
