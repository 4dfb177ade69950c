"""Log in by a code that is sent by e-mail. Every address gets the same answer."""

import re
from pathlib import Path

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client

from clinic_booking.accounts import codes, emails, forms, lockout
from clinic_booking.accounts.models import OneTimeCode
from clinic_booking.models import User
from tests import factories
from tests.accounts.conftest import code_in, is_in, pass_time

pytestmark = pytest.mark.django_db
NEW = "Somebody.New@example.com"


def ask(client, email, **more):
    return client.post("/login/", {"email": email, **more})


def wrong(code):
    return f"{(int(code.replace(' ', '')) + 1) % 10**6:06}"


def test_code_opens_the_login_of_the_address(client, patient):
    assert ask(client, patient.email, next="/me/").headers["location"] == "/login/code/"
    assert client.post("/login/code/", {"code": code_in()}).headers["location"] == "/me/"
    assert client.session["_auth_user_id"] == str(patient.user.pk)
    assert emails.verified(patient.user) == [patient.email]


def test_code_makes_an_account_where_there_is_none(client):
    ask(client, NEW)
    assert not User.objects.exists()
    client.post("/login/code/", {"code": code_in()})
    made = User.objects.get()
    assert (made.email, made.has_usable_password()) == (NEW.lower(), False)
    again = Client()
    ask(again, NEW.upper())
    again.post("/login/code/", {"code": code_in()})
    assert User.objects.get() == made
    assert is_in(again)


def test_all_addresses_get_the_same_answer(patient, receptionist):
    pages = []
    for address in (patient.email, receptionist.email, NEW):
        client = Client()
        ask(client, address)
        text = client.get("/login/code/").text.replace(address.lower(), "…")
        pages.append(re.sub(r'(csrfmiddlewaretoken" value=|X-CSRFToken": )"[^"]*"', "", text))
    assert pages[0] == pages[1] == pages[2]
    assert [message.to for message in mail.outbox] == [[patient.email], [receptionist.email], [NEW.lower()]]


def test_staff_have_no_way_in_by_code(client, receptionist):
    ask(client, receptionist.email)
    assert not re.search(r"\d{3} \d{3}", mail.outbox[0].body)
    for code in ("000000", "123456"):
        assert client.post("/login/code/", {"code": code}).status_code == 422
    assert not is_in(client)


def test_letter_names_the_data_protection_officer(client, receptionist, settings):
    for address in (NEW, receptionist.email):
        ask(client, address)
        letter = mail.outbox[-1]
        assert settings.DPO_EMAIL in letter.body
        assert settings.DPO_EMAIL in letter.alternatives[0][0]


def test_code_runs_out(client):
    ask(client, NEW)
    pass_time(10 * 60 + 1)
    assert client.post("/login/code/", {"code": code_in()}).status_code == 422


def test_code_takes_five_tries(client):
    ask(client, NEW)
    right = code_in()
    for _try in range(5):
        assert client.post("/login/code/", {"code": wrong(right)}).status_code == 422
    assert client.post("/login/code/", {"code": right}).status_code == 422


def test_wrong_codes_are_counted_across_codes(client):
    for _try in range(lockout.CODE.free - 1):
        lockout.take(lockout.CODE, NEW)
    ask(client, NEW)
    assert client.post("/login/code/", {"code": wrong(code_in())}).status_code == 422
    assert client.post("/login/code/", {"code": code_in()}).status_code == 429


def test_code_is_good_in_the_browser_that_asked(client):
    ask(client, NEW)
    assert Client().post("/login/code/", {"code": code_in()}).headers["location"] == "/login/"


def test_few_codes_go_to_one_address(client):
    answers = [ask(Client(), NEW).status_code for _try in range(5)]
    assert answers == [302] * 4 + [429]
    assert len(mail.outbox) == 4


def test_code_is_for_one_purpose_and_address_and_works_once(client, rf):
    sent = codes.send_mail(rf.get("/"), purpose=codes.Purpose.CLAIM, to=NEW)
    code = code_in()
    for purpose, to in ((codes.Purpose.LOGIN, NEW), (codes.Purpose.CLAIM, "other@example.com")):
        assert codes.is_right(sent, code, purpose=purpose, to=to) is None
    assert codes.is_right(sent, code, purpose=codes.Purpose.CLAIM, to=NEW.upper())
    assert codes.is_right(sent, code, purpose=codes.Purpose.CLAIM, to=NEW) is None


def test_staff_who_guess_the_code_are_not_in(client, receptionist, monkeypatch):
    monkeypatch.setattr(codes.secrets, "randbelow", lambda most: 123456)
    ask(client, receptionist.email)
    assert client.post("/login/code/", {"code": "123456"}).status_code == 422
    assert not is_in(client)


def test_address_that_became_a_colleagues_meanwhile_opens_nothing(client, patient, clinic):
    ask(client, patient.email)
    factories.MembershipFactory(clinic=clinic, user=patient.user)
    assert client.post("/login/code/", {"code": code_in()}).status_code == 422
    assert not is_in(client)


def test_neither_code_nor_address_is_kept(client):
    ask(client, NEW)
    row = str(OneTimeCode.objects.values().get())
    assert code_in().replace(" ", "") not in row
    assert "somebody" not in row


def test_address_of_two_logins_opens_neither(client):
    for _each in range(2):
        factories.UserFactory(email="family@example.com")
    ask(client, "family@example.com")
    client.post("/login/code/", {"code": code_in()})
    assert User.objects.get(pk=client.session["_auth_user_id"]).username.startswith("p-")
    assert EmailAddress.objects.get().email == "family@example.com"


def test_mail_that_cannot_be_sent_is_said(client, settings):
    settings.EMAIL_BACKEND = "tests.accounts.broken_mail.EmailBackend"
    page = ask(client, NEW)
    assert page.status_code == 503
    assert "could not be sent" in page.text


FORBIDDEN = re.compile(r"nric|\bfin\b|passport|birth|identity.?number|masked_id", re.IGNORECASE)


def test_no_door_takes_an_identity_number_or_a_birth_date():
    """PDPC, 2 February 2026: never as authenticator, in full or in part."""
    fields = {
        f"{name}: {field} {form.base_fields[field].label}"
        for name, form in vars(forms).items()
        if hasattr(form, "base_fields")
        for field in form.base_fields
    }
    assert fields
    root = Path(__file__).parents[2]
    inputs = set()
    for path in (root / "templates/account").glob("*.html"):
        inputs |= set(re.findall(r"<(?:input|select|textarea|label)[^>]*>", path.read_text()))
    read = set()
    for path in [*(root / "clinic_booking/accounts").glob("*.py"), root / "patients/claims.py"]:
        read |= set(re.findall(r"POST(?:\.get\(|\[)\"(\w+)\"", path.read_text()))
    assert read
    assert not {each for each in fields | inputs | read if FORBIDDEN.search(each)}
