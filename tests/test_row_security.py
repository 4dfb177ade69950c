"""The second line: what a page reads without asking who may see it (docs/adr/0015)."""

from contextlib import closing

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, ProgrammingError, connection, transaction
from django.http import HttpResponse
from django.test import RequestFactory

from clinic_booking import rows
from clinic_booking.models import User
from patients.models import Patient
from scheduling.models import Booking
from tests.factories import BookingFactory, ClinicFactory, MembershipFactory, PatientFactory

# Tables with a patient's key and no policies, and why.
OPEN = {
    "patients_brokenglass": "looked at by managers and privacy officers, who see no patient: ids and reasons",
    "patients_patientclinic": "ids only; the policies read it",
    "scheduling_hold": "a hold is looked up by its secret id before anybody is known; what it notes is sealed",
    "billing_payment": "ids and amounts; a guest's is looked up by its hold",
}


def ask(view, user=None, bookings=()):
    request = RequestFactory().get("/")
    request.COOKIES = {"session": "x"}
    request.user = user or AnonymousUser()
    request.session = {"bookings": list(bookings)} | ({SESSION_KEY: str(user.pk)} if user else {})
    return rows.middleware(view)(request)


def everybody_as(user=None, bookings=()):
    """The names on a page that forgot to ask who may see whom."""
    seen = []

    def page(request):
        seen.extend(Patient.objects.order_by("pk").values_list("name", flat=True))
        return HttpResponse()

    ask(page, user, bookings)
    return seen


@pytest.fixture
def visits(db):
    here, there = ClinicFactory(), ClinicFactory()
    mine = BookingFactory(clinic=here, patient=PatientFactory(name="Mine", with_login=True))
    other = BookingFactory(clinic=there, patient=PatientFactory(name="Other", with_login=True))
    return mine, other


def test_a_forgotten_filter_shows_staff_their_clinics_patients_only(visits):
    mine, other = visits
    assert everybody_as(MembershipFactory(clinic=mine.clinic).user) == ["Mine"]
    assert everybody_as(MembershipFactory(clinic=ClinicFactory()).user) == []


def test_a_forgotten_filter_shows_patients_and_guests_themselves_only(visits):
    mine, other = visits
    assert everybody_as(other.patient.user) == ["Other"]
    assert everybody_as(bookings=[mine.reference]) == ["Mine"]
    assert everybody_as() == []


def test_the_privacy_officer_sees_everybody_and_the_system_administrator_nobody(visits):
    assert everybody_as(User.objects.create(username="p", office=User.Office.PRIVACY_OFFICER)) == [
        "Mine",
        "Other",
    ]
    assert everybody_as(User.objects.create(username="s", office=User.Office.SYSTEM_ADMIN)) == []
    assert everybody_as(User.objects.create(username="o", office="privacy_officer", is_active=False)) == []
    assert everybody_as(User.objects.create(username="r", is_superuser=True)) == []
    administrator = MembershipFactory(clinic=visits[0].clinic, user__office=User.Office.SYSTEM_ADMIN).user
    assert everybody_as(administrator) == []


def test_a_checked_key_reveals_one_patient(visits):
    mine, other = visits
    seen = []

    def page(request):
        assert not Booking.objects.exists()
        with rows.all_rows():
            booking = Booking.objects.get(reference=other.reference)
        rows.reveal(booking.patient_id)
        seen.extend(Booking.objects.values_list("reference", flat=True))
        return HttpResponse()

    ask(page)
    assert seen == [other.reference]


def test_a_page_cannot_change_the_rows_of_others(visits):
    mine, other = visits

    def page(request):
        assert Patient.objects.filter(pk=other.patient_id).update(name="Changed") == 0
        return HttpResponse()

    ask(page, mine.patient.user)
    other.patient.refresh_from_db()
    assert other.patient.name == "Other"


@pytest.mark.django_db(transaction=True)
def test_the_role_of_a_request_ends_with_it_and_pauses_for_verbs():
    def role():
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            return cursor.fetchone()[0]

    before, seen = role(), []

    def page(request):
        seen.append(role())
        try:
            with transaction.atomic():
                seen.append(role())
                Patient.objects.create(name="New", email="new@example.com", phone="+6591234567")
                raise RuntimeError
        except RuntimeError:
            seen.append(role())
        with transaction.atomic():
            seen.append(role())
        with rows.all_rows():
            seen.append(role())
            with transaction.atomic():
                seen.append(role())
            seen.append(role())
        seen.append(role())
        raise ValueError("of the page")

    with pytest.raises(ValueError, match="of the page"):
        ask(page)
    visitor, app = rows.VISITOR, rows.APP
    assert seen == [visitor, app, visitor, app, app, app, app, visitor]
    assert role() == before


@pytest.mark.django_db(transaction=True)
def test_a_verb_before_any_page_reads_is_no_visitor():
    def page(request):
        with transaction.atomic():
            Patient.objects.create(name="New", email="new@example.com", phone="+6591234567")
        assert not Patient.objects.exists()
        return HttpResponse()

    ask(page)
    assert Patient.objects.count() == 1


@pytest.mark.parametrize("role", [rows.APP, rows.VISITOR])
@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE patients_patient",
        "TRUNCATE patients_patient CASCADE",
        "ALTER TABLE patients_patient DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE patients_consent DISABLE TRIGGER ALL",
        "CREATE ROLE another",
    ],
)
def test_processes_have_no_rights_over_tables(db, role, statement):
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {role}")
        with pytest.raises(ProgrammingError), transaction.atomic():
            cursor.execute(statement)


def test_every_table_with_a_patient_is_secured_or_says_why_not(db):
    query = """
        SELECT DISTINCT t.relname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
        WHERE c.contype = 'f' AND c.confrelid = 'patients_patient'::regclass AND NOT t.relrowsecurity
    """
    with connection.cursor() as cursor:
        cursor.execute(query)
        open_ones = {name for (name,) in cursor.fetchall()}
    assert open_ones - set(OPEN) == set(), "add `rows.protect(table)` to a migration, or a reason to OPEN"


# Besides: wishes that name no clinic are everybody's who has one.
AWAITED = {("patients_patient", "awaited_patient"), ("scheduling_bookingrequest", "awaited_request")}
POLICIES = """
    SELECT tablename, policyname, roles::text[], cmd, qual, with_check FROM pg_policies
    WHERE schemaname IN ('public', (SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()))
"""


def test_every_policy_is_that_of_rows(db):
    """A table that is secured by a policy which lets everybody through would only look so."""
    with connection.cursor() as cursor:
        for column in ("id", "patient_id"):
            for clinic in ("", "clinic_id"):
                sample = f"sample_{column}{clinic}"
                cursor.execute(f"CREATE TEMP TABLE {sample} ({column} bigint, clinic_id bigint)")
                cursor.execute(rows.protect(sample, patient=column, clinic=clinic).sql)
        cursor.execute(POLICIES)
        found = [
            (table, name, roles, cmd, (qual or "").replace(f"{table}.", ""), check)
            for table, name, roles, cmd, qual, check in cursor.fetchall()
        ]
    samples = {
        ("id" if "sample_id" in table else "patient_id", qual)
        for table, name, _roles, _cmd, qual, _check in found
        if table.startswith("sample") and name.endswith("_visitor")
    }
    assert len(samples) == 4
    ours = [row for row in found if not row[0].startswith("sample") and row[:2] not in AWAITED]
    assert len({table for table, *_rest in ours}) >= 10
    for table, name, roles, cmd, qual, check in ours:
        assert (cmd, check, name) == ("ALL", None, f"{table}_{'app' if qual == 'true' else 'visitor'}")
        assert roles == [rows.APP if qual == "true" else rows.VISITOR]
        if qual != "true":
            assert ("id" if table == "patients_patient" else "patient_id", qual) in samples, table
    awaited = {row[:2]: row[2:4] for row in found if row[:2] in AWAITED}
    assert awaited == dict.fromkeys(AWAITED, ([rows.VISITOR], "SELECT"))


def test_what_the_database_refuses_does_not_leave_the_role_behind(visits):
    def page(request):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        assert not Patient.objects.exists()
        return HttpResponse()

    ask(page)
    assert Patient.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("bookings", [(), ("none-of-it",)], ids=["unknown", "known"])
def test_a_request_whose_connection_broke_enters_by_a_new_one(bookings):
    """The health check of a kept connection is the statement that gives the role."""
    seen = []

    def page(request):
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user, pg_backend_pid()")
            seen.append(cursor.fetchone())
        return HttpResponse()

    connection.close_if_unusable_or_obsolete()  # as at the start of a request: the next look checks
    ask(page, bookings=bookings)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user <> %s, pg_backend_pid()", [rows.VISITOR])
        assert cursor.fetchone() == (True, seen[0][1])
    with closing(connection.copy()) as another, another.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [seen[0][1]])
    connection.close_if_unusable_or_obsolete()
    ask(page, bookings=bookings)
    assert [role for role, _pid in seen] == [rows.VISITOR] * 2
    assert seen[0][1] != seen[1][1]
