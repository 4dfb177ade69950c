"""The waitlist at the desk."""

import datetime as dt

import pytest

from scheduling import waitlist_offers
from scheduling.models import BookingRequest, Slot, WaitlistEntry, WaitlistOffer
from tests import factories
from tests.factories import wait

pytestmark = pytest.mark.django_db
LIST = "/desk/tanjong-pagar/waitlist/"


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


@pytest.fixture
def entry(service, patient):
    return wait(service, patient=patient, from_time=dt.time(9), until_time=dt.time(10))


def text(response):
    return response.content.decode()


def url(entry, path=""):
    return f"{LIST}{entry.pk}/{path}"


def test_queue_is_in_the_order_of_the_offers(desk, service, clinic):
    names = ["Third", "Second", "First"]
    third, second, first = (wait(service, patient=factories.PatientFactory(name=name)) for name in names)
    BookingRequest.objects.filter(sessions=first.session).update(urgency=2)
    WaitlistEntry.objects.filter(pk=second.pk).update(boost=1)
    page = text(desk.get(LIST))
    assert page.index("First") < page.index("Second") < page.index("Third")
    assert "As soon as possible" in page


def test_queue_says_what_suits(desk, entry):
    page = text(desk.get(LIST))
    assert entry.session.request.patient.name in page
    assert "09:00 or later, until 10:00" in page


def test_many_entries_take_few_queries(desk, service, django_assert_max_num_queries):
    for _ in range(8):
        wait(service, weekdays=[1])
    with django_assert_max_num_queries(16):
        assert desk.get(LIST).status_code == 200


def test_entry_for_other_clinics_is_not_seen_here(desk, service, slots):
    entry = wait(service, clinics=[factories.ClinicFactory()])
    assert entry.session.request.patient.name not in text(desk.get(LIST))
    assert desk.get(url(entry)).status_code == 404
    for path, data in (("change/", {"move": "up"}), ("removal/", {}), ("offers/", {"slot": slots[0].pk})):
        assert desk.post(url(entry, path), data).status_code == 404


def test_entry_with_a_wish_for_another_clinic_is_seen(desk, service):
    entry = wait(service, is_hard=False, clinics=[factories.ClinicFactory()])
    assert desk.get(url(entry)).status_code == 200


def test_staff_of_another_clinic_and_patients_find_nothing(client, entry, patient):
    for user in (factories.MembershipFactory().user, patient.user):
        client.force_login(user)
        for path in (LIST, f"{LIST}new/", url(entry)):
            assert client.get(path).status_code == 404
        assert client.post(url(entry, "removal/")).status_code == 404
    client.logout()
    assert client.get(LIST).headers["location"].startswith("/login/")


@pytest.mark.parametrize(
    ("data", "field", "value"),
    [
        ({"move": "up"}, "boost", 1),
        ({"move": "down"}, "boost", -1),
        ({"paused": "yes"}, "is_paused", True),
        ({"note": "Calls back"}, "note", "Calls back"),
    ],
)
def test_steering(desk, entry, data, field, value):
    assert desk.post(url(entry, "change/"), data).status_code == 303
    entry.refresh_from_db()
    assert getattr(entry, field) == value


def test_urgency_and_resuming(desk, entry):
    WaitlistEntry.objects.update(is_paused=True)
    desk.post(url(entry, "change/"), {"paused": "no", "urgency": "2", "note": ""})
    entry.refresh_from_db()
    assert (entry.is_paused, BookingRequest.objects.get().urgency) == (False, 2)


@pytest.mark.parametrize("data", [{"move": "sideways"}, {"urgency": "9"}, {"note": "x" * 201}])
def test_nonsense_changes_nothing(desk, entry, data):
    assert desk.post(url(entry, "change/"), data).status_code == 422


def test_removed_entry_can_be_changed_no_more(desk, entry):
    assert desk.post(url(entry, "removal/")).headers["location"] == LIST
    assert desk.post(url(entry, "removal/")).status_code == 409
    assert desk.post(url(entry, "change/"), {"move": "up"}).status_code == 409


def test_free_times_are_offered(desk, entry, slots):
    page = text(desk.get(url(entry)))
    assert f'data-slot="{slots[0].pk}"' in page
    assert "It ends later in the day than the request allows." in page
    assert desk.post(url(entry, "offers/"), {"slot": slots[0].pk}).status_code == 303
    offer = WaitlistOffer.objects.get()
    assert (offer.outcome, offer.hold.starts_at) == ("open", slots[0].starts_at)
    assert f'data-offer="{offer.pk}"' in text(desk.get(url(entry)))


def test_time_taken_meanwhile_gets_a_sentence(desk, entry, slots):
    Slot.objects.update(is_blocked=True)
    answer = desk.post(url(entry, "offers/"), {"slot": slots[0].pk})
    assert answer.status_code == 409
    assert "not open for booking" in text(answer)
    entry.refresh_from_db()
    assert entry.status == "waiting"


def test_only_times_of_the_clinic_are_offered(desk, entry):
    elsewhere = factories.SlotFactory()
    assert desk.post(url(entry, "offers/"), {"slot": elsewhere.pk}).status_code == 404
    assert desk.post(url(entry, "offers/"), {"slot": "x"}).status_code == 422


def test_offer_is_withdrawn(desk, entry, slots, receptionist):
    offer = waitlist_offers.offer(entry_id=entry.pk, slot_id=slots[0].pk, by=receptionist)
    path = f"/desk/tanjong-pagar/offers/{offer.pk}/withdrawal/"
    assert desk.post(path).status_code == 303
    assert desk.post(path).status_code == 410
    entry.refresh_from_db()
    offer.refresh_from_db()
    assert (entry.status, offer.outcome) == ("waiting", "withdrawn")


def test_staff_add_somebody(desk, service, clinic, practitioner, station):
    factories.ScheduleTemplateFactory(clinic=clinic, practitioner=practitioner, station=station)
    assert desk.get(f"{LIST}new/").status_code == 200
    data = {"service": service.slug, "strict": "no", "notice_minutes": "1440", "clinics": [clinic.slug]}
    data |= {"name": "Siti", "email": "siti@example.com", "phone": "9123 4567", "consent": "on"}
    answer = desk.post(f"{LIST}new/", data | {"urgency": "1", "note": "By phone"})
    entry = WaitlistEntry.objects.select_related("session__request__patient").get()
    assert answer.headers["location"] == url(entry)
    request = entry.session.request
    assert (request.patient.name, request.urgency, entry.note) == ("Siti", 1, "By phone")
    again = desk.post(f"{LIST}new/", data | {"urgency": "1", "note": ""})
    assert again.status_code == 409
    assert desk.post(f"{LIST}new/", {}).status_code == 422
