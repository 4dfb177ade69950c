"""What `make lint` makes of the answers of advisory services."""

import datetime as dt
import json
import tomllib
from pathlib import Path

import pytest

from security import audit

TODAY = dt.date(2026, 11, 21)


def test_vulnerability_is_named():
    flaw = {"id": "PYSEC-1", "fix_versions": ["2.0"], "aliases": [], "description": ""}
    said = {
        "dependencies": [{"name": "a", "version": "1.0", "vulns": [flaw]}, {"name": "b", "skip_reason": "x"}]
    }
    assert audit.of_pip_audit(json.dumps(said)) == {"PYSEC-1": "a 1.0, mended in 2.0"}


def test_clean_answer_is_no_vulnerability():
    assert audit.of_pip_audit('{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}') == {}
    assert audit.of_npm('{"vulnerabilities": {}}') == {}


@pytest.mark.parametrize(
    "text", ["", "<html>", "[]", '{"message": "405"}', '{"dependencies": [{"skip_reason": "x"}]}']
)
def test_no_answer_is_not_clean(text):
    assert audit.of_pip_audit(text) is None
    assert audit.of_npm(text) is None


def test_npm_names_the_advisory_once():
    via = {"url": "https://example.org/advisories/GHSA-1", "title": "Bad", "severity": "high"}
    said = {"vulnerabilities": {"a": {"via": [via, "b"]}, "b": {"via": [via]}}}
    assert audit.of_npm(json.dumps(said)) == {"GHSA-1": "b: Bad (high)"}


def test_exception_ends_on_its_day():
    entries = [
        {"id": "old", "until": dt.date(2026, 11, 20), "reason": "x"},
        {"id": "good", "until": TODAY, "reason": "x"},
        {"id": "no reason", "until": TODAY, "reason": ""},
    ]
    assert audit.allowed_on(TODAY, entries) == {"good"}


@pytest.mark.parametrize(("found", "code"), [({"X": "a"}, 1), ({}, 0), (None, 0)])
def test_only_what_is_known_fails_the_lint(monkeypatch, capsys, found, code):
    monkeypatch.setattr(audit, "ask_pip_audit", lambda: found)
    monkeypatch.setattr(audit, "ask_npm", lambda: None)
    assert audit.main() == code
    assert "no advisory service answers" in capsys.readouterr().out


def test_every_exception_has_a_reason():
    for entries in tomllib.loads(Path("security/explained.toml").read_text()).values():
        assert all(len(entry["reason"]) > 20 for entry in entries)
