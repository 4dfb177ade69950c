"""Every address × every visitor, by looking and by acting, as tests/access/table.py says."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.template.backends.django import Template
from django.urls import reverse

from clinic_booking.models import User
from scheduling import consumers
from tests.access import trying
from tests.access.table import ADMIN, PROBES, SOCKETS, TABLE, rows
from tests.access.world import VISITORS, World

pytestmark = pytest.mark.django_db


SECTIONS = rows(TABLE)
KNOWN = {name: columns for section in SECTIONS.values() for name, columns in section.items()}


def test_every_address_is_in_the_table():
    """Add a line to the section it belongs to in tests/access/table.py: its name, what each of the fourteen visitors
    gets by GET, and by POST. Run this file: it prints what they get now; make sure that this is what should be."""
    addresses = set(trying.addresses())
    missing, gone = addresses - set(KNOWN) - PROBES, set(KNOWN) - addresses
    assert not missing, f"no line in tests/access/table.py for: {', '.join(sorted(missing))}"
    assert not gone, f"lines in tests/access/table.py for what is no address: {', '.join(sorted(gone))}"


@pytest.mark.parametrize("section", SECTIONS)
def test_visitors_get_what_the_table_says(section, monkeypatch):
    # Whether somebody gets in is settled before a page is drawn.
    monkeypatch.setattr(Template, "render", lambda self, context=None, request=None: "")
    world, addresses, wrong = World(), trying.addresses(), []
    for name, said in SECTIONS[section].items():
        if name not in addresses:
            continue
        found = [trying.row(world, name, addresses[name], method) for method in ("get", "post")]
        if found != said:
            gap = [f"{row[:4]} {row[4:6]} {row[6:11]} {row[11]} {row[12:]}" for row in found]
            wrong.append(f"{name:28} {gap[0]}   {gap[1]}")
    assert not wrong, "what they get:\n" + "\n".join(wrong)


def test_sockets_let_in_whom_the_table_says():
    world, (said,) = World(), rows(SOCKETS).values()
    found = {}
    for pattern in consumers.websocket_urlpatterns:
        if not (path := str(pattern.pattern)):
            continue  # the one that refuses all others
        kind = {"ws/availability/": consumers.Availability, "ws/clinics/": consumers.ClinicDay}
        name = next(each for each in kind if path.startswith(each))
        found[name] = ["".join(_socket(world, kind[name], who) for who in VISITORS)]
    assert found == said


def _socket(world, kind, who):
    consumer = kind()
    user = world.users.get(who)
    person = User.objects.get(pk=user.pk) if user else AnonymousUser()
    consumer.scope = {"user": person, "session": world.clients[who].session}
    answer = consumer.find_channel(clinic=world.clinic.slug, date="2030-01-07")
    return "x" if answer == consumers.FORBIDDEN else "+"


def test_admin_shows_configuration_to_the_administrator_alone():
    world = World()
    wanted = set()
    for line in ADMIN.strip().splitlines():
        app, names = line.split(": ")
        wanted |= {f"{app}_{name}" for name in names.split()}
    models = [f"{m._meta.app_label}_{m._meta.model_name}" for m in admin.site._registry]
    client = world.clients["admin"]
    with trying.undone():
        shown = {name for name in models if _opens(client, name)}
        assert shown == wanted
    for who in VISITORS[:-1]:
        with trying.undone():
            assert trying.outcome(world.clients[who].get(reverse("admin:index"))) in ">.x", who


def _opens(client, model):
    return client.get(reverse(f"admin:{model}_add")).status_code == 200 or (
        client.get(reverse(f"admin:{model}_changelist")).status_code == 200
    )
