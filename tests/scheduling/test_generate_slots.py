import datetime as dt
import io
import json
import threading

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.utils import timezone

from scheduling import inventory, jobs
from scheduling.models import Slot
from tests import factories


@pytest.fixture
def template(clinic, practitioner, station, monkeypatch):
    monkeypatch.setattr("scheduling.inventory.public_holidays", lambda clinic, first, days: set())
    return factories.ScheduleTemplateFactory(
        clinic=clinic, practitioner=practitioner, station=station, ends_at=dt.time(10)
    )


def run(*arguments):
    out, progress = io.StringIO(), io.StringIO()
    call_command("generate_slots", *arguments, stdout=out, stderr=progress)
    return out.getvalue(), progress.getvalue()


def test_summary_and_progress_are_printed_apart(template):
    out, progress = run("--days", "3")

    assert out.startswith("9 added, 0 removed, 0 unchanged, 0 kept outside the plan, 0 not added (")
    assert out.endswith(" slots/s)\n")
    assert progress == "1/1 Tanjong Pagar\n"


def test_dry_run_says_what_would_be(template):
    out, _progress = run("--days", "3", "--dry-run")

    assert out.startswith("Would be: 9 added")
    assert not Slot.objects.exists()


def test_json_report_can_be_read(template):
    first = timezone.localdate() + dt.timedelta(days=1)
    run("--from", str(first), "--days", "1")
    factories.book(list(Slot.objects.order_by("starts_at"))[:1])
    template.delete()
    Slot.objects.update(template=factories.ScheduleTemplateFactory(valid_until=dt.date(2024, 1, 1)))

    out, _progress = run("--from", str(first), "--days", "1", "--json")

    report = json.loads(out)
    assert {name: report[name] for name in ["added", "removed", "unchanged", "kept", "blocked"]} == {
        "added": 0,
        "removed": 2,
        "unchanged": 0,
        "kept": 1,
        "blocked": 0,
    }
    assert report["conflicts"][0]["state"] == "booked"
    assert dt.datetime.fromisoformat(report["conflicts"][0]["starts_at"]).hour == 1


def test_conflicts_are_said_in_local_time(template, monkeypatch):
    monkeypatch.setattr("scheduling.management.commands.generate_slots.SHOWN_CONFLICTS", 1)
    factories.ScheduleTemplateFactory(
        clinic=template.clinic, station=template.station, ends_at=dt.time(9, 40)
    )

    tomorrow = timezone.localdate() + dt.timedelta(days=1)

    out, _progress = run("--days", "1", "--from", str(tomorrow))

    first, more, _summary = out.splitlines()
    assert f"{tomorrow:%a %d %b %Y} 09:00: not added: a slot that is available overlaps" in first
    assert more == "… and 1 more (--json lists all)"


def test_only_named_clinics_are_written(template):
    other = factories.ScheduleTemplateFactory(ends_at=dt.time(9, 20))

    run("--days", "1", "--clinic", other.clinic.slug)

    assert set(Slot.objects.values_list("clinic", flat=True)) == {other.clinic_id}


def test_closed_clinics_are_left_out(template):
    template.clinic.is_active = False
    template.clinic.save()

    assert run("--days", "1")[0].startswith("0 added")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--days", "0"], "--days must be between 1 and 400, not 0."),
        (["--days", "-1"], "--days must be between 1 and 400, not -1."),
        (["--days", "401"], "--days must be between 1 and 400, not 401."),
        (["--clinic", "tanjong-pagar", "nowhere"], "Unknown clinic: nowhere. There are: tanjong-pagar."),
        (["--from", "tomorrow"], "--from must be a date as 2026-12-31, not “tomorrow”."),
        (["--from", "2026-13-01"], "--from must be a date as 2026-12-31, not “2026-13-01”."),
        (["--from", "2020-01-01"], "--from must not be in the past."),
    ],
)
def test_bad_arguments_get_a_sentence(template, arguments, sentence):
    with pytest.raises(CommandError) as caught:
        run(*arguments)

    assert str(caught.value) == sentence
    assert not Slot.objects.exists()


@pytest.mark.django_db
def test_days_that_are_no_number_are_refused():
    with pytest.raises(CommandError, match="invalid int value"):
        run("--days", "many")


def test_country_without_holidays_is_named(clinic, practitioner, station):
    factories.ScheduleTemplateFactory(clinic=clinic, practitioner=practitioner, station=station)
    clinic.country = "XX"
    clinic.save()

    with pytest.raises(CommandError, match="public holidays"):
        run("--days", "1")


@pytest.mark.django_db(transaction=True)
def test_concurrent_runs_make_each_slot_once(template, monkeypatch):
    """Three runs at once, in small batches, one of them of a clinic that shares the practitioner."""
    monkeypatch.setattr(inventory, "BATCH_DAYS", 2)
    elsewhere = factories.ScheduleTemplateFactory(
        practitioner=template.practitioner, starts_at=dt.time(9, 30), ends_at=dt.time(11)
    )
    barrier, reports, failures = threading.Barrier(3, timeout=30), [], []

    def generate(clinics):
        try:
            barrier.wait()
            reports.append(inventory.generate(days=10, clinics=clinics))
        except Exception as error:  # noqa: BLE001  (shown by the assertion)
            failures.append(error)
        finally:
            connections.close_all()

    both = [template.clinic, elsewhere.clinic]
    threads = [threading.Thread(target=generate, args=[each]) for each in (both, both[::-1], both)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert failures == []
    assert sum(report.added for report in reports) == Slot.objects.count()
    # Whichever clinic comes first on a day, five slots fit.
    assert Slot.objects.count() == 50


@pytest.mark.django_db(transaction=True)
def test_lock_that_is_never_freed_ends_the_run(template, monkeypatch):
    """It waits for a booking that goes on, but not for ever, and says that the work done stays."""
    monkeypatch.setattr(inventory, "TAKE_TIME", inventory.TAKE_TIME.replace("60s", "50ms"))
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as rival:
        rival.execute("SELECT pg_advisory_xact_lock(%s)", [inventory.GENERATE_LOCK])
        with pytest.raises(CommandError, match="run it again"):
            run("--days", "1")
    assert run("--days", "1")[0].startswith("3 added")


def test_nightly_job_keeps_thirty_days(template):
    jobs.generate_slots(timestamp=0)

    assert Slot.objects.count() == 90
