"""What a patient is given: everything, nobody else in it, once, within a day."""

import json
import threading
from datetime import timedelta

import pypdfium2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.apps import apps
from django.core import mail, signing
from django.core.management import CommandError, call_command
from django.db import connections
from django.urls import reverse
from django.utils import timezone

from billing import bills
from clinic_booking import audit
from clinic_booking.accounts import step_up
from clinic_booking.models import AuditEvent
from patients.models import DataCopy
from patients.rights import copies, parts
from scheduling.models import DeskNote
from tests import factories
from tests.vault.keys import key

CANARY = "Zebrafish"


@pytest.fixture
def record(db, patient, other_patient, slots, service, receptionist, practitioner):
    """A visit of the patient, with the names of others in all that is free text."""
    other = other_patient
    other.name = f"{CANARY} Other"
    other.save()
    receptionist.first_name, receptionist.last_name = CANARY, "Staff"
    receptionist.save()
    practitioner.name = f"Dr {CANARY}"
    practitioner.save()
    note = f"please not Dr {CANARY}, as with {CANARY} Other"
    booking = factories.book(slots[:1], service=service, patient=patient, note=note)
    DeskNote.objects.create(
        booking=booking, text=f"ask {CANARY.lower()} staff at the desk", written_by=receptionist
    )
    bills.keep_bill(booking.pk)
    factories.ConsentFactory(patient=patient)
    audit.record(
        audit.Action.VIEW, f"patient:{patient.pk}", by=receptionist, patient_id=patient.pk, fields=["phone"]
    )
    return booking


@pytest.fixture
def ready(patient):
    def ready(form=DataCopy.Form.JSON):
        copy = copies.ask(patient=patient, form=form, by=patient.user)
        copies.make(copy.pk)
        copy.refresh_from_db()
        return copy

    return ready


def test_copy_holds_everything_and_nobody_else(record, patient, other_patient):
    given = parts.as_json(patient)["parts"]
    text = json.dumps(given, default=str)
    assert given["visits"]["rows"][0]["reference"] == record.reference
    assert given["details"]["rows"][0]["email"] == patient.email
    assert len(given["bills"]["rows"]) == len(given["consents"]["rows"]) == len(given["notes"]["rows"]) == 1
    assert given["notes"]["rows"][0]["by"] == "Front desk"
    assert {row["by"] for row in given["accesses"]["rows"]} == {"Front desk"}
    assert CANARY.lower() not in text.lower()
    assert other_patient.email not in text
    assert "[name removed]" in given["visits"]["rows"][0]["note"]
    assert all(part["purpose"] and part["source"] for part in given.values())


def test_pdf_says_the_same_to_people(record, patient):
    pages = pypdfium2.PdfDocument(copies.content_of(patient, DataCopy.Form.PDF))
    text = " ".join(page.get_textpage().get_text_range() for page in pages)
    assert record.reference in text
    assert patient.name in text
    assert CANARY not in text


def test_every_table_about_a_patient_is_in_a_part():
    covered = {model for part in parts.registered() for model in part.models}
    about = {
        model._meta.label
        for model in (
            *apps.get_app_config("scheduling").get_models(),
            *apps.get_app_config("billing").get_models(),
        )
        if any(field.name == "patient" for field in model._meta.concrete_fields)
    }
    assert about <= covered


def test_page_shows_what_is_held(client, record, patient):
    client.force_login(patient.user)
    page = client.get(reverse("my_data")).content.decode()
    assert record.reference in page
    assert CANARY not in page
    assert AuditEvent.objects.filter(action="view", patient_id=patient.pk, actor_id=patient.user_id).exists()


def test_copy_is_fetched_once(client, record, patient, ready):
    copy = ready()
    assert mail.outbox[-1].subject == "The copy of your data is ready"
    assert patient.name not in mail.outbox[-1].body
    client.force_login(patient.user)
    url = reverse("code_copy_file", args=[copies.token_of(copy)])
    response = client.post(url)
    assert json.loads(response.content)["parts"]["details"]["rows"][0]["name"] == patient.name
    assert response["Content-Disposition"] == 'attachment; filename="my-data.json"'
    assert client.post(url).status_code == 410
    copy.refresh_from_db()
    assert (copy.content, copy.fetched_at is None) == (None, False)
    reasons = AuditEvent.objects.filter(action="export", patient_id=patient.pk).order_by("pk")
    assert list(reasons.values_list("reason", flat=True)) == ["asked json", "fetched json"]


def test_copy_in_the_database_is_unreadable(record, patient, ready):
    copy = ready()
    content = bytes(copy.content)
    for word in (patient.name, patient.email, record.reference):
        assert word.encode() not in content


def test_stale_login_is_asked_again(client, patient, ready):
    copy = ready()
    client.force_login(patient.user)
    session = client.session
    step_up.forget(session)
    session.save()
    for url in (reverse("code_copy_file", args=[copies.token_of(copy)]), reverse("my_copies")):
        assert reverse("step_up") in client.post(url, {"form": "pdf"}).url
    assert reverse("step_up") in client.get(reverse("my_data")).url
    copy.refresh_from_db()
    assert copy.fetched_at is None
    assert DataCopy.objects.count() == 1


def test_copy_is_for_its_patient_only(client, other_patient, ready):
    copy = ready()
    client.force_login(other_patient.user)
    token = copies.token_of(copy)
    assert client.get(reverse("data_copy", args=[token])).status_code == 404
    assert client.post(reverse("code_copy_file", args=[token])).status_code == 404
    assert (
        client.get(reverse("data_copy", args=[signing.Signer(salt="x").sign(copy.pk.hex)])).status_code == 404
    )


def test_without_a_login_the_code_on_file_opens_it(client, ready):
    copy = ready()
    token = copies.token_of(copy)
    file = reverse("code_copy_file", args=[token])
    assert client.get(reverse("data_copy", args=[token])).status_code == 200
    assert client.post(file, {"code": "000000"}).status_code == 422
    client.post(reverse("code_for_copy", args=[token]))
    digits = mail.outbox[-1].subject.split()[-1]
    assert mail.outbox[-1].to == [copy.patient.email]
    assert client.post(file, {"code": f"{(int(digits) + 1) % 1_000_000:06}"}).status_code == 422
    assert client.post(file, {"code": digits}).status_code == 200
    assert client.post(file, {"code": digits}).status_code == 410


def test_code_of_one_copy_opens_no_other(client, patient, other_patient, ready):
    """A family with one mailbox."""
    type(other_patient).objects.filter(pk=other_patient.pk).update(email=patient.email)
    other_patient.refresh_from_db()
    theirs = copies.ask(patient=other_patient, form=DataCopy.Form.JSON, by=None)
    copies.make(theirs.pk)
    client.post(reverse("code_for_copy", args=[copies.token_of(ready())]))
    digits = mail.outbox[-1].subject.split()[-1]
    file = reverse("code_copy_file", args=[copies.token_of(theirs)])
    assert client.post(file, {"code": digits}).status_code == 422


def test_not_too_many_copies_a_day(client, patient):
    client.force_login(patient.user)
    answers = [client.post(reverse("my_copies"), {"form": "json"}).status_code for _n in range(11)]
    assert answers == [302] * 10 + [429]
    assert DataCopy.objects.count() == copies.MOST_A_DAY


def test_copy_is_over_after_a_day(client, patient, ready):
    copy = ready()
    yesterday = timezone.now() - timedelta(hours=25)
    DataCopy.objects.filter(pk=copy.pk).update(ready_at=yesterday, expires_at=yesterday + timedelta(hours=24))
    with pytest.raises(copies.CopyOver):
        copies.fetch(copy_id=copy.pk, by=None)
    assert copies.empty_old() == 1
    client.force_login(patient.user)
    assert client.get(reverse("data_copy", args=[copies.token_of(copy)])).status_code == 410


@pytest.mark.django_db(transaction=True)
def test_two_who_fetch_at_once_get_it_once():
    copy = copies.ask(patient=factories.PatientFactory(), form=DataCopy.Form.JSON, by=None)
    copies.make(copy.pk)
    start, got = threading.Barrier(2, timeout=20), []

    def fetch():
        try:
            start.wait()
            got.append(len(copies.fetch(copy_id=copy.pk, by=None)[1]) > 0)
        except copies.CopyOver:
            got.append(False)
        finally:
            connections.close_all()

    both = [threading.Thread(target=fetch) for _n in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(20)
    assert sorted(got) == [False, True]


def test_command_writes_a_file_for_its_owner_only(record, patient, tmp_path):
    out = tmp_path / "copy.json"
    call_command("export_patient", str(patient.uuid), "--out", str(out), "--json", verbosity=0)
    assert json.loads(out.read_text())["patient"] == str(patient.uuid)
    assert out.stat().st_mode & 0o777 == 0o600
    assert AuditEvent.objects.filter(action="export", reason="export_patient", patient_id=patient.pk).exists()
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export_patient", str(patient.uuid), "--out", str(out))
    with pytest.raises(CommandError, match="no such patient"):
        call_command("export_patient", "00000000-0000-4000-8000-000000000000", "--out", str(out))


def test_copies_follow_the_keys_of_the_vault(ready, patient, settings, capsys):
    settings.FIELD_KEYS = f"old:{key()}"
    copy = ready()
    assert bytes(copy.content).startswith(b"v1.old.")
    assert patient.email.encode() in copies.sealing.unseal(copy)
    settings.FIELD_KEYS = f"new:{key()},{settings.FIELD_KEYS}"
    call_command("rotate_keys")
    assert "patients_datacopy.content: 1 by new" in capsys.readouterr().out
    settings.FIELD_KEYS = settings.FIELD_KEYS.partition(",")[0]
    _copy, content = copies.fetch(copy_id=copy.pk, by=None)
    assert patient.email.encode() in content


def test_copies_of_before_are_read_and_brought_over(ready, settings):
    settings.FIELD_KEYS = f"new:{key()}"
    copy = ready()
    secret = HKDF(hashes.SHA256(), 32, salt=None, info=b"patients.rights").derive(
        settings.SECRET_KEY.encode()
    )
    nonce = b"0" * 12
    old = nonce + AESGCM(secret).encrypt(nonce, b"of before", f"copy:{copy.pk}".encode())
    DataCopy.objects.filter(pk=copy.pk).update(content=old)
    assert copies.sealing.renew().changed == 1
    assert copies.fetch(copy_id=copy.pk, by=None)[1] == b"of before"
