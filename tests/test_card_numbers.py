"""payments.md §5: no card number comes in, none is kept, and what looks for them finds them."""

import base64
import json
import logging
import random
import re
import uuid
import zlib
from urllib.parse import quote_plus

import pytest
from django.apps import apps
from django.core import signing
from django.core.management import CommandError, call_command
from django.forms import Form, ModelForm
from django.urls import include, path
from hypothesis import given
from hypothesis import strategies as st

from billing.models import Payment, ProviderEvent
from clinic_booking import logs, middleware, pan
from clinic_booking.errors import CardNumberGiven
from tests.cards import EVERY_ISSUER, SPACED, VISA
from tests.factories import PatientFactory
from tests.test_kernel_http import echo, form

urlpatterns = [
    path("form/", form),
    path("signed/", echo),
    path("", include("clinic_booking.urls")),
]

# -- The scanner ---------------------------------------------------------------------------------

HIDDEN = {
    "plain": VISA,
    "spaced": f"pay with {SPACED} please",
    "dashed": SPACED.replace(" ", "-"),
    "in JSON": json.dumps({"note": VISA}),
    "in a line of COPY": f"12\t{VISA}\t\\N",
    "in an address": quote_plus(f"/x/?q=a&card={SPACED}"),
    "encoded twice": quote_plus(json.dumps({"card": SPACED})),
    "base64": base64.b64encode(f"card: {VISA}".encode()).decode(),
    "base64 of JSON": base64.urlsafe_b64encode(json.dumps({"c": SPACED}).encode()).decode().rstrip("="),
    "base64 and zlib": base64.urlsafe_b64encode(zlib.compress(f"card: {VISA}".encode())).decode(),
    "a session": signing.dumps({"note": VISA, "more": "x" * 200}, compress=True),
    "a bytea": "\\\\x" + f"card {VISA}".encode().hex(),
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_readable_forms_are_found(text):
    assert pan.hidden_in(text)


@pytest.mark.parametrize("number", EVERY_ISSUER)
def test_each_issuer_is_known(number):
    assert pan.holds_card_number(f"note={number}&x=1")


@pytest.mark.parametrize(
    "text",
    [
        VISA[:-1] + str((int(VISA[-1]) + 1) % 10),
        f"x{VISA}",
        f"1.{VISA}",
        "+49 1512 3456789",
        "1763757600000",
        "2026-11-21 2026-11-28",
        "",
    ],
)
def test_other_digits_are_none(text):
    assert pan.hidden_in(text) is None


def test_no_identifier_looks_like_one():
    """An act of the desk that is refused by chance would be a riddle to everybody."""
    chance = random.Random(7)  # noqa: S311
    ids = (uuid.UUID(int=chance.getrandbits(128), version=4) for _ in range(20_000))
    assert not pan.holds_card_number(" ".join(f"key={one}" for one in ids))


@given(st.text(), st.text(alphabet="0123456789 -", max_size=60))
def test_scanner_takes_any_text(text, digits):
    pan.hidden_in(text)
    assert not pan.holds_card_number(pan.mask(f"{text} {digits} {text}"))


# -- At the door ---------------------------------------------------------------------------------


@pytest.fixture
def forms(settings):
    settings.ROOT_URLCONF = __name__


@pytest.mark.parametrize("number", [VISA, SPACED])
@pytest.mark.parametrize("kind", ["form", "json", "query", "path"])
def test_card_number_is_refused(client, forms, caplog, number, kind):
    caplog.set_level(logging.DEBUG)
    before = refused()
    match kind:
        case "form":
            response = client.post("/form/", {"slot": "1", "surprise": f"my card is {number}"})
        case "json":
            response = client.post("/form/", json.dumps({"a": [number]}), content_type="application/json")
        case "query":
            response = client.get("/form/", {"q": number})
        case "path":
            response = client.get(f"/bookings/{number}/")
    assert response.status_code == 422
    assert str(CardNumberGiven.sentence) in response.text
    assert number not in response.text + caplog.text + str(response.headers)
    assert refused() == before + 1


def refused():
    return sum(
        sample.value for sample in middleware.card_numbers.collect()[0].samples if "_total" in sample.name
    )


def test_what_is_no_card_passes(client, forms):
    assert client.post("/form/", {"slot": "12", "key": str(uuid.uuid4())}).text == "12"


def test_reports_of_other_servers_pass(client, forms):
    """They are signed, and nobody types them; a chance run of digits must not stop the webhook for good."""
    assert client.post("/signed/", VISA, content_type="text/plain").text == VISA


def test_log_masks_card_numbers():
    line = logging.LogRecord("x", logging.ERROR, "x.py", 1, "failed with %s", (SPACED,), None)
    written = json.loads(logs.JsonFormatter().format(line))
    assert written["message"] == f"failed with [card …{VISA[-4:]}]"


# -- What is kept --------------------------------------------------------------------------------

SUSPECT = re.compile(
    r"(^|_)(pan|cvv|cvc|csc|cvn|track\d?|expiry|exp_(month|year))($|_)|card_?(num|no|hold|code)|security_code"
)
# Whoever adds a column to a payment says here that it is no card data.
OF_A_PAYMENT = {
    *("id", "idempotency_key", "hold", "bill", "booking", "patient", "status", "attempt", "amount_cents"),
    *("captured_cents", "refunded_cents", "allocated_cents", "currency", "provider_ref", "failure_code"),
    *("problem", "is_disputed", "created_at", "updated_at", "checked_at"),
}
OF_A_PROVIDER_EVENT = {
    *("event_id", "type", "object_ref", "intent_ref", "created_at", "received_at", "processed_at"),
}


def test_no_column_is_for_card_data():
    columns = {
        f"{model._meta.db_table}.{f.column}" for model in apps.get_models() for f in model._meta.fields
    }
    assert not [name for name in columns if SUSPECT.search(name.split(".")[1])]
    assert len(columns) > 400


@pytest.mark.parametrize(("model", "known"), [(Payment, OF_A_PAYMENT), (ProviderEvent, OF_A_PROVIDER_EVENT)])
def test_columns_of_a_payment_are_known(model, known):
    assert {field.name for field in model._meta.fields} == known


def test_no_form_asks_for_card_data():
    names = {name for kind in subclasses(Form) | subclasses(ModelForm) for name in kind.base_fields}
    assert not [name for name in names if SUSPECT.search(name)]
    assert "note" in names


def subclasses(kind):
    return {kind}.union(*(subclasses(one) for one in kind.__subclasses__()))


def test_scan_reads_every_table(transactional_db, capsys):
    call_command("scan_cards")
    said = capsys.readouterr()
    assert "public.billing_payment: none" in said.err
    PatientFactory(name=f"Tan {VISA}")
    with pytest.raises(CommandError, match=r"public.patients_patient as text \(1\)") as refusal:
        call_command("scan_cards")
    assert VISA not in str(refusal.value) + capsys.readouterr().err


def test_scan_reads_files(tmp_path, capsys):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "app.log").write_text(f"one\n{HIDDEN['a session']}\n")
    with pytest.raises(CommandError, match="app.log as zlib"):
        call_command("scan_cards", tmp_path, "--json")
    assert list(json.loads(capsys.readouterr().out)["found"].values()) == [1]
