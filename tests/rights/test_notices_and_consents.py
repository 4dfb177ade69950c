"""The notice in its versions, and the evidence of what was agreed to under which of them."""

import hashlib

import pytest
from django.db import DatabaseError, transaction
from django.urls import reverse

from clinic_booking.messages.kinds import KINDS, Purpose
from patients import consents
from patients.messages import NoConsent, recipient
from patients.models import Consent, PrivacyNotice, PrivacyRequest
from patients.rights import notices
from scheduling import message_kinds
from tests import factories

pytestmark = pytest.mark.django_db
CARE = Consent.Purpose.CARE_AND_BOOKING


def publish(version="2027-01", **values):
    notice = notices.seal(PrivacyNotice(version=version, short="Newer", text="# New\n- point", **values))
    notice.save()
    return notice


@pytest.mark.parametrize("language", ["en", "zh", "ms", "ta"])
def test_notice_is_shipped_in_each_language(client, language):
    notice = notices.current(language)
    whole = f"{notice.short}\n\n{notice.text}"
    assert notice.language == language
    assert notice.text_hash == hashlib.sha256(whole.encode()).hexdigest()
    page = client.get(f"/privacy/?lang={language}").content.decode()
    assert notice.short in page
    assert f"Version {notices.SHIPPED}" in page
    assert page.count("<h2>") == notice.text.count("# ") + 2
    assert "pdpc.gov.sg" in page


def test_published_notice_never_changes():
    notice = publish()
    for change in (lambda: PrivacyNotice.objects.update(short="x"), notice.delete):
        with pytest.raises(DatabaseError, match="append"), transaction.atomic():
            change()


def test_older_version_stays_readable(client):
    old = notices.current()
    publish()
    assert "Newer" in client.get("/privacy/?lang=zh").content.decode()  # not published in Chinese
    assert old.short in client.get(f"/privacy/?version={old.version}").content.decode()
    assert client.get("/privacy/?version=none").status_code == 404


def test_notice_of_tomorrow_is_not_valid_today():
    publish(valid_from=factories.tomorrow_at(0))
    assert notices.current().version == notices.SHIPPED


def test_consent_keeps_its_evidence(patient, receptionist, clinic):
    how = consents.Asked("desk", "register", "I agree.", language="ta", on_behalf=True)
    assert consents.agree(patient=patient, by=receptionist, how=how, clinic_id=clinic.pk)
    assert not consents.agree(patient=patient, by=receptionist, how=how)
    kept = Consent.objects.get()
    assert (kept.notice_version, kept.language, kept.channel) == (notices.SHIPPED, "ta", "desk")
    assert kept.text_hash == notices.current("ta").text_hash
    assert (kept.actor, kept.on_behalf_of) == (receptionist, patient)
    assert kept.evidence == {"wording": "I agree.", "form": "register"}
    assert consents.is_current(patient.pk)


def test_new_notice_is_asked_for_at_the_next_login(client, patient):
    consents.agree(patient=patient, by=patient.user, how=consents.Asked("web"))
    client.force_login(patient.user)
    asked = "Our privacy notice is new."
    assert asked not in client.get("/me/").content.decode()
    publish()
    assert asked in client.get("/me/").content.decode()
    client.post(reverse("my_consent", args=[CARE]), {"say": "yes"})
    assert asked not in client.get("/me/").content.decode()
    assert list(Consent.objects.order_by("pk").values_list("notice_version", flat=True)) == [
        notices.SHIPPED,
        "2027-01",
    ]


def test_optional_purposes_are_off_until_asked_for(client, patient):
    client.force_login(patient.user)
    page = client.get(reverse("my_privacy")).content.decode()
    assert (
        page.count('<span class="chip chip-good">Yes</span>') == 1
    )  # reminders by e-mail, until they are stopped
    for purpose in ("research", "share_with_referrer", "marketing_email"):
        assert reverse("my_consent", args=[purpose]) in page
    assert not Consent.objects.exists()


def test_marketing_stops_at_once(client, patient, monkeypatch):
    kind = message_kinds.Kind("offer_of_month", "", "", ("stop_link",), Purpose.MARKETING)
    client.force_login(patient.user)
    url = reverse("my_consent", args=["marketing_email"])
    client.post(url, {"say": "yes"})
    assert recipient(patient, kind).channels == ("email",)
    assert "You get no more offers from now on" in client.get(url).content.decode()
    client.post(url, {"say": "no"})
    with pytest.raises(NoConsent):
        recipient(patient, kind)
    assert Consent.objects.filter(purpose="marketing_email").count() == 2


def test_withdrawal_of_care_reaches_the_privacy_officer(client, patient):
    consents.agree(patient=patient, by=patient.user, how=consents.Asked("web"))
    client.force_login(patient.user)
    url = reverse("my_consent", args=[CARE])
    shown = client.get(url).text
    assert "we can no longer book for you" in shown
    assert "I agree</button>" not in shown
    client.post(url, {"say": "no"})
    assert 'value="yes"' in client.get(url).text
    # Who said no to this notice is not asked by each page.
    assert not any("notice is new" in client.get(reverse(page)).text for page in ("me", "my_privacy"))
    asked = PrivacyRequest.objects.get()
    assert (asked.kind, asked.patient, asked.identity_proof) == ("withdrawal", patient, "login")
    assert not consents.is_current(patient.pk)


def test_unknown_purpose_is_not_found(client, patient):
    client.force_login(patient.user)
    assert client.get(reverse("my_consent", args=["everything"])).status_code == 404


def test_every_class_of_message_says_how_to_stop_it():
    for kind in KINDS.values():
        if kind.purpose != Purpose.SERVICE:
            assert "stop_link" in kind.facts, kind.name
