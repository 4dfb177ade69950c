"""Whom the scans are made as, and where each of them can go: as tests/access/table.py says, on the rows of its world."""

import datetime as dt
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit

# Of the columns of the table. The guest is nobody's login: a browser that was given a visit and holds a time.
COLUMNS = {"anonymous": 1, "patient": 2}
ENDS_THE_HOLD = ("/holds/", "/plan/", "/book/", "/bookings/", "/waitlist/", "/me/", "/account/")
LATER = dt.timedelta(hours=12)  # nothing may run out while it is scanned


@dataclass(frozen=True)
class Visitor:
    """`pages` are addresses to begin with; `more` is what is sent where no page has the form at the time of a scan;
    `inside` are the names of the addresses that let this visitor in, by method; `avoids` beginnings of others."""

    name: str
    cookies: Mapping[str, str]
    pages: list[str]
    more: Mapping[str, tuple[str, Mapping[str, str]]]
    inside: Mapping[str, frozenset[str]]
    avoids: tuple[str, ...] = ()

    @property
    def login(self) -> str:
        return self.name.partition("-")[0]

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())


def visitors(patient: Any) -> list[Visitor]:
    """Makes the rows, in the database of the settings."""
    from django.db import transaction

    from tests.access.table import TABLE, rows
    from tests.access.world import World

    columns = {name: said for section in rows(TABLE).values() for name, said in section.items()}
    world = World(patient=patient)
    with transaction.atomic():
        keep_alive([world.hold.pk, world.offer.hold_id])
        leave_doors_unlocked()
    others = [visitor(world, who, columns, at) for who, at in COLUMNS.items()]
    return [
        *(at_checkout(world, who) for who in COLUMNS),
        *others,
    ]  # what the first can do the others need not


def visitor(world: Any, who: str, columns: Mapping[str, list[str]], at: int) -> Visitor:
    from tests.access import trying

    inside = {
        method: frozenset(name for name, said in columns.items() if said[number][at] == "+")
        for number, method in enumerate(("GET", "POST"))
    }
    addresses = trying.addresses()
    pages = [address(world, name, addresses[name]) for name in sorted(inside["GET"] & set(addresses))]
    pages += [*secret_pages(world, who), *searches(world)]
    more = {
        name: (address(world, name, addresses[name]), fields)
        for name, fields in more_forms(world).items()
        if name in inside["POST"]
    }
    return Visitor(who, cookies_of(world, who), pages, more, inside)


def at_checkout(world: Any, who: str) -> Visitor:
    """One who holds a time and does nothing that would end that: the others give theirs back on the way."""
    from django.db import transaction
    from django.urls import reverse

    from scheduling.models import Slot
    from tests import factories

    owner = secrets.token_urlsafe(24)
    slot = Slot.objects.filter(clinic=world.clinic, hold=None, booking=None).earliest("starts_at")
    held = factories.hold([slot], service=world.service, owner=owner)
    with transaction.atomic():
        keep_alive([held.pk])
    pages, nowhere = (
        [reverse("checkout", args=[held.pk])],
        {"GET": frozenset[str](), "POST": frozenset[str]()},
    )
    return Visitor(
        f"{who}-checkout", cookies_of(world, who, owner=owner), pages, {}, nowhere, avoids=ENDS_THE_HOLD
    )


def address(world: Any, name: str, wanted: set[str]) -> str:
    from django.urls import reverse

    return reverse(name, kwargs=world.values(name, wanted))


def demo_patient() -> Any:
    """With an hour tomorrow for the visit of the world."""
    from patients.models import Patient
    from scheduling.models import Booking
    from tests import factories

    patient = Patient.objects.get(user__username="patient@demo.example")
    day = (factories.tomorrow_at(7), factories.tomorrow_at(13))
    taken = Booking.objects.filter(patient=patient, starts_at__range=day, status="booked")
    taken.update(status="noshow")
    return patient


def keep_alive(holds: list[Any]) -> None:
    """The slots say the same, at the end of the transaction."""
    from django.db.models import F

    from scheduling.models import Hold, Slot

    Hold.objects.filter(pk__in=holds).update(
        locked_at=F("locked_at") + LATER, expires_at=F("expires_at") + LATER
    )
    Slot.objects.filter(hold__in=holds).update(held_until=F("held_until") + LATER)


def leave_doors_unlocked() -> None:
    """Or after five tries nothing but the lock would be tried."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE OR REPLACE FUNCTION never_locked() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN NEW.tries := 1; NEW.locked_until := NULL; RETURN NEW; END $$;
            CREATE TRIGGER never_locked BEFORE INSERT OR UPDATE ON clinic_booking_doorlock
                FOR EACH ROW EXECUTE FUNCTION never_locked();
        """)


def cookies_of(world: Any, who: str, *, owner: str = "") -> dict[str, str]:
    """The CSRF cookie too: wapiti sends these and no others."""
    from django.conf import settings
    from django.test import Client

    from clinic_booking.accounts.sessions import DOOR

    client = Client()
    client.cookies = SimpleCookie()
    world.log_in(client, "guest" if who == "anonymous" else who)
    session = client.session
    if who == "patient":
        later = time.time() + LATER.total_seconds()
        session[DOOR] = session[DOOR] | {"proved": later, "seen": later}
    if owner:
        session["owner"] = owner
    session.save()
    return {
        settings.SESSION_COOKIE_NAME: session.session_key,
        settings.CSRF_COOKIE_NAME: secrets.token_hex(16),
    }


def searches(world: Any) -> Iterator[str]:
    """Of the demo's services and of the world's: forms are found from here, but no link has all fields."""
    from scheduling.models import Clinic, Service

    service, clinic = (
        Service.objects.filter(is_online=True).first(),
        Clinic.objects.filter(is_active=True).first(),
    )
    assert service
    assert clinic
    day = (dt.datetime.now(dt.UTC) + dt.timedelta(2)).date()
    times = {"service": service.slug, "clinic": clinic.slug, "date": day}
    yield f"/?{urlencode({'clinic': clinic.slug})}"
    yield f"/book/?{urlencode(times)}"
    yield f"/book/?{urlencode(times | {'move': world.booking.reference})}"
    yield f"/waitlist/join/?{urlencode({'service': service.slug, 'clinic': clinic.slug})}"
    yield f"/plan/?{urlencode({'service': service.slug, 'clinic': clinic.slug, 'from': day, 'find': 1})}"
    yield "/me/?page=1&tab=past"
    yield "/me/privacy/accesses/?page=1"


def more_forms(world: Any) -> dict[str, dict[str, str]]:
    """By the name of the address they are sent to."""
    slot, code = {"slot": str(world.slot.pk), "version": "1"}, {"code": "123456"}
    return {
        "move": slot,
        "visit_move": {"part": f"{world.slot.pk}:{world.service.pk}", "version": "1"},
        "new_time": slot,
        "claim_booking": code,
        "code_new_email": code,
        "step_up": code,
        "login": {"username": "somebody@example.com", "password": "wrong", "next": "/me/"},
        "login_switch": code | {"user": "1", "next": "/me/"},
        "set_language": {"language": "en-sg", "next": "/me/"},
        "singpass_details": {
            "name": "Tan",
            "email": "tan@example.com",
            "phone": "81230456",
            "birth_date": "1990-01-01",
        },
    }


def secret_pages(world: Any, who: str) -> Iterator[str]:
    """What opens by a link alone, which the table tries without one."""
    from django.core import signing
    from django.urls import reverse
    from django.utils import timezone

    from billing import paylinks
    from clinic_booking.accounts import emails
    from patients import opt_out
    from patients.proxies import proofs
    from patients.rights import copies

    yield urlsplit(opt_out.stop_url(world.patient)).path
    if world.bill:
        yield paylinks.path(world.bill, timezone.now() + LATER)
    copy = copies.ask(patient=world.patient, form="json", by=world.patient.user)
    copies.make(copy.pk)
    yield reverse("data_copy", args=[copies.token_of(copy)])
    if who == "patient":
        emails.prove(world.patient.user, world.patient.user.email)
        said = {
            "p": family(world),
            "r": "caregiver",
            "e": proofs._digest(world.patient.user.email),
            "n": secrets.token_hex(16),
        }
        yield reverse("people_invitation", args=[signing.dumps(said, salt=proofs.SALT)])


def family(world: Any) -> int:
    """A child the patient acts for, somebody who acts for the patient; who asks the patient to act for them."""
    from patients.proxies import acts
    from tests.factories import PatientFactory, UserFactory
    from tests.proxies.given import child, given

    given(patient=child(), user=world.patient.user)
    acts.grant(
        patient=world.patient,
        user=UserFactory(),
        relation="caregiver",
        evidence="consent",
        by=world.patient.user,
    )
    return int(PatientFactory(with_login=True).pk)
