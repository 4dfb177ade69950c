import datetime as dt

import pytest
from django.urls import reverse
from django.utils import timezone

from billing import contracts
from billing.models import Contract
from scheduling.models import Booking
from tests import factories
from tests.billing.courses import make_draft, make_mornings

pytestmark = pytest.mark.django_db
LIST = reverse("admin:billing_contract_changelist")
ADD = reverse("admin:billing_contract_add")


@pytest.fixture
def admin(client, clinic):
    client.force_login(factories.clerk(clinic))
    return client


@pytest.fixture
def draft(practitioner, station, service, clinic, patient):
    make_mornings(practitioner, station)
    return make_draft(clinic, patient, service)


def change(contract):
    return reverse("admin:billing_contract_change", args=[contract.pk])


def change_line(line):
    return reverse("admin:billing_contractline_change", args=[line.pk])


def terms(**lines):
    data = {"signed_on": "", "late_cancel": "return", "no_show": "return", "note": "x"}
    data |= {"billing": "on_signing", "admin_fee_percent": "5", "admin_fee_cap_cents": "100"}
    data |= {"instalments-TOTAL_FORMS": 0, "instalments-INITIAL_FORMS": 0}
    return data | {"lines-TOTAL_FORMS": 0, "lines-INITIAL_FORMS": 0} | lines


def new_line(service, **changes):
    today = timezone.localdate()
    known = {
        "service": service.pk,
        "quantity": 3,
        "price_cents": 100,
        "valid_from": today,
        "valid_until": today + dt.timedelta(90),
    }
    values = {f"lines-0-{name}": value for name, value in (known | changes).items()}
    return values | {"lines-TOTAL_FORMS": 1}


def patterns(**values):
    data = {"patterns-TOTAL_FORMS": 1, "patterns-INITIAL_FORMS": 0, "patterns-0-is_hard": "on"}
    return data | {f"patterns-0-{name}": value for name, value in values.items()}


def test_pages_open_for_drafts_and_confirmed(admin, draft):
    for _ in range(2):
        for page in (LIST + "?q=nurul", change(draft), change_line(draft.lines.get())):
            assert admin.get(page).status_code == 200, page
        contracts.confirm_contract(reference=draft.reference, by=None)
    assert admin.get(ADD).status_code == 200


def test_contract_is_drafted_with_a_line(admin, draft, service, clinic, patient):
    data = terms(patient=patient.pk, clinic=clinic.pk, **new_line(service))
    answer = admin.post(ADD, data)
    assert answer.status_code == 302, answer.context["errors"]
    made = Contract.objects.latest("pk")
    assert made.reference.startswith(f"C-{clinic.today().year}-")
    assert (made.admin_fee_percent, made.admin_fee_cap_cents) == (5, 100)
    assert (made.lines.get().quantity, made.lines.get().position, made.late_cancel) == (3, 1, "return")


def parts(*rows):
    data = {"billing": "instalments", "instalments-TOTAL_FORMS": len(rows)}
    for row, (due_on, cents) in enumerate(rows):
        data |= {f"instalments-{row}-due_on": due_on, f"instalments-{row}-amount_cents": cents}
    return data


def test_instalments_are_written_and_must_be_the_price(admin, draft):
    said = admin.post(change(draft), terms() | parts(("2099-01-01", 100), ("2099-02-01", 200)), follow=True)
    assert "add up to S$\u00a03.00, but the contract costs S$\u00a01,200.00" in said.content.decode()
    assert [part.number for part in draft.instalments.all()] == [1, 2]
    data = {"action": "confirm", "_selected_action": [draft.pk]}
    assert "but the contract costs" in admin.post(LIST, data, follow=True).content.decode()
    draft.refresh_from_db()
    assert (draft.status, draft.billing) == ("draft", "instalments")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quantity": 0}, "greater than or equal to 1"),
        ({"quantity": 1000}, "less than or equal to 100"),
        ({"valid_until": "2020-01-01"}, "before “valid from”"),
        ({"valid_from": "2020-01-01", "valid_until": "2020-01-02"}, "The validity is over"),
        ({"price_cents": 10**9}, "less than or equal to"),
    ],
)
def test_bad_line_is_refused_and_nothing_kept(admin, draft, service, clinic, patient, changes, said):
    data = terms(patient=patient.pk, clinic=clinic.pk, **new_line(service, **changes))
    answer = admin.post(ADD, data)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert Contract.objects.count() == 1


def test_service_that_nobody_offers_is_refused(admin, draft, clinic, patient):
    data = terms(patient=patient.pk, clinic=clinic.pk, **new_line(factories.ServiceFactory(name="Peeling")))
    assert "Nobody offers Peeling at present" in admin.post(ADD, data).content.decode()


def test_patient_without_contact_is_refused(admin, draft, service, clinic):
    nobody = factories.PatientFactory(email="", phone="")
    answer = admin.post(ADD, terms(patient=nobody.pk, clinic=clinic.pk, **new_line(service)))
    assert answer.status_code == 422
    assert Contract.objects.count() == 1


def test_pattern_is_checked_with_its_line(admin, draft):
    page = change_line(draft.lines.get())
    bad = admin.post(page, patterns(from_time="18:00"))
    assert "between 09:00 and 10:00 only" in bad.content.decode()
    assert draft.lines.get().patterns.count() == 1
    good = admin.post(page, patterns(from_time="09:20", weekdays=[factories.tomorrow_at(9).isoweekday()]))
    assert good.status_code == 302
    assert draft.lines.get().patterns.order_by("pk").last().from_time == dt.time(9, 20)


def test_confirmed_contract_is_read_only(admin, draft):
    contracts.confirm_contract(reference=draft.reference, by=None)
    assert admin.post(change(draft), terms()).status_code == 403
    assert admin.post(change_line(draft.lines.get()), patterns(from_time="09:00")).status_code == 403
    assert admin.post(reverse("admin:billing_contract_delete", args=[draft.pk])).status_code == 403
    draft.refresh_from_db()
    assert draft.note == ""


def test_action_confirms_and_says_what_it_could_not(admin, draft, clinic, patient):
    empty = factories.ContractFactory(clinic=clinic, patient=patient)
    data = {"action": "confirm", "_selected_action": [draft.pk, empty.pk]}
    said = admin.post(LIST, data, follow=True).content.decode()
    assert f"{empty}: The contract has no line yet" in said
    assert Booking.objects.filter(session__request__contract=draft.reference).count() == 6
    empty.refresh_from_db()
    assert empty.is_draft


def test_action_plans_again(admin, draft):
    contracts.confirm_contract(reference=draft.reference, by=None)
    said = admin.post(LIST, {"action": "plan", "_selected_action": [draft.pk]}, follow=True)
    assert "0 sessions placed, 0 without a time" in said.content.decode()
