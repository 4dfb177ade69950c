"""That the ledger says what became of the money, and nothing else (`manage.py check_consistency`)."""

from scheduling.consistency import register

# What each row must have posted, as (key, account, cents). Prepaid sessions become revenue when they are delivered: for
# what a bill says the two are one.
EXPECTED = """
    SELECT 'bill:' || id AS key, 'receivable' AS account, total_cents::bigint AS cents FROM billing_bill
    UNION ALL SELECT 'bill:' || id, 'income', gst_cents::bigint - total_cents FROM billing_bill
    UNION ALL SELECT 'bill:' || id, 'gst', -gst_cents::bigint FROM billing_bill
    UNION ALL SELECT 'credit_note:' || id, 'receivable', -amount_cents::bigint FROM billing_creditnote
    UNION ALL SELECT 'credit_note:' || id, 'income', amount_cents::bigint - gst_cents FROM billing_creditnote
    UNION ALL SELECT 'credit_note:' || id, 'gst', gst_cents::bigint FROM billing_creditnote
    UNION ALL SELECT 'capture:' || id, 'stripe', captured_cents::bigint FROM billing_payment
    UNION ALL SELECT 'capture:' || id, 'customer', -captured_cents::bigint FROM billing_payment
    UNION ALL SELECT 'refund:' || id, 'stripe', -amount_cents::bigint FROM billing_refund
        WHERE status IN ('pending', 'succeeded') AND reason <> 'dispute'
    UNION ALL SELECT 'refund:' || id, 'customer', amount_cents::bigint FROM billing_refund
        WHERE status IN ('pending', 'succeeded') AND reason <> 'dispute'
    UNION ALL SELECT 'counter:' || id, method, amount_cents::bigint FROM billing_counterpayment
    UNION ALL SELECT 'counter:' || id, 'receivable', -amount_cents::bigint FROM billing_counterpayment
    UNION ALL SELECT 'counter_refund:' || r.id, c.method, -r.amount_cents::bigint
        FROM billing_counterrefund r JOIN billing_counterpayment c ON c.id = r.counter_payment_id
    UNION ALL SELECT 'counter_refund:' || id, 'receivable', amount_cents::bigint FROM billing_counterrefund"""

# A refund that failed after the provider had promised it is posted and posted back: see the next check.
POSTED = """
    SELECT p.key, CASE WHEN e.account IN ('revenue', 'deferred') THEN 'income' ELSE e.account END AS account,
        sum(e.amount_cents) AS cents
    FROM billing_ledgerposting p LEFT JOIN billing_ledgerentry e ON e.posting_id = p.id
    WHERE p.kind IN ('bill', 'credit_note', 'capture', 'refund', 'counter', 'counter_refund')
        AND NOT (p.kind = 'refund' AND EXISTS (
            SELECT FROM billing_refund r WHERE r.status = 'failed' AND 'refund:' || r.id = p.key))
    GROUP BY 1, 2"""

CHECKS = {
    "what moved is in the ledger, once and as it was": """
        SELECT DISTINCT 'posting ' || coalesce(x.key, a.key) FROM
            (SELECT key, account, cents FROM (EXPECTED) moved WHERE cents <> 0) x
            FULL JOIN (POSTED) a ON a.key = x.key AND a.account = x.account
        WHERE x.cents IS DISTINCT FROM a.cents""".replace("EXPECTED", EXPECTED).replace("POSTED", POSTED),
    "what is at the provider is what was charged and not refunded": """
        SELECT 'payment ' || p.id FROM billing_payment p
        LEFT JOIN (SELECT e.payment_id, sum(e.amount_cents) AS cents FROM billing_ledgerentry e
            JOIN billing_ledgerposting s ON s.id = e.posting_id
            WHERE e.account = 'stripe' AND s.kind <> 'dispute' GROUP BY 1) l ON l.payment_id = p.id
        LEFT JOIN (SELECT payment_id, sum(amount_cents) AS cents FROM billing_refund
            WHERE status IN ('pending', 'succeeded') AND reason <> 'dispute' GROUP BY 1) r ON r.payment_id = p.id
        WHERE coalesce(l.cents, 0) <> p.captured_cents::bigint - coalesce(r.cents, 0)""",
    "the key of a posting says its kind": """
        SELECT 'posting ' || key FROM billing_ledgerposting WHERE split_part(key, ':', 1) <> kind""",
    "what is applied or taken off is of one payment and one bill": """
        SELECT 'posting ' || p.key FROM billing_ledgerposting p JOIN billing_ledgerentry e ON e.posting_id = p.id
        WHERE p.kind IN ('allocation', 'release') AND (e.payment_id::text, e.bill_id::text)
            IS DISTINCT FROM (split_part(p.key, ':', 2), split_part(p.key, ':', 3))""",
    "a posting is of its bill's clinic and legal entity": """
        SELECT 'posting ' || p.key FROM billing_ledgerposting p JOIN billing_ledgerentry e ON e.posting_id = p.id
        JOIN billing_bill i ON i.id = e.bill_id
        WHERE p.kind IN ('bill', 'credit_note', 'counter', 'counter_refund', 'allocation', 'release')
            AND (p.clinic_id, p.legal_entity_id) <> (i.clinic_id, i.legal_entity_id)""",
    "an entry is of its bill's visit": """
        SELECT 'entry ' || e.id FROM billing_ledgerentry e JOIN billing_bill i ON i.id = e.bill_id
        LEFT JOIN scheduling_booking b ON b.id = i.booking_id
        WHERE i.booking_id IS NOT NULL AND (e.booking_id, e.session_id) IS DISTINCT FROM (b.id, b.session_id)""",
    "the accounts add up to nothing": """
        SELECT 'legal entity ' || p.legal_entity_id FROM billing_ledgerentry e
        JOIN billing_ledgerposting p ON p.id = e.posting_id
        GROUP BY p.legal_entity_id HAVING sum(e.amount_cents) <> 0""",
    "money of a cashier has a name": """
        SELECT 'posting ' || key FROM billing_ledgerposting
        WHERE kind IN ('counter', 'counter_refund') AND by_id IS NULL""",
    "a booking has one bill": """
        SELECT 'booking ' || booking_id FROM billing_bill WHERE booking_id IS NOT NULL
        GROUP BY booking_id HAVING count(*) > 1""",
    "every booking that was made has its bill": """
        SELECT 'booking ' || b.reference FROM clinic_booking_event e
        JOIN scheduling_booking b ON b.id = (e.data ->> 'booking')::bigint
        LEFT JOIN billing_bill i ON i.booking_id = b.id
        WHERE e.topic = 'appointment.booked' AND e.created_at < now() - interval '10 minutes' AND i.id IS NULL
            -- What was booked before there was a ledger is history.
            AND e.created_at >= (SELECT min(posted_at) FROM billing_ledgerposting)""",
    "the tax of a bill is that of its rate": """
        SELECT 'bill ' || id FROM billing_bill WHERE gst_cents <> (2 * total_cents::bigint * gst_basis_points
            + 10000 + gst_basis_points) / (2 * (10000 + gst_basis_points))""",
    "the tax of credit notes is what that of their bill fell by": """
        SELECT 'bill ' || i.id FROM billing_bill i JOIN billing_creditnote c ON c.bill_id = i.id
        GROUP BY i.id HAVING sum(c.gst_cents) <> i.gst_cents - (2 * (i.total_cents::bigint - i.credited_cents)
            * i.gst_basis_points + 10000 + i.gst_basis_points) / (2 * (10000 + i.gst_basis_points))""",
    "a credit note is of its bill's legal entity": """
        SELECT 'credit note ' || c.id FROM billing_creditnote c JOIN billing_bill i ON i.id = c.bill_id
        WHERE c.legal_entity_id <> i.legal_entity_id""",
    "what was charged and is for nothing goes back": """
        SELECT 'payment ' || p.id FROM billing_payment p
        WHERE p.status IN ('refunding', 'refunded') AND p.captured_cents > p.allocated_cents + p.refunded_cents
            AND NOT p.is_disputed AND p.updated_at < now() - interval '10 minutes'""",
    "closes of a cashier's day follow each other": """
        SELECT 'clinic ' || clinic_id || ' ' || date FROM billing_cashclose
        GROUP BY clinic_id, date, cashier_id HAVING max(number) <> count(*)""",
    "a close has a count of each way of paying": """
        SELECT 'close ' || c.id FROM billing_cashclose c LEFT JOIN billing_cashcount n ON n.close_id = c.id
        GROUP BY c.id HAVING count(n.id) <> 3""",
}

register(CHECKS)
