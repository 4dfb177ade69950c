"""Whatever page shows a patient's name or phone to staff leaves an audit event: found by walking all of them."""

import re

import pytest
from django.urls import get_resolver, reverse
from django.utils import timezone

from clinic_booking.models import AuditEvent
from patients.models import Consent
from scheduling import booking as verbs
from scheduling import feeds
from scheduling.models import CalendarFeed, Membership
from tests import factories

pytestmark = pytest.mark.django_db
CANARY, PHONE = "Quetzalcoatl Canary", "+6590007531"


@pytest.fixture
def world(slots, service, clinic, practitioner, receptionist):
    canary = factories.PatientFactory(name=CANARY, phone=PHONE, email="canary@example.com")
    factories.ConsentFactory(patient=canary)
    booked = factories.book(slots[:1], patient=canary, service=service)
    walk_in = verbs.add_walk_in(clinic=clinic, patient=canary, service=service, by=receptionist)
    waiting = factories.WaitlistEntryFactory(
        session__request__patient=canary, session__request__service=service
    )
    line = factories.ContractLineFactory(
        contract=factories.ContractFactory(patient=canary, clinic=clinic), service=service
    )
    return {
        "canary": canary,
        "day": clinic.local_date(booked.starts_at),
        "booking": booked.reference,
        "contract": line.contract.reference,
        "kwargs": {"clinic": clinic.slug, "line_id": line.pk, "act": "call"},
        "pk": {"visit": booked.visit_id, "walk": walk_in.pk, "wait": waiting.pk, "contact": canary.pk},
    }


def names(resolver):
    for pattern in resolver.url_patterns:
        if hasattr(pattern, "url_patterns"):
            yield from () if pattern.namespace else names(pattern)
        elif pattern.name:
            yield pattern.name


def addresses(world):
    """Of all pages of the desk and the doctor's phone, with what of the world the name of the page is about."""
    for name in names(get_resolver()):
        kinds = {
            kind
            for _, pattern, *_ in get_resolver().reverse_dict.getlist(name)
            for kind in parameters(pattern)
        }
        known = world["kwargs"] | {
            "reference": world["contract" if name.startswith("contract") else "booking"]
        }
        known["pk"] = next((pk for kind, pk in world["pk"].items() if kind in name), 1)
        if kinds <= set(known):
            address = reverse(name, kwargs={kind: known[kind] for kind in kinds})
            if address.startswith(("/desk", "/doctor")):
                yield name, address


def parameters(pattern):
    return [one or other for one, other in re.findall(r"%\((\w+)\)s|\(\?P<(\w+)>", pattern)]


def shown_on(client, canary, name, address, query):
    """Whether the page showed the canary; each that does has left its event."""
    last = AuditEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    answer = client.get(address, query)
    text = b"".join(answer).decode(errors="replace")
    if CANARY not in text and PHONE.removeprefix("+65") not in text.replace(" ", ""):
        return False
    events = AuditEvent.objects.filter(pk__gt=last).exclude(role="")
    assert events.filter(patient_id=canary.pk) or events.filter(patients__contains=[canary.pk]), (
        name,
        address,
    )
    return True


@pytest.mark.parametrize("role", ["manager", "doctor"])
def test_every_page_that_shows_a_patient_leaves_an_event(client, world, clinic, practitioner, role):
    user = factories.MembershipFactory(clinic=clinic, role=Membership.Role(role)).user
    if role == "doctor":
        practitioner.user = user
        practitioner.save()
    client.force_login(user)
    client.raise_request_exception = False
    day = world["day"]
    query = {"date": day, "from": day, "to": day, "q": "Quetzalcoatl", "list": ""}
    shown = {
        name for name, address in addresses(world) if shown_on(client, world["canary"], name, address, query)
    }
    assert (
        shown
        >= {
            "manager": {
                "desk",
                "desk_dataset",
                "desk_booking",
                "desk_queue",
                "desk_waitlist",
                "desk_book_patients",
            }
            | {"visit_ticket", "contracts", "contract"},
            "doctor": {"doctor", "desk_dataset", "desk_booking"},
        }[role]
    )


def test_the_admin_leaves_events(client, world, clinic):
    admin = factories.clerk(clinic)
    client.force_login(admin)
    consent = Consent.objects.get(patient=world["canary"])
    for name, args in (
        ("admin:patients_patient_changelist", []),
        ("admin:patients_patient_change", [world["canary"].pk]),
        ("admin:scheduling_booking_changelist", []),
        ("admin:patients_consent_change", [consent.pk]),
    ):
        assert shown_on(client, world["canary"], name, reverse(name, args=args), {}), name
    assert AuditEvent.objects.filter(role="manager", actor_id=admin.pk, action="view").exists()


def test_a_calendar_with_names_is_an_export(client, world, practitioner):
    practitioner.user = factories.UserFactory()
    practitioner.save()
    secret = feeds.open_feed(practitioner=practitioner, by=practitioner.user)
    assert CANARY not in client.get(reverse("feed", args=[secret])).content.decode()
    assert not AuditEvent.objects.filter(action="export").exists()
    CalendarFeed.objects.update(shows_patients=True)
    assert CANARY in client.get(reverse("feed", args=[secret])).content.decode()
    row = AuditEvent.objects.get(action="export")
    assert (row.patient_id, row.actor_id) == (world["canary"].pk, practitioner.user.pk)


def test_patients_leave_no_row_for_each_page(client, patient):
    client.force_login(patient.user)
    before = timezone.now()
    assert client.get(reverse("me")).status_code == 200
    assert not AuditEvent.objects.filter(created_at__gte=before).exists()


def test_an_event_that_cannot_be_written_holds_the_answer_back(
    client, world, clinic, receptionist, monkeypatch
):
    from clinic_booking import audit

    def away(*args, **kwargs):
        raise RuntimeError("the audit trail is away")

    monkeypatch.setattr(audit, "record", away)
    client.force_login(receptionist)
    client.raise_request_exception = False
    answer = client.get(reverse("desk_booking", args=[clinic.slug, world["booking"]]))
    assert answer.status_code == 500
    assert CANARY not in answer.content.decode()
