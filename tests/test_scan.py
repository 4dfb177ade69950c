"""`make security`: whom it scans as, what it chooses, and when it says that something was left out."""

import pytest
from django.test import Client

from security import __main__ as scan
from security.targets import CSRF, Request, chosen, targets, with_stars
from security.visitors import Visitor, visitors
from tests import factories

SITE = "http://127.0.0.1:1"
WHO = Visitor(
    "patient", {"session": "s", "csrftoken": "t"}, [], {}, {"GET": frozenset(), "POST": frozenset()}
)


def asked(number, path, *fields, method="GET", status=200):
    pairs = tuple((name, "1") for name in fields)
    query, body = (pairs, ()) if method == "GET" else ((), ((CSRF, "old"), *pairs))
    return Request(number, method, f"{SITE}{path}", status, query, body)


@pytest.mark.django_db
def test_every_page_to_begin_with_lets_its_visitor_in(service, clinic):
    patient = factories.PatientFactory(with_login=True)
    for visitor in visitors(patient):
        client = Client()
        for name, value in visitor.cookies.items():
            client.cookies[name] = value
        assert len(visitor.pages) > 30 or visitor.avoids
        said = {page: client.get(page).status_code for page in visitor.pages}
        assert {page: status for page, status in said.items() if status in scan.NOT_IN} == {}


def test_one_of_each_kind_is_chosen():
    one = asked(1, "/bookings/AAAAAAAAAA/")
    kinds = [one, asked(4, "/book/", "service", "clinic"), asked(6, "/holds/", "slot", method="POST")]
    others = [asked(2, "/bookings/BBBBBBBBBB/"), asked(3, "/book/", "service"), asked(5, "/static/x.js")]
    others += [asked(7, "/logout/", method="POST"), asked(8, "/no/such/page/", "q")]
    assert sorted(chosen([*others, *kinds]), key=lambda each: each.number) == kinds


def test_what_was_taken_is_chosen_before_what_was_refused():
    refused, taken = asked(1, "/book/", "service", "date", status=404), asked(2, "/book/", "service", "date")
    assert chosen([refused, taken]) == [taken]
    more = asked(3, "/book/", "service", "date", "move", status=404)
    assert chosen([refused, taken, more]) == [taken, more]


def test_a_form_is_sent_with_the_token_of_the_visitor():
    (form,) = targets(WHO, [asked(1, "/holds/", "slot", method="POST")])
    assert (form.method, form.path, form.data) == ("POST", "/holds/", f"{CSRF}=t&slot=1")


def test_fields_without_a_page_are_targets_too():
    more = Visitor("patient", WHO.cookies, [], {"move": ("/bookings/A/move/", {"slot": "1"})}, WHO.inside)
    assert [(each.name, each.data) for each in targets(more, [])] == [("move", f"slot=1&{CSRF}=t")]
    (found,) = targets(more, [asked(1, "/bookings/A/move/", "slot", "version", method="POST")])
    assert "version=1" in found.data


@pytest.mark.parametrize(
    ("path", "marked"),
    [
        ("/bookings/AAAAAAAAAA/", "/bookings/AAAAAAAAAA*/"),
        ("/bookings/AAAAAAAAAA.ics", "/bookings/AAAAAAAAAA*.ics"),
        ("/bills/7/", ""),
        ("/book/", ""),
    ],
)
def test_texts_in_an_address_are_tried(path, marked):
    assert with_stars(path) == marked


@pytest.mark.parametrize("open_one", ["found", "left"])
def test_it_ends_badly_for_what_nobody_has_explained(tmp_path, monkeypatch, open_one):
    monkeypatch.setattr(scan, "LOCAL", tmp_path)
    monkeypatch.setattr(scan, "ROOT", tmp_path)
    flag = {"tool": "wapiti", "as": "patient", "category": "Secure Flag cookie", "path": "/", "method": "GET"}
    known = {
        "found": [flag | {"parameter": "", "info": ""}],
        "left": [scan.missed("reached", "patient", "POST logout", "")],
    }
    assert scan.report(**known) == 0
    stranger = {
        "found": {**known["found"][0], "category": "SQL Injection"},
        "left": scan.missed("wapiti", "patient", "exec", ""),
    }
    known[open_one].append(stranger[open_one])
    assert scan.report(**known) == 1
    assert "**OPEN**" in (tmp_path / "report.md").read_text()
