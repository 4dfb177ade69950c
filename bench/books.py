"""Half a million ledger entries straight into the tables: a year of bills paid at the counter, four entries each."""

import datetime as dt
import statistics
import time
import tracemalloc

from django.db import connection, transaction

from bench import milliseconds
from bench.fill import _clinics
from bench.year import _receptionist
from billing import books, closing
from billing.books import Period
from billing.books_views import lines
from billing.models import Contract, LedgerEntry
from clinic_booking.models import User
from patients.models import Patient
from scheduling.models import Clinic

CLINICS, DAYS = 3, 365
Row = tuple[str, ...]
# Bill n is of clinic n mod 3, of its day in the year, taken by one of the four cashiers of its clinic.
YEAR = [
    # What belongs to a visit is left out, and so are the triggers that add up.
    "SET LOCAL session_replication_role = replica",
    "SET LOCAL statement_timeout = 0",
    """CREATE TEMP TABLE made ON COMMIT DROP AS
    SELECT n, nextval('billing_bill_id_seq') AS bill_id, nextval('billing_ledgerposting_id_seq') AS issued,
        nextval('billing_ledgerposting_id_seq') AS taken, (%(clinics)s::bigint[])[1 + n %% 3] AS clinic_id,
        %(first)s::date + (n / 3 %% %(days)s)::int AS day, (ARRAY['cash', 'terminal', 'paynow'])[1 + n / 3 %% 3] AS way,
        (%(staff)s::bigint[])[1 + n %% 3 * 4 + n / 7 %% 4] AS by
    FROM generate_series(0, %(bills)s - 1) AS n""",
    """INSERT INTO billing_bill (id, contract_id, patient_id, clinic_id, legal_entity_id, number, entity_name,
        entity_uen, entity_gst_number, entity_address, currency, total_cents, gst_cents, gst_basis_points,
        received_cents, issued_at)
    SELECT bill_id, %(contract)s, %(patient)s, clinic_id, %(entity)s, n + 1, 'Bench', '209900001B', '', '', 'sgd',
        6500, 0, 0, 6500, day FROM made""",
    """INSERT INTO billing_ledgerposting (id, key, kind, clinic_id, legal_entity_id, date, by_id, posted_at)
    SELECT issued, 'bill:' || bill_id, 'bill', clinic_id, %(entity)s, day, NULL, day FROM made ORDER BY day, n""",
    """INSERT INTO billing_ledgerposting (id, key, kind, clinic_id, legal_entity_id, date, by_id, posted_at)
    SELECT taken, 'counter:' || bill_id, 'counter', clinic_id, %(entity)s, day, by, day FROM made ORDER BY day, n""",
    """INSERT INTO billing_ledgerentry (posting_id, account, amount_cents, bill_id)
    SELECT posting, account, cents, bill_id FROM made, LATERAL (VALUES (issued, 'receivable', 6500),
        (issued, 'revenue', -6500), (taken, way, 6500), (taken, 'receivable', -6500)) AS e(posting, account, cents)
    ORDER BY day, n""",
]


def fill(entries: int) -> tuple[list[Clinic], dt.date]:
    """Returns the clinics and the last day, which is yesterday."""
    clinics = _clinics(CLINICS)
    last = clinics[0].today() - dt.timedelta(1)
    patient = Patient.objects.create(name="Bench", email="books@example.com", phone="+6590000000")
    params = {
        "clinics": [clinic.pk for clinic in clinics],
        "entity": clinics[0].legal_entity_id,
        "staff": [_receptionist(clinic, n) for clinic in clinics for n in range(4)],
        "contract": Contract.objects.create(reference="C-2026-9999", patient=patient, clinic=clinics[0]).pk,
        "patient": patient.pk,
        "first": last - dt.timedelta(DAYS - 1),
        "days": DAYS,
        "bills": entries // 4,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in YEAR:
            cursor.execute(statement, params if "%(" in statement else None)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return clinics, last


def measure(entries: int) -> tuple[list[Row], list[Row]]:
    """Rows about the export, and about the close."""
    clinics, last = fill(entries)
    assert LedgerEntry.objects.count() >= entries - 4
    month, year = (
        Period(last - dt.timedelta(days - 1), last, [c.pk for c in clinics]) for days in (30, DAYS)
    )
    days = [
        ("sums of a day, four cashiers", f"{milliseconds(lambda: closing.sheets(clinics[0], last)):.1f}"),
        ("closed by a cashier", f"{close_ms(clinics[0], last):.1f}"),
        ("balances of a month", f"{milliseconds(lambda: books.balances(month)):.0f}"),
        ("balances of the year", f"{milliseconds(lambda: books.balances(year)):.0f}"),
    ]
    return [("a month", *export(month)), ("the whole year", *export(year))], days


def export(period: Period) -> Row:
    """Lines, seconds, MB of the file, and the most MB that Python held at once (of a run of its own)."""
    begin = time.perf_counter()
    count = size = 0
    for text in lines(period):
        count, size = count + 1, size + len(text)
    seconds = time.perf_counter() - begin
    tracemalloc.start()
    for _n, _text in zip(range(50_000), lines(period), strict=False):
        pass
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    figures = f"{count:,}", f"{seconds:.1f}", f"{count / seconds:,.0f}", f"{size / 1e6:.1f}"
    return *figures, f"{held / 1e6:.1f}"


def close_ms(clinic: Clinic, last: dt.date) -> float:
    """One cashier's close, each of another day."""
    cashier = User.objects.get(username=f"{clinic.slug}-0")
    took = []
    for back in range(20):
        day = last - dt.timedelta(back)
        [sheet] = closing.sheets(clinic, day, cashier=cashier)
        seen = {str(row.method): row.sums.net_cents for row in sheet.rows}
        begin = time.perf_counter()
        closing.close_day(
            clinic=clinic, day=day, cashier=cashier, number=1, counted=seen, seen=seen, note="", by=cashier
        )
        took.append((time.perf_counter() - begin) * 1000)
    return statistics.median(took)
