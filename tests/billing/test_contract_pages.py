import datetime as dt

import pytest
from django.urls import reverse
from django.utils import timezone

from billing import contracts
from billing.models import Contract
from scheduling import booking
from scheduling.models import Booking, BookingRequest
from tests import factories
from tests.billing.courses import make_draft, make_mornings

pytestmark = pytest.mark.django_db
TERMS = {
    "late_cancel": "return",
    "no_show": "forfeit",
    "billing": "on_signing",
    "admin_fee_percent": "20",
    "admin_fee_cap": "50.50",
}


@pytest.fixture
def mornings(practitioner, station, service):
    return make_mornings(practitioner, station)


@pytest.fixture
def draft(mornings, clinic, patient, service):
    return make_draft(clinic, patient, service)


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


@pytest.fixture
def url(clinic):
    def url(name, *arguments):
        return reverse(name, args=[clinic.slug, *arguments])

    return url


def text(response, status=200):
    assert response.status_code == status, response.content.decode()[:2000]
    return response.content.decode()


def rules(*given, known=0):
    """What a browser posts of the rules: those given, and one left empty."""
    data = {"rule-TOTAL_FORMS": len(given) + 1, "rule-INITIAL_FORMS": known}
    for number, values in enumerate([*given, {}]):
        data |= {f"rule-{number}-is_hard": "1"} | {f"rule-{number}-{k}": v for k, v in values.items()}
    return data


def line(service, *given, **changes):
    today = timezone.localdate()
    known = {
        "service": service.pk,
        "quantity": 6,
        "price": "200.00",
        "valid_from": today.isoformat(),
        "valid_until": (today + dt.timedelta(120)).isoformat(),
    }
    return known | rules(*given) | changes


# -- Who may -------------------------------------------------------------------------------------


def pages(url, contract):
    reference, line = contract.reference, contract.lines.get()
    plain = ["contract", "contract_details", "contract_line_new", "contract_cancellation"]
    return [
        url("contracts"),
        url("contract_new"),
        *(url(name, reference) for name in plain),
        url("contract_line", reference, line.pk),
    ]


def test_pages_are_for_the_clinics_staff(client, desk, url, draft, patient):
    for page in pages(url, draft):
        assert desk.get(page).status_code == 200, page
    client.force_login(patient.user)
    for page in pages(url, draft):
        assert client.get(page).status_code == 404, page
    client.logout()
    for page in pages(url, draft):
        assert client.get(page).headers["location"].startswith("/login/"), page


def test_contract_of_another_clinic_does_not_exist(desk, url, patient, service):
    elsewhere = factories.ContractFactory(patient=patient, lines=[{"service": service}])
    of_line = elsewhere.lines.get().pk
    for name in ("confirmation", "planning", "cancellation"):
        assert desk.post(url(f"contract_{name}", elsewhere.reference)).status_code == 404
    assert desk.post(url("contract_line_removal", elsewhere.reference, of_line)).status_code == 404
    assert desk.get(url("contract", elsewhere.reference)).status_code == 404
    there = reverse("contract", args=[elsewhere.clinic.slug, elsewhere.reference])
    assert desk.get(there).status_code == 404


# -- Finding and drafting ------------------------------------------------------------------------


def test_list_is_searched_by_patient_and_state(desk, url, draft, clinic):
    other = factories.ContractFactory(clinic=clinic, patient__name="Kumar s/o Rajan")
    assert other.reference in text(desk.get(url("contracts")))
    found = text(desk.get(url("contracts"), {"q": "aisyah"}))
    assert draft.reference in found
    assert other.reference not in found
    assert "No contract fits" in text(desk.get(url("contracts"), {"status": "confirmed"}))


def test_list_costs_the_same_for_many(desk, url, draft, clinic, service, django_assert_max_num_queries):
    for _ in range(5):
        factories.ContractFactory(clinic=clinic, lines=[{"service": service}])
    with django_assert_max_num_queries(10):
        desk.get(url("contracts"))


@pytest.mark.parametrize("query", ["Nurul", "aisyah@example", "9000"])
def test_draft_is_made_for_the_patient_found(desk, url, patient, query):
    factories.PatientFactory(name="Someone Else", phone="+6581234567")
    page = url("contract_new") + f"?q={query}"
    assert patient.name in text(desk.get(page))
    terms = TERMS | {"signed_on": "2026-11-01", "note": "By phone", "billing": "per_visit"}

    answer = desk.post(page, terms | {"patient": patient.pk})

    made = Contract.objects.get()
    assert answer.headers["location"] == url("contract", made.reference)
    assert (made.patient, made.late_cancel, made.signed_on) == (patient, "return", dt.date(2026, 11, 1))
    assert (made.billing, made.admin_fee_percent, made.admin_fee_cap_cents) == ("per_visit", 20, 5050)
    assert made.created_by.username == "receptionist@demo.example"


def test_draft_needs_a_patient_with_a_contact(desk, url, patient):
    page = url("contract_new") + "?q=Nurul"
    terms = TERMS
    assert "Please choose the patient." in text(desk.post(page, terms), 422)
    type(patient).objects.update(email="", phone="")
    said = text(desk.post(page, terms | {"patient": patient.pk}), 422)
    assert "neither an e-mail address nor a phone number" in said
    assert not Contract.objects.exists()


def test_one_letter_finds_nobody(desk, url, patient):
    assert patient.name not in text(desk.get(url("contract_new"), {"q": "N"}))


def test_terms_of_a_draft_are_changed(desk, url, draft):
    page = url("contract_details", draft.reference)
    assert "Terms of the contract" in text(desk.get(page))
    desk.post(page, TERMS | {"no_show": "return", "note": "VIP"})
    draft.refresh_from_db()
    assert (draft.late_cancel, draft.no_show, draft.note) == ("return", "return", "VIP")
    assert desk.post(page, TERMS | {"late_cancel": "maybe"}).status_code == 422


# -- Lines and rules -----------------------------------------------------------------------------


def test_line_is_added_with_its_rules(desk, url, draft, service, practitioner, clinic):
    page = url("contract_line_new", draft.reference)
    weekday = factories.tomorrow_at(9).isoweekday()
    given = {
        "weekdays": [weekday],
        "from_time": "09:00",
        "min_gap_days": 7,
        "clinics": [clinic.pk],
        "practitioners": [practitioner.pk],
    }

    answer = desk.post(page, line(service, given, {"is_hard": "", "until_time": "09:40"}, price=""))

    assert answer.headers["location"] == url("contract", draft.reference)
    added = draft.lines.last()
    assert (added.quantity, added.price_cents) == (6, service.price_cents)
    hard, wish = added.patterns.order_by("pk")
    assert (hard.is_hard, hard.weekdays, hard.from_time, hard.min_gap_days) == (
        True,
        [weekday],
        dt.time(9),
        7,
    )
    assert (list(hard.clinics.all()), list(hard.practitioners.all())) == ([clinic], [practitioner])
    assert (wish.is_hard, wish.until_time) == (False, dt.time(9, 40))
    shown = text(desk.get(url("contract", draft.reference)))
    assert "09:00 or later · at least 7 days apart · Dr Lim Wei Jie · Tanjong Pagar" in shown


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quantity": "0"}, "Between 1 and 100 sessions"),
        ({"quantity": "9999999"}, "Between 1 and 100 sessions"),
        ({"quantity": "six"}, "Enter a whole number"),
        ({"price": "-1"}, "greater than or equal to 0"),
        ({"price": "1e9"}, "less than or equal to"),
        ({"valid_until": "2020-01-01"}, "before “valid from”"),
        ({"valid_from": "2020-01-01", "valid_until": "2020-01-02"}, "The validity is over"),
        ({"valid_from": "yesterday"}, "This is not a date"),
        ({"service": "0"}, "Select a valid choice"),
        ({"rule-0-from_time": "25:00"}, "Enter a valid time"),
        ({"rule-0-from_time": "18:00"}, "Visits are possible between 09:00 and 10:00 only."),
        ({"rule-0-from_time": "11:00", "rule-0-until_time": "10:00"}, "The window ends before it begins."),
        ({"rule-0-min_gap_days": "30"}, "only 3 of 6 sessions fit"),
        ({"rule-0-min_gap_days": "9", "rule-0-max_gap_days": "8"}, "smaller than the smallest"),
        ({"rule-0-weekdays": "8"}, "Select a valid choice"),
        ({"rule-TOTAL_FORMS": "99"}, "at most 8 forms"),
    ],
)
def test_bad_line_is_said_and_nothing_is_kept(desk, url, draft, service, changes, said):
    page = url("contract_line_new", draft.reference)
    said_all = text(desk.post(page, line(service, {}) | changes), 422)
    assert said in said_all
    assert draft.lines.count() == 1


def test_rule_is_told_at_its_own_fieldset(desk, url, draft, service):
    weekday = factories.tomorrow_at(9).isoweekday() % 7 + 1
    page = url("contract_line_new", draft.reference)
    said = text(desk.post(page, line(service, {}, {"weekdays": [weekday]})), 422)
    second = said.split("Rule 2")[1].split("Rule 3")[0]
    assert "Nobody offers General consultation on" in second


def test_rule_is_removed_and_another_added(desk, url, draft, service):
    old = draft.lines.get()
    page = url("contract_line", draft.reference, old.pk)
    assert 'value="7"' in text(desk.get(page))
    data = line(service) | rules({"min_gap_days": 7, "DELETE": "on"}, {"min_gap_days": 14}, known=1)

    answer = desk.post(page, data | {"more": "1"})

    assert answer.headers["location"] == page
    assert [p.min_gap_days for p in old.patterns.all()] == [14]


def test_line_form_is_a_fragment_for_htmx(desk, url, draft, service):
    page = url("contract_line_new", draft.reference)
    htmx = {"HX-Request": "true"}
    assert "<html" not in text(desk.get(page, headers=htmx))
    assert "<html" not in text(desk.post(page, line(service, quantity="0"), headers=htmx), 422)
    answer = desk.post(page, line(service), headers=htmx)
    assert answer.headers["HX-Redirect"] == url("contract", draft.reference)


def test_line_is_removed(desk, url, draft):
    desk.post(url("contract_line_removal", draft.reference, draft.lines.get().pk))
    assert not draft.lines.exists()
    assert "Nothing yet" in text(desk.get(url("contract", draft.reference)))


# -- Confirming and after ------------------------------------------------------------------------


@pytest.fixture
def confirmed(desk, url, draft):
    desk.post(url("contract_confirmation", draft.reference))
    draft.refresh_from_db()
    return draft


def test_confirming_shows_the_sessions_with_their_days(desk, url, confirmed, clinic):
    shown = text(desk.get(url("contract", confirmed.reference)))
    assert confirmed.status == "confirmed"
    assert shown.count('data-status="scheduled"') == 6
    day = factories.tomorrow_at(9).date() + dt.timedelta(7)
    assert f'href="/desk/{clinic.slug}/?date={day}"' in shown


def test_confirming_what_cannot_be_is_explained(desk, url, draft):
    draft.lines.all().delete()
    said = text(desk.post(url("contract_confirmation", draft.reference)), 422)
    assert "The contract has no line yet" in said


def test_double_click_confirms_once(desk, url, confirmed):
    desk.post(url("contract_confirmation", confirmed.reference))
    assert BookingRequest.objects.count() == 1
    assert Booking.objects.count() == 6


def test_confirmed_contract_cannot_be_edited(desk, url, confirmed, service):
    of_line = confirmed.lines.get().pk
    assert desk.get(url("contract_line", confirmed.reference, of_line)).status_code == 409
    assert desk.post(url("contract_line_new", confirmed.reference), line(service)).status_code == 409
    assert desk.post(url("contract_line_removal", confirmed.reference, of_line)).status_code == 409
    assert confirmed.lines.count() == 1


def test_unplaced_session_is_tried_again(desk, url, confirmed, practitioner, station):
    last = Booking.objects.order_by("starts_at").last()
    booking.cancel_booking(booking_id=last.pk, by=None, reason="clinic")
    page = url("contract", confirmed.reference)
    assert "No time yet" in text(desk.get(page))

    answer = desk.post(url("contract_planning", confirmed.reference), follow=True)

    assert "1 session has a time now." in text(answer)
    assert text(desk.get(page)).count('data-status="scheduled"') == 6


def test_rules_of_what_is_still_to_plan_are_changed(desk, url, confirmed):
    page = url("contract_rules", confirmed.reference, confirmed.lines.get().pk)
    assert 'value="7"' in text(desk.get(page))
    answer = desk.post(page, rules({"min_gap_days": 14}, known=1))
    assert answer.status_code == 302
    request = BookingRequest.objects.get()
    assert [p.min_gap_days for p in request.patterns.all()] == [14]
    assert Booking.objects.live().count() == 6
    said = text(desk.post(page, rules({"from_time": "20:00"}, known=1)), 422)
    assert "between 09:00 and 10:00 only" in said


def test_cancelling_decides_each_visit(desk, url, confirmed):
    page = url("contract_cancellation", confirmed.reference)
    visits = list(contracts.future_bookings(confirmed))
    assert text(desk.get(page)).count("<legend>") == 6
    half = {f"booking-{visit.pk}": "cancel" for visit in visits[1:]}

    refused = text(desk.post(page, half), 409)
    assert "Please decide about each visit" in refused
    assert refused.count("checked") == 5
    assert Booking.objects.live().count() == 6
    answer = desk.post(page, half | {f"booking-{visits[0].pk}": "keep", "reason": "Moves away"}, follow=True)

    assert "The contract is cancelled." in text(answer)
    assert list(Booking.objects.live()) == [visits[0]]
    assert desk.post(url("contract_planning", confirmed.reference)).status_code == 409
