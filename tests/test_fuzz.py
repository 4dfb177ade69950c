"""Every address, as everybody, with random and hostile input: no fault, no data of others, nothing changed by looking.

FUZZ_ROUNDS=50 FUZZ_SEED=7 tries more; a failure says the request, which the same seed makes again.
"""

import copy
import os
import re
import traceback
from contextlib import contextmanager

import pytest
from django.db import connection, transaction
from django.test import Client

from billing import gateway
from billing.models import Bill
from billing.stripe_double.client import DoubleClient
from billing.stripe_double.engine import Engine
from clinic_booking.models import User
from scheduling.models import Membership, Slot
from tests import factories
from tests.fuzz import Fuzz, addresses

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "0"))
SEED = int(os.environ.get("FUZZ_SEED", "6"))
CANARIES = ("Canaryfinch", "canaryfinch@", "81230456", "8123 0456", "canary of a note")
READS = ("GET", "HEAD", "OPTIONS")
WRITES = re.compile(
    r"\s*(?:WITH\b.*)?\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE)\s+\"?([\w.]+)", re.I | re.S
)
# What looking may write: who is logged in, that somebody looked, and that a job is to be done later.
MAY_BE_WRITTEN = re.compile(
    r"django_session|clinic_booking_audit|procrastinate_|clinic_booking_(acting|session)"
)
MAY_BE_503 = {"readyz"}
# An address of ours, or one relative to the page (Django's `set_language` gives back what it was sent).
OURS = re.compile(r"^(https?://testserver)?(/(?![/\\])|\?|#|$)|^(?![a-z][a-z0-9+.-]*:|[/\\])", re.IGNORECASE)


@contextmanager
def undone():
    """Everything that a request did; a `durable` transaction may be within, as within a test."""
    block = transaction.Atomic(using="default", savepoint=True, durable=False)
    block._from_testcase = True
    with block:
        yield
        transaction.set_rollback(True)


@pytest.fixture
def people(clinic, patient):
    """By role; "anonymous" is nobody."""
    people = {"anonymous": None, "patient": patient.user}
    people |= {
        role: factories.MembershipFactory(clinic=clinic, role=role).user for role in Membership.Role.values
    }
    people |= {office: factories.UserFactory(office=office) for office in User.Office.values}
    people["administrator"] = factories.UserFactory(is_admin=True)
    return people


@pytest.fixture
def stranger(service, practitioner):
    """Known at another clinic alone. No answer to the patient or to nobody may show a canary."""
    elsewhere = factories.ClinicFactory(slug="elsewhere")
    slots = factories.make_slots(
        practitioner, factories.StationFactory(clinic=elsewhere), factories.tomorrow_at(15), slots=2
    )
    patient = factories.PatientFactory(
        name="Canaryfinch Tan", email="canaryfinch@example.com", phone="+6581230456", with_login=True
    )
    made = factories.book(slots[:1], patient=patient, service=service, note="canary of a note")
    factories.WaitlistEntryFactory(session__request__patient=patient)
    return made


@pytest.fixture
def known(clinic, patient, slots, service, stranger):
    own = factories.book(slots[:1], patient=patient, service=service)
    held = factories.hold(slots[1:2], service=service, patient=patient)
    foreign = factories.hold(
        list(Slot.objects.filter(clinic=stranger.clinic, booking=None)[:1]),
        service=service,
        patient=stranger.patient,
    )
    numbers = [str(row.pk) for row in (own, stranger, patient, stranger.patient, slots[2], service)]
    numbers += [str(row.pk) for row in (own.session.request, stranger.session.request, own.visit)]
    numbers += [str(pk) for pk in Bill.objects.values_list("pk", flat=True)]
    ids = dict.fromkeys(
        ("pk", "bill_id", "line_id", "request_id", "number", "id", "slot", "session"), numbers
    )
    return ids | {
        "clinic": [clinic.slug, stranger.clinic.slug],
        "service": [service.slug, str(service.pk)],
        "reference": [own.reference, stranger.reference],
        "move": [own.reference, stranger.reference],
        "hold_id": [str(held.pk), str(foreign.pk)],
        "practitioner": [str(slots[0].practitioner_id)],
        "date": [slots[0].starts_at.date().isoformat()],
        "part": [f"{slots[2].pk}:{service.pk}"],
        "q": ["Canary", "Tan", "8123", "Nurul"],
        "object_id": numbers,
        "app_label": ["scheduling", "billing", "patients", "clinic_booking"],
    }


@pytest.mark.django_db
@pytest.mark.timeout(300 + 300 * ROUNDS)
def test_every_address_as_everybody(people, known, caplog):
    ours, of_admin = [], []
    for address in addresses():
        (of_admin if address.fixed.startswith("admin/") else ours).append(address)
    assert len(ours) > 140
    assert len(of_admin) > 200
    fuzz, found = Fuzz(SEED, known), []
    cookies = {role: session_of(user) for role, user in people.items()}
    with gateway.using(DoubleClient(Engine())):
        for address, role, method in plan(fuzz, ours, of_admin, sorted(people)):
            asked = fuzz.request(address, method)
            if flaw := look(cookies[role], asked, address.name, role):
                found.append(f"{role}: {asked} -> {flaw}")
    assert not found, f"{len(found)} of seed {SEED}:\n" + "\n".join(found[:12])


def plan(fuzz, ours, of_admin, roles):
    """In the suite each of our addresses twice and a few of Django's admin, by which nothing of ours is written."""
    for _round in range(max(ROUNDS, 1)):
        for address in ours:
            anyone = fuzz.chance.choice(roles)
            yield address, anyone, ""
            yield address, fuzz.chance.choice(["anonymous", "patient", anyone]), "GET"
        for address in of_admin if ROUNDS else fuzz.chance.sample(of_admin, 30):
            yield address, fuzz.chance.choice([*roles, *["administrator"] * len(roles)]), ""


def session_of(user):
    client = Client()
    if user:
        client.force_login(user)
    return client.cookies


def look(cookies, asked, name, role):
    client = Client(raise_request_exception=False)
    client.cookies = copy.deepcopy(cookies)
    written = []

    def watch(execute, sql, params, many, context):
        if asked["method"] in READS and (hit := WRITES.match(str(sql))) and not MAY_BE_WRITTEN.search(hit[2]):
            written.append(hit[0][-60:])
        return execute(sql, params, many, context)

    with undone():
        with connection.execute_wrapper(watch):
            response = send(client, asked)
        return flaw_of(response, name, role) or (f"writes by looking: {written}" if written else "")


def send(client, asked):
    options = dict(asked)
    method, path, data = options.pop("method"), options.pop("path"), options.pop("data", None)
    if method in ("GET", "HEAD", "POST"):
        return getattr(client, method.lower())(path, data, **options)
    return client.generic(method, path, **options)


def flaw_of(response, name, role):
    if response.status_code >= 500 and not (response.status_code == 503 and name in MAY_BE_503):
        error = getattr(response, "exc_info", None)
        told = "".join(traceback.format_exception(*error)[-3:]) if error else ""
        return f"{response.status_code} {told}"
    text = "" if response.streaming else response.content.decode(errors="replace")
    if role in ("anonymous", "patient") and (seen := [word for word in CANARIES if word in text]):
        return f"shows of somebody else: {seen}"
    if "<script>alert(1)" in text:
        return "writes a script that was sent"
    if not OURS.match(response.get("Location", "")):
        return f"leads away to {response['Location']}"
    if "a" in response.cookies:
        return "sets a cookie that was sent"
    if "html" in response.get("Content-Type", "") and "default-src 'none'" not in response.get(
        "Content-Security-Policy", ""
    ):
        return "has no policy"
    return ""


@pytest.mark.parametrize("address", ["/me/details/", "/login/"])
def test_name_of_a_view_is_no_address(client, patient, address):
    """Found by the fuzz: `redirect` takes what has no slash for a view's name, and fails where it is none."""
    client.force_login(patient.user)
    response = client.post(address, {"next": "billing"})
    assert response.status_code < 500
    assert "billing" not in response.get("Location", "")
    assert client.get(f"{address}?next=billing").status_code < 500
