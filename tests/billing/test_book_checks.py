"""Each check of the books finds what plain SQL broke behind the back of triggers and verbs."""

import pytest
from django.db import connection, transaction

from billing import bills, book_checks, closing, consistency, counter
from billing.models import CreditNote, Payment
from scheduling import consistency as checks
from scheduling.models import LegalEntity
from tests import factories
from tests.billing.steps import cancel, pay, payment_of, run_jobs, take

OURS = consistency.CHECKS | book_checks.CHECKS


@pytest.fixture
def books(client, double, engine, slots, service, clinic, receptionist):
    """Two visits paid online, one of them cancelled; one paid in parts at the counter, and partly given back."""
    LegalEntity.objects.update(gst_number="M9-2099000-X")
    for slot in slots[:2]:
        hold = take(client, slot, service)
        assert (
            pay(client, hold, engine.confirmation_token(), email=f"{slot.pk}@example.com")["status"] == "paid"
        )
    run_jobs()
    cancel(payment_of(hold).booking)
    run_jobs()
    bill = bills.keep_bill(factories.book(slots[2:3], service=service).pk)
    for cents in (2000, 4500):
        take_cash(bill, receptionist, cents)
    bills.credit(bill, cents=500, reason=CreditNote.Reason.GOODWILL)
    counter.return_payment(bill_id=bill.pk, by=receptionist)
    counted = {"cash": 6000, "terminal": 0, "paynow": 0}
    asked = {"counted": counted, "seen": counted, "note": "", "number": 1}
    closing.close_day(clinic=clinic, day=clinic.today(), cashier=receptionist, by=receptionist, **asked)
    assert broken() == set()


def take_cash(bill, by, cents):
    return counter.take_payment(bill_id=bill.pk, amount_cents=cents, method="cash", reference="", by=by)


def broken():
    """What had time is looked at as if its time was over."""
    found = set()
    with connection.cursor() as cursor:
        for name, query in OURS.items():
            cursor.execute(query.replace("interval '10 minutes'", "interval '-1 minute'"))
            if cursor.fetchall():
                found.add(name)
    return found


def run(*statements):
    """As somebody with all rights would, with triggers and foreign keys asleep."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = origin")


ONLINE = "(SELECT id FROM billing_payment WHERE status = 'paid')"
PAID_HOLD = "(SELECT hold_id FROM billing_payment WHERE status = 'paid')"
CANCELLED = "(SELECT id FROM scheduling_booking WHERE status = 'cancelled')"
UNCHARGED = "captured_cents = 0, refunded_cents = 0, allocated_cents = 0"
CASH_BILL = "(SELECT bill_id FROM billing_counterpayment LIMIT 1)"
ENTRIES_OF = "(SELECT id FROM billing_ledgerposting WHERE kind = '{}')"


def forget(kind):
    """A posting with its entries."""
    of = ENTRIES_OF.format(kind)
    return (
        f"DELETE FROM billing_ledgerentry WHERE posting_id IN {of}",
        f"DELETE FROM billing_ledgerposting WHERE kind = '{kind}'",
    )


def twice(kind):
    """The same posting once more, under another key."""
    columns = "kind, clinic_id, legal_entity_id, date, by_id"
    copied = "account, amount_cents, bill_id, payment_id, booking_id, session_id"
    return (
        f"INSERT INTO billing_ledgerposting (key, {columns}) SELECT kind || ':again', {columns}"
        f" FROM billing_ledgerposting WHERE kind = '{kind}' LIMIT 1",
        f"INSERT INTO billing_ledgerentry (posting_id, {copied}) SELECT"
        f" (SELECT id FROM billing_ledgerposting WHERE key = '{kind}:again'), {copied} FROM billing_ledgerentry"
        f" WHERE posting_id = (SELECT min(id) FROM billing_ledgerposting WHERE kind = '{kind}')",
    )


IN_LEDGER = "what moved is in the ledger, once and as it was"
AT_PROVIDER = "what is at the provider is what was charged and not refunded"
DAMAGES = [
    *(
        (IN_LEDGER, forget(kind))
        for kind in ("bill", "credit_note", "capture", "refund", "counter", "counter_refund")
    ),
    *(
        (IN_LEDGER, twice(kind))
        for kind in ("bill", "credit_note", "capture", "refund", "counter", "counter_refund")
    ),
    (IN_LEDGER, ["UPDATE billing_counterpayment SET method = 'terminal'"]),
    (IN_LEDGER, ["UPDATE billing_ledgerentry SET account = 'revenue' WHERE account = 'gst'"]),
    (IN_LEDGER, [f"DELETE FROM billing_ledgerentry WHERE posting_id IN {ENTRIES_OF.format('counter')}"]),
    (AT_PROVIDER, forget("capture")),
    (AT_PROVIDER, twice("refund")),
    (AT_PROVIDER, ["UPDATE billing_refund SET status = 'failed'"]),
    (
        "the key of a posting says its kind",
        ["UPDATE billing_ledgerposting SET key = 'x' WHERE kind = 'release'"],
    ),
    (
        "what is applied or taken off is of one payment and one bill",
        [
            f"UPDATE billing_ledgerentry SET bill_id = {CASH_BILL} WHERE account = 'customer' AND bill_id IS NOT NULL"
        ],
    ),
    (
        "a posting is of its bill's clinic and legal entity",
        ["UPDATE billing_ledgerposting SET clinic_id = clinic_id + 1 WHERE kind = 'counter'"],
    ),
    (
        "an entry is of its bill's visit",
        ["UPDATE billing_ledgerentry SET session_id = NULL WHERE account = 'gst'"],
    ),
    ("the accounts add up to nothing", ["DELETE FROM billing_ledgerentry WHERE account = 'gst'"]),
    ("every posting balances", ["DELETE FROM billing_ledgerentry WHERE account = 'gst'"]),
    (
        "every posting balances",
        [f"DELETE FROM billing_ledgerentry WHERE posting_id IN {ENTRIES_OF.format('bill')}"],
    ),
    ("money of a cashier has a name", ["UPDATE billing_ledgerposting SET by_id = NULL"]),
    (
        "a booking has one bill",
        [
            "ALTER TABLE billing_bill DROP CONSTRAINT billing_bill_booking_id_key",
            "UPDATE billing_bill SET booking_id = (SELECT min(booking_id) FROM billing_bill)",
        ],
    ),
    ("every booking that was made has its bill", [f"DELETE FROM billing_bill WHERE id <> {CASH_BILL}"]),
    ("every booking that was held has its bill", [f"DELETE FROM billing_bill WHERE id <> {CASH_BILL}"]),
    ("the tax of a bill is that of its rate", ["UPDATE billing_bill SET gst_cents = gst_cents + 1"]),
    (
        "the tax of credit notes is what that of their bill fell by",
        ["UPDATE billing_creditnote SET gst_cents = gst_cents - 1"],
    ),
    (
        "a credit note is of its bill's legal entity",
        ["UPDATE billing_creditnote SET legal_entity_id = legal_entity_id + 1"],
    ),
    (
        "what was charged and is for nothing goes back",
        [f"UPDATE billing_payment SET status = 'refunding', allocated_cents = 0 WHERE id = {ONLINE}"],
    ),
    (
        "what is charged is for a bill or goes back",
        ["UPDATE billing_payment SET allocated_cents = 0 WHERE status = 'paid'"],
    ),
    ("closes of a cashier's day follow each other", ["UPDATE billing_cashclose SET number = 2"]),
    (
        "a close has a count of each way of paying",
        ["DELETE FROM billing_cashcount WHERE method = 'paynow'"],
    ),
    (
        "a paid payment has its booking",
        [f"UPDATE scheduling_booking SET hold_id = NULL WHERE hold_id = {PAID_HOLD}"],
    ),
    (
        "a payment is for its hold's booking, amount and patient",
        ["UPDATE billing_payment SET patient_id = patient_id + 1"],
    ),
    (
        "a payment that charged has ended or is being ended",
        [f"UPDATE billing_payment SET status = 'canceling', {UNCHARGED}"],
    ),
    ("a bill is the sum of its lines", ["UPDATE billing_billline SET amount_cents = 1"]),
    (
        "a bill is for its booking's patient and price",
        ["UPDATE billing_bill SET patient_id = patient_id + 1"],
    ),
    (
        "a bill is for what its visit costs",
        [f"UPDATE billing_bill SET credited_cents = 0 WHERE booking_id IN {CANCELLED}"],
    ),
    ("bill numbers follow each other without a gap", ["UPDATE billing_bill SET number = 9 WHERE number = 2"]),
    ("bill numbers follow each other without a gap", ["UPDATE billing_billseries SET last_number = 4"]),
    (
        "credit note numbers follow each other without a gap",
        ["UPDATE billing_creditnote SET number = 9 WHERE number = 1"],
    ),
    ("refunds add up to what the payment says", ["DELETE FROM billing_refund"]),
    ("a bill is credited what its credit notes say", ["DELETE FROM billing_creditnote"]),
    (
        "what is owed for a bill is what the ledger says",
        [f"UPDATE billing_bill SET received_cents = received_cents - 1 WHERE id = {CASH_BILL}"],
    ),
    (
        "what is on hand of a payment is what the ledger says",
        [f"UPDATE billing_payment SET allocated_cents = allocated_cents - 1 WHERE id = {ONLINE}"],
    ),
    ("what was given back at the counter adds up", ["DELETE FROM billing_counterrefund"]),
    (
        "what is paid for a bill was charged or taken",
        ["UPDATE billing_counterpayment SET amount_cents = amount_cents + 1"],
    ),
]


def test_damage_is_found(books):
    """One world for all, each damage in a savepoint of its own."""
    missed = []
    for name, statements in DAMAGES:
        with transaction.atomic():
            run(*statements)
            if name not in broken():
                missed.append((name, statements))
            transaction.set_rollback(True)
    assert missed == []
    assert broken() == set()


def test_every_check_of_the_books_is_tried():
    assert set(book_checks.CHECKS) <= {name for name, _ in DAMAGES}
    assert set(book_checks.CHECKS) <= set(checks.CHECKS)
    assert {name for name, _ in DAMAGES} <= set(OURS)


def test_payments_of_the_books_are_what_they_seem(books):
    assert sorted(Payment.objects.values_list("status", flat=True)) == ["paid", "refunded"]
