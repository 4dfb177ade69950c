"""What the rules say is due goes, with a certificate; what waits for something stays as it is."""

import datetime as dt
import json

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import Bill
from clinic_booking.errors import NotAllowed
from clinic_booking.models import AuditEvent, Notification, User
from clinic_booking.retention import deletions, rules_in_force
from clinic_booking.retention.models import DataClass, ErasureCertificate, Incident, ReviewedErasure
from clinic_booking.retention.rules import BadRule, NothingChanged, change_rule, cutoff, rule_of
from clinic_booking.retention.run import digest, run
from patients.models import Patient
from patients.retention import holds
from patients.retention.erase import anonymise
from scheduling.models import Booking, Hold, WaitlistEntry
from tests import factories
from tests.retention.lives import bill, days_ago, dump, old_hold, old_wait, secrets_of, someone, visit

pytestmark = pytest.mark.django_db
# These say what was done, and grow with each run that does something.
OF_THE_RUN = {"clinic_booking_erasurecertificate"}


def erase(**options):
    return {(o.data_class, o.subject): o for o in run(operator="test", **options)}


def is_anonymous(patient):
    return Patient.objects.filter(pk=patient.pk, anonymised_at__isnull=False).exists()


def found(words, text):
    return {word for word in words if any(word in line for line in text)}


def test_silent_person_is_made_anonymous():
    person = someone()
    visit(person, status="noshow")
    kind = ContentType.objects.get_for_model(Patient)
    LogEntry.objects.create(
        user=person.user, content_type=kind, object_id=person.pk, object_repr=person.name, action_flag=2
    )
    before = secrets_of(person)
    assert found(before, dump()) == before
    outcome = erase()[DataClass.INACTIVE_ACCOUNT, "patient"]
    assert (outcome.due, outcome.done, outcome.left) == (1, 1, 0)
    assert not found(before, dump())
    person.refresh_from_db()
    assert person.birth_date == dt.date(1951, 1, 1)
    assert person.user is None


def test_login_of_the_erased_opens_nothing(client):
    person = someone()
    client.force_login(person.user)
    User.objects.filter(pk=person.user_id).update(last_login=days_ago(900))
    erase()
    user = User.objects.get(pk=person.user_id)
    assert (user.username, user.email, user.is_active) == (f"anonymous-{user.pk}", "", False)
    assert not user.has_usable_password()
    assert client.get("/me/").status_code == 302


def test_member_of_staff_keeps_the_login():
    person = someone()
    factories.MembershipFactory(user=person.user)
    erase()
    assert is_anonymous(person)
    assert User.objects.get(pk=person.user_id).is_active


@pytest.mark.parametrize(
    "waits",
    [
        lambda person: holds.preserve(person, "Refused", timezone.now() + dt.timedelta(days=30)),
        lambda person: factories.BookingFactory(patient=person),
        lambda person: visit(person, status="fulfilled"),
        lambda person: bill(visit(person, status="noshow"), days=900, settled=False),
        lambda person: factories.ConsentFactory(patient=person),
        lambda person: User.objects.filter(pk=person.user_id).update(last_login=days_ago(100)),
    ],
    ids=["hold", "visit to come", "came", "open bill", "consent of today", "login of spring"],
)
def test_who_has_a_reason_to_wait_stays(waits):
    person = someone()
    waits(person)
    before = dump()
    erase(data_class="inactive_account")
    assert not is_anonymous(person)
    assert dump() == before


def test_people_of_an_open_incident_wait(officer):
    person = someone()
    AuditEvent.objects.create(action="view", subject="patient:1", patient_id=person.pk, actor_id=77)
    incident = Incident.objects.create(
        title="Stolen laptop", discovered_at=timezone.now(), made_by=officer, actor_id=77
    )
    assert erase()[DataClass.INACTIVE_ACCOUNT, "patient"].blocked == 1
    assert not is_anonymous(person)
    Incident.objects.filter(pk=incident.pk).update(
        decision="not_notifiable", reasons="None seen", assessed_at=timezone.now(), closed_at=timezone.now()
    )
    erase()
    assert is_anonymous(person)


def test_lifetime_over_waits_for_a_review(officer):
    person = someone(birth_date=dt.date(1901, 5, 1), silent_days=10)
    visit(person, status="fulfilled")
    outcome = erase()[DataClass.PATIENT_RECORD, "patient"]
    assert (outcome.due, outcome.to_review) == (0, 1)
    assert not is_anonymous(person)
    ReviewedErasure.objects.create(
        data_class="patient_record", subject_id=person.pk, reason="Nothing pending", reviewed_by=officer
    )
    assert erase()[DataClass.PATIENT_RECORD, "patient"].done == 1
    assert is_anonymous(person)


def test_six_years_after_a_death_the_record_is_due():
    for years, n in ((5, 1), (7, 2)):
        someone(n, silent_days=10, died_on=timezone.localdate() - dt.timedelta(days=365 * years + 10))
    assert erase(dry_run=True)[DataClass.PATIENT_RECORD, "patient"].to_review == 1


def test_old_bill_is_stripped_to_its_amounts():
    old, young = someone(1, silent_days=10), someone(2, silent_days=10)
    bill(visit(old, days=3000, status="fulfilled"), days=3000)
    bill(visit(young, days=100, status="fulfilled"), days=100)
    before = Bill.objects.aggregate(Sum("total_cents"), Sum("credited_cents"))
    assert erase()[DataClass.BILL, "bill"].done == 1
    assert Bill.objects.aggregate(Sum("total_cents"), Sum("credited_cents")) == before
    lines = Bill.objects.order_by("issued_at").values_list("lines__description", "credit_notes__amount_cents")
    assert list(lines) == [("–", 6500), ("Rare treatment", 6500)]
    assert not is_anonymous(old)


def test_what_ran_out_is_deleted_in_its_time(patient):
    for days in (5, 9):
        old_hold(days=days)
    for days in (80, 100):
        old_wait(patient, days=days)
    erase()
    assert Hold.objects.count() == WaitlistEntry.objects.count() == 1


def test_what_ran_out_of_a_held_patient_waits(patient):
    old_hold(patient, days=9)
    old_wait(patient, days=100)
    holds.preserve(patient, "Refused", timezone.now() + dt.timedelta(days=30))
    found = erase()
    for data_class, subject in ((DataClass.EXPIRED_HOLD, "hold"), (DataClass.WAITLIST, "waitlist_entry")):
        outcome = found[data_class, subject]
        assert (outcome.due, outcome.blocked, outcome.left) == (0, 1, 0)
    assert Hold.objects.count() == WaitlistEntry.objects.count() == 1


def test_who_is_held_is_passed_over_also_when_named():
    """As a replay of the list of deletions names people."""
    held, free = someone(1), someone(2)
    holds.preserve(held, "Refused", timezone.now() + dt.timedelta(days=30))
    assert anonymise([held.pk, free.pk])["patients.Patient"] == 1
    assert (is_anonymous(held), is_anonymous(free)) == (False, True)


def test_hold_that_became_a_booking_stays(patient):
    hold = old_hold(patient)
    factories.BookingFactory(patient=patient, hold=hold)
    erase()
    assert Hold.objects.filter(pk=hold.pk).exists()


def test_holds_made_together_go_together():
    lead = old_hold()
    old_hold(lead=lead, part=1, owner=lead.owner)
    assert erase(batch=1)[DataClass.EXPIRED_HOLD, "hold"].left == 0
    assert not Hold.objects.exists()


def test_reference_at_the_provider_goes_type_and_status_stay(patient):
    from clinic_booking.events import publish

    event = publish("test", "test:1", {})
    note = Notification.objects.create(
        event=event,
        kind="booked",
        patient_id=patient.pk,
        status="failed",
        provider_ref="m-1",
        created_at=days_ago(91),
    )
    erase()
    note.refresh_from_db()
    assert (note.provider_ref, note.kind, note.status) == ("", "booked", "failed")


def test_certificate_says_what_by_which_rule_and_whom_nobody_can_read():
    person = someone()
    erase(data_class="inactive_account")
    [made] = ErasureCertificate.objects.all()
    assert made.digests == [digest("patient", person.pk)]
    assert (made.rule_version, made.action, made.operator) == (1, "anonymise", "test")
    assert made.counts["patients.Patient"] == 1
    [line] = deletions.since(timezone.now() - dt.timedelta(minutes=1))
    assert (line.data_class, line.subject, line.ids) == ("inactive_account", "patient", [person.pk])


def test_nothing_is_erased_when_the_list_cannot_be_written(settings, backups):
    person = someone()
    backups.write_text("a file in the way")
    with pytest.raises(deletions.NotWritable):
        erase()
    assert not is_anonymous(person)


def test_half_a_line_of_a_crash_is_forgotten(backups):
    deletions.note("waitlist", "waitlist_entry", 1, [1])
    with (backups / deletions.NAME).open("a") as file:
        file.write('{"at": "2026-')
    deletions.note("waitlist", "waitlist_entry", 1, [2])
    assert [line.ids for line in deletions.since(days_ago(1))] == [[1], [2]]


def test_row_that_cannot_go_holds_up_no_others_and_is_told(capsys, patient):
    people = [someone(n) for n in (1, 2, 3)]
    with connection.cursor() as cursor:  # a rule of the database that we do not know of
        cursor.execute(
            "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD.id = "
            f"{people[1].pk} THEN RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'; END IF; RETURN NEW; END $$;"
            "CREATE TRIGGER a_never BEFORE UPDATE ON patients_patient FOR EACH ROW EXECUTE FUNCTION never()"
        )
    with pytest.raises(SystemExit) as end:
        call_command("anonymise", "--class", "inactive_account", "--json")
    assert end.value.code == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["left"], said["outcomes"][0]["done"]) == (1, 2)
    assert [is_anonymous(person) for person in people] == [True, False, True]


def test_dry_run_counts_and_touches_nothing(capsys):
    someone()
    before = dump()
    call_command("anonymise", "--dry-run")
    assert "inactive_account (patient): 1 due, 0 blocked" in capsys.readouterr().out
    assert dump() == before


def test_another_day_is_another_answer(capsys):
    person = someone(silent_days=700)
    call_command("anonymise", "--class", "inactive_account")
    assert not is_anonymous(person)
    day = timezone.localdate() + dt.timedelta(days=100)
    call_command("anonymise", "--class", "inactive_account", "--as-of", day.isoformat())
    assert is_anonymous(person)


# -- Whatever people's pasts are ------------------------------------------------------------------

life = st.fixed_dictionaries(
    {
        "silent": st.sampled_from([10, 700, 800]),
        "past": st.sampled_from(["nothing", "missed", "came", "billed"]),
        "held": st.booleans(),
    }
)


def is_due(each):
    return each["silent"] == 800 and each["past"] in ("nothing", "missed") and not each["held"]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=st.lists(life, min_size=1, max_size=4), batch=st.integers(1, 3))
def test_whatever_people_did(lives, batch):
    with transaction.atomic():
        people = [someone(n, silent_days=each["silent"]) for n, each in enumerate(lives, 1)]
        for person, each in zip(people, lives, strict=True):
            live(person, each)
        gone = [p for p, each in zip(people, lives, strict=True) if is_due(each)]
        stay = [p for p in people if p not in gone]
        sums = totals()
        erase(batch=batch)
        after = dump()
        assert {p.pk for p in people if is_anonymous(p)} == {p.pk for p in gone}
        for person in gone:
            assert not found(secrets_of(person), after)
        for person in stay:
            assert found(secrets_of(person), after) == secrets_of(person)
        assert totals() == sums
        erase(batch=batch)
        assert dump() == after
        transaction.set_rollback(True)


def live(person, each):
    if each["past"] != "nothing":
        booking = visit(
            person, days=each["silent"], status="noshow" if each["past"] == "missed" else "fulfilled"
        )
        if each["past"] == "billed":
            bill(booking, days=each["silent"])
    if each["held"]:
        holds.preserve(person, "Refused", timezone.now() + dt.timedelta(days=30))


def totals():
    return (
        Patient.objects.count(),
        Booking.objects.count(),
        Bill.objects.aggregate(Sum("total_cents"), Sum("credited_cents"), Sum("received_cents")),
    )


# -- The rules ------------------------------------------------------------------------------------


def test_every_class_has_a_rule():
    assert [rule.data_class for rule in rules_in_force()] == DataClass.values


def test_change_is_a_new_version_and_on_record(officer):
    before = rule_of("waitlist")
    values = {"trigger": before.trigger, "action": before.action, "basis": "Asked by the board"}
    made = change_rule(data_class="waitlist", months=0, days=30, by=officer, **values)
    assert (made.version, made.period, rule_of("waitlist").pk) == (2, "30 days", made.pk)
    assert before.period == "90 days"
    event = AuditEvent.objects.get(subject=f"retention_rule:{made.pk}")
    assert (event.actor_id, event.fields) == (officer.pk, ["days", "basis"])
    with pytest.raises(NothingChanged):
        change_rule(data_class="waitlist", months=0, days=30, by=officer, **values)


def test_only_the_privacy_officer_changes_rules(officer, second):
    values = {"data_class": "waitlist", "trigger": "t", "days": 0, "action": "delete", "basis": "b"}
    with pytest.raises(NotAllowed):
        change_rule(months=1, by=second, **values)
    with pytest.raises(BadRule):
        change_rule(months=0, by=officer, **values)


@pytest.mark.parametrize(
    ("data_class", "day"),
    [
        ("inactive_account", dt.date(2024, 2, 29)),
        ("patient_record", dt.date(1910, 2, 28)),
        ("waitlist", dt.date(2025, 11, 30)),
    ],
)
def test_cutoff_counts_months_by_the_calendar(data_class, day):
    as_of = dt.date(2026, 2, 28)
    expected = {"inactive_account": dt.date(2024, 2, 28)}.get(data_class, day)
    assert cutoff(rule_of(data_class), as_of) == expected
