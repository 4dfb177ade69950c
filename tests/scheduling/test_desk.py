import json

import pytest
from django.urls import reverse

from tests import factories

pytestmark = pytest.mark.django_db
DAY = factories.tomorrow_at(9).date()


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


@pytest.fixture
def booking(slots, service, patient):
    return factories.book(slots[:1], patient=patient, service=service, note="Needs a ramp")


def pages(clinic, reference="ABC"):
    return [
        reverse("desk", args=[clinic.slug]),
        reverse("desk_dataset", args=[clinic.slug]) + f"?from={DAY}&to={DAY}",
        reverse("desk_booking", args=[clinic.slug, reference]),
    ]


def test_desk_leads_to_the_own_clinic(desk, clinic):
    factories.ClinicFactory(name="Aaa")
    assert desk.get(reverse("desk_home")).headers["location"] == reverse("desk", args=[clinic.slug])


def test_strangers_are_sent_to_the_login(client, clinic):
    for url in pages(clinic):
        assert client.get(url).headers["location"].startswith("/login/?next=/desk/")


def test_patients_find_no_desk(client, clinic, patient, booking):
    client.force_login(patient.user)
    for url in [reverse("desk_home"), *pages(clinic, booking.reference)]:
        assert client.get(url).status_code == 404


def test_staff_of_another_clinic_find_no_desk(desk, booking):
    other = factories.ClinicFactory()
    elsewhere = factories.BookingFactory(clinic=other)
    for url in pages(other, elsewhere.reference):
        assert desk.get(url).status_code == 404


def test_visit_of_another_clinic_is_not_shown_here(desk, clinic):
    elsewhere = factories.BookingFactory()
    assert desk.get(reverse("desk_booking", args=[clinic.slug, elsewhere.reference])).status_code == 404


def test_superuser_finds_no_desk(client, clinic):
    client.force_login(factories.UserFactory(is_admin=True))
    assert client.get(reverse("desk", args=[clinic.slug])).status_code == 404


def test_day_page_names_its_clinic_and_dataset(desk, clinic):
    page = desk.get(reverse("desk", args=[clinic.slug]), {"date": DAY}).content.decode()
    assert f'data-dataset="{reverse("desk_dataset", args=[clinic.slug])}"' in page
    assert f'data-clinic="{clinic.slug}"' in page


def test_day_as_a_list_names_the_visits(desk, clinic, booking):
    page = desk.get(reverse("desk", args=[clinic.slug]), {"date": DAY, "list": 1}).content.decode()
    assert booking.patient.name in page
    assert "09:00–09:20" in page


@pytest.mark.parametrize(
    "narrow",
    [
        {"who": "other"},
        {"status": "called"},
        {"status": "overbooked"},
        {"service": 0},
        {"practitioner": 0},
    ],
)
def test_list_is_filtered_as_the_calendar_is(desk, clinic, booking, practitioner, service, narrow):
    other = factories.ServiceFactory(practitioners=[practitioner])
    also = factories.PractitionerFactory()
    factories.make_slots(also, factories.StationFactory(clinic=clinic), booking.ends_at)
    wrong = {"service": other.pk, "practitioner": also.pk}
    fits = {"who": "aisyah", "status": "booked", "service": service.pk, "practitioner": practitioner.pk}
    (name,) = narrow

    def names(**query):
        asked = {"date": DAY, "list": 1, **query}
        return booking.patient.name in desk.get(reverse("desk", args=[clinic.slug]), asked).content.decode()

    assert names(**{name: fits[name]})
    assert not names(**{name: wrong.get(name, narrow[name])})
    assert names(**{name: "nonsense"}) == (name != "who")


def test_all_clinics_are_those_of_the_user(desk, client, clinic, booking, receptionist):
    second, third = factories.ClinicFactory(name="Bedok"), factories.ClinicFactory()
    factories.BookingFactory(clinic=third, starts_at=booking.starts_at)
    factories.MembershipFactory(clinic=second, user=receptionist)
    url = reverse("desk_datasets") + f"?from={DAY}&to={DAY}"
    assert [each["slug"] for each in desk.get(url).json()["clinics"]] == [second.slug, clinic.slug]
    client.force_login(booking.patient.user)
    assert client.get(url).status_code == 404
    client.logout()
    assert client.get(url).status_code == 302


def test_dataset_has_slots_and_visits(desk, clinic, booking, slots):
    response = desk.get(reverse("desk_dataset", args=[clinic.slug]), {"from": DAY, "to": DAY})
    (data,) = json.loads(response.content)["clinics"]
    assert data["columns"][0]["slots"]["id"] == [slot.pk for slot in slots]
    assert data["bookings"][0]["ref"] == booking.reference
    assert data["bookings"][0]["patient"] == booking.patient.name
    assert response.headers["cache-control"].endswith("private")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "from=2026-01-01",
        "from=2026-01-01&to=x",
        "from=2026-01-02&to=2026-01-01",
        "from=2026-01-01&to=2026-02-01",
        "from=0001-01-01&to=0001-01-01",
        "from=9999-12-31&to=9999-12-31",
    ],
)
def test_bad_span_is_answered_in_json(desk, clinic, query):
    response = desk.get(f"{reverse('desk_dataset', args=[clinic.slug])}?{query}")
    assert response.status_code == 422
    assert response.json()["errors"]


def test_bad_date_gets_a_sentence(desk, clinic):
    response = desk.get(reverse("desk", args=[clinic.slug]), {"date": "soon"})
    assert response.status_code == 422
    assert 'role="alert"' in response.content.decode()


def test_details_are_a_page_and_a_fragment(desk, clinic, booking):
    url = reverse("desk_booking", args=[clinic.slug, booking.reference])
    page, fragment = desk.get(url), desk.get(url, headers={"hx-request": "true"})
    assert "Needs a ramp" in page.content.decode()
    assert "<html" in page.content.decode()
    assert "Needs a ramp" in fragment.content.decode()
    assert "<html" not in fragment.content.decode()


def test_desk_needs_few_queries(desk, clinic, booking, django_assert_max_num_queries):
    factories.MembershipFactory(user=clinic.memberships.get().user)
    with django_assert_max_num_queries(8):
        desk.get(reverse("desk", args=[clinic.slug]), {"date": DAY})
    with django_assert_max_num_queries(8):
        desk.get(reverse("desk", args=[clinic.slug]), {"date": DAY, "list": 1})
    with django_assert_max_num_queries(4):
        desk.get(reverse("desk_dataset", args=[clinic.slug]), {"from": DAY, "to": DAY})


@pytest.mark.parametrize(
    "path",
    ["unmatched/plan/", "supply/new/leave/", "plan/holds/", "contracts/new/", "waitlist/new/"],
)
def test_doctors_look_at_the_work_of_the_desk_and_change_nothing(client, clinic, path):
    doctor = factories.MembershipFactory(clinic=clinic, role="doctor").user
    client.force_login(doctor)
    assert client.post(f"/desk/{clinic.slug}/{path}", {}).status_code == 403
