"""What the privacy office may mistype: a sentence on the page, never an error, and nothing that later breaks a job."""

import pytest
from django.utils import timezone

from clinic_booking.retention.models import Incident, ReviewedErasure
from tests.retention.test_breach import FACTS

OFFICE = "/privacy-office/"
FAR = ["9999-12-31T23:59", "0001-01-01T00:00", "2200-01-01T00:00"]
RULE = {"trigger": "t", "months": "0", "days": "45", "action": "delete", "basis": "b"}
HUGE = str(2**63)


@pytest.mark.parametrize("field", ["discovered_at", "suspected_at", "from_at", "until_at"])
@pytest.mark.parametrize("moment", FAR)
def test_incident_of_another_age(client, officer, field, moment):
    client.force_login(officer)
    answer = client.post(f"{OFFICE}incidents/new/", FACTS | {field: moment})
    assert answer.status_code == 422, Incident.objects.values()


@pytest.mark.parametrize("field", ["actor_id", "clinic_id", "people"])
@pytest.mark.parametrize("number", [HUGE, "-1"])
def test_numbers_that_nobody_has(client, officer, field, number):
    client.force_login(officer)
    assert client.post(f"{OFFICE}incidents/new/", FACTS | {field: number}).status_code == 422


@pytest.mark.parametrize(
    ("data_class", "pk"), [("nonsense", 1), ("bill", 2**63), ("bill", 10**30), ("bill", 1)]
)
def test_review_of_what_does_not_wait(client, officer, data_class, pk):
    client.force_login(officer)
    client.post(f"{OFFICE}retention/{data_class}/{pk}/", {"reason": "x"})
    assert not ReviewedErasure.objects.exists()


@pytest.mark.parametrize("given", [{"months": "32767"}, {"days": "32767"}, {"months": "-1"}, {"basis": "\0"}])
def test_rule_beyond_reason(client, officer, given):
    client.force_login(officer)
    assert client.post(f"{OFFICE}retention/waitlist/", RULE | given).status_code == 422


@pytest.mark.parametrize(
    "given",
    [
        {"scope": "patient", "patient": HUGE},
        {"scope": "patient"},
        {"scope": "appointment"},
        {"scope": "period", "period_from": "0001-01-01", "period_until": "9999-12-31"},
        {"scope": "period", "period_from": "2026-02-02", "period_until": "2026-02-01"},
        {"scope": "elsewhere"},
    ],
)
def test_hold_of_nothing(client, officer, given):
    client.force_login(officer)
    assert client.post(f"{OFFICE}holds/", given | {"reason": "Claim 17"}).status_code == 422


@pytest.mark.parametrize("step", ["extension", "keeping"])
def test_request_is_not_put_off_for_ever(client, officer, patient, step):
    client.force_login(officer)
    logged = {
        "kind": "access",
        "channel": "phone",
        "text": "A copy",
        "identity_proof": "none",
        "patient": patient.pk,
    }
    logged |= {"received_on": timezone.localdate().isoformat()}
    made = client.post(f"{OFFICE}requests/new/", logged)["Location"]
    assert client.post(f"{made}{step}/", {"until": "9999-12-31", "reason": "x"}).status_code == 422


@pytest.mark.parametrize(
    "given", [{"review_on": "9999-12-31"}, {"ended_on": "2200-01-01"}, {"review_on": "0001-01-01"}]
)
def test_vendor_reviewed_in_another_age(client, officer, given):
    client.force_login(officer)
    vendor = {"name": "Host", "service": "Servers", "data": "all", "country": "SG", "ground": "contract"}
    vendor |= {"review_on": timezone.localdate().isoformat()} | given
    assert client.post(f"{OFFICE}vendors/new/", vendor).status_code == 422


def test_incident_names_its_clinic(client, officer, clinic):
    client.force_login(officer)
    form = client.get(f"{OFFICE}incidents/new/").content.decode()
    assert f'<option value="{clinic.pk}">{clinic.name}</option>' in form
    client.post(f"{OFFICE}incidents/new/", FACTS | {"clinic_id": clinic.pk})
    assert Incident.objects.get().clinic_id == clinic.pk
