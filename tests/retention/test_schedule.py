"""Every class of the schedule has its rule, and somebody who does what it says, every night."""

import pytest
from procrastinate.contrib.django import app

from clinic_booking import backups
from clinic_booking.management.commands import anonymise
from clinic_booking.retention import jobs, rules_in_force
from clinic_booking.retention.inventory import entries
from clinic_booking.retention.models import DataClass
from clinic_booking.retention.registry import cleaners
from clinic_booking.retention.run import Outcome

pytestmark = pytest.mark.django_db

# compliance.md §3, and who takes it away. Holds are purged after 7 days, what waits and messages after 90.
WHO = {
    "expired_hold": (7, {"hold"}),
    "inactive_account": (24, {"patient"}),
    "missed_appointment": (72, {"booking"}),
    "patient_record": (116 * 12, {"patient"}),
    "waitlist": (90, {"waitlist_entry"}),
    "bill": (84, {"bill"}),
    "consent": (84, {"consent"}),
    "message": (90, {"message"}),
    "access_log": (24, {"audit_month", "audit_alert", "broken_glass"}),
    "change_log": (0, set()),  # follows: emptied with the record, by the eraser of patients
    "case": (84, {"incident", "privacy_request"}),
    "session": (1, {"session", "code", "lock_out"}),
    "backup": (35, set()),  # files: `backups.expire`, by the same job
}


def test_every_class_has_a_rule_and_who_does_it():
    rules = {rule.data_class: rule for rule in rules_in_force()}
    assert set(rules) == set(DataClass.values) == set(WHO)
    found = {
        name: (rule.days or rule.months, {each.subject for each in cleaners(name)})
        for name, rule in rules.items()
    }
    assert found == WHO
    assert [name for name, rule in rules.items() if rule.action == "follow"] == ["change_log"]


def test_whatever_is_kept_is_of_a_class_with_a_rule():
    assert {entry.retention for entry in entries()} - {"none"} <= set(WHO)


def test_all_run_every_night(monkeypatch):
    done = []
    monkeypatch.setattr(jobs, "run", lambda **options: done.append(options) or [])
    monkeypatch.setattr(backups, "expire", lambda: done.append("backups"))
    (nightly,) = [
        each for each in app.periodic_registry.periodic_tasks.values() if each.task.name == "anonymise"
    ]
    assert nightly.cron == "10 19 * * *"
    nightly.task.func(timestamp=0)
    assert done == [{"operator": "job:anonymise"}, "backups"]  # no class is named: all of them


def test_what_is_left_is_told(monkeypatch):
    left = Outcome("waitlist", "waitlist_entry", 1, due=1, blocked=0, to_review=0, left=1)
    monkeypatch.setattr(jobs, "run", lambda **options: [left])
    monkeypatch.setattr(backups, "expire", list)
    with pytest.raises(jobs.LeftOver):
        jobs.anonymise.func(timestamp=0)
    monkeypatch.setattr(anonymise, "run", lambda **options: [left])
    with pytest.raises(SystemExit) as end:
        anonymise.Command().execute(
            data_class="",
            as_of=None,
            dry_run=False,
            batch=1,
            json=True,
            no_color=True,
            force_color=False,
            skip_checks=True,
        )
    assert end.value.code == 1
