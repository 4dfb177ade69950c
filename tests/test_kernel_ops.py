"""The dashboard and the alert rules name only what /metrics has."""

import json
import re

import pytest
import yaml

from billing.models import Payment
from clinic_booking import jobs
from clinic_booking.models import Event, Notification, Parked, Reader
from tests import factories
from tests.test_kernel_metrics import scrape
from tests.test_repository import ROOT

OPS = ROOT / "docs" / "ops"
# A name that is no function, no label and no keyword of an expression: followed by neither ( nor =.
NAMES = re.compile(r"(?<![\w\"$])([a-z][a-z0-9_]+)(?!\w*\s*(?:\(|=|!))")
OF_PROMETHEUS = {"group_left", "histogram_quantile"}


def without_words(expression):
    """No texts in quotes, no lists of labels."""
    return re.sub(r"\b(by|without)\s*\([^)]*\)", "", re.sub(r'"[^"]*"', "", expression))


def metrics_in(expression):
    return set(NAMES.findall(without_words(expression))) - OF_PROMETHEUS


def rules():
    return [
        rule
        for group in yaml.safe_load((OPS / "alerts.yml").read_text())["groups"]
        for rule in group["rules"]
    ]


def panels():
    return json.loads((OPS / "dashboard.json").read_text())["panels"]


@pytest.fixture
def known(client, clinic, slots, service):
    """The names of all samples of a scrape in which every family has one."""
    factories.hold(slots[:1], service=service)
    event = Event.objects.create(topic="test", subject="test:1")
    Notification.objects.create(event=event, kind="booked")
    Parked.objects.create(event=event, subscriber="tests.ill", tries=12, error="KeyError")
    Reader.objects.create(name="counts")
    jobs.deliver.defer(event_id=event.pk, subscriber="tests.ill")
    client.get("/healthz")
    return scrape(client).names


def test_alerts_name_only_metrics_that_are_there(known):
    named = {name for rule in rules() for name in metrics_in(rule["expr"])}
    assert named
    assert named <= known
    assert {"payments_with_problem", "deliveries_parked", "jobs", "http_request_seconds_bucket"} <= named


def test_dashboard_names_only_metrics_that_are_there(known):
    named = {
        name
        for panel in panels()
        for target in panel.get("targets", ())
        for name in metrics_in(target["expr"])
    }
    assert {"appointments_booked_total", "payments_success_total", "payments_failure_total"} <= named
    assert named <= known


def test_alerts_say_what_is_the_matter():
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert rule["alert"] in (OPS / "README.md").read_text()


def test_states_in_the_rules_exist():
    said = set(re.findall(r'payments\{status="(\w+)"', (OPS / "alerts.yml").read_text()))
    assert said <= set(Payment.Status.values)
    said = set(re.findall(r'notifications\{status="(\w+)"', (OPS / "alerts.yml").read_text()))
    assert said <= set(Notification.Status.values)


def test_panels_lie_beside_each_other():
    places = [panel["gridPos"] for panel in panels()]
    assert len({panel["id"] for panel in panels()}) == len(places)
    taken = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert all(x < 24 for x, _y in taken)
