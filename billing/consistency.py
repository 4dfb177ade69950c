"""What must agree between visits, bills and money (`manage.py check_consistency`)."""

from scheduling.consistency import register

# Cents net of GST, as `deferred.worth_of` works them out: by the place in the contract, at the rate of its first bill.
WORTH_OF_OPEN = """SELECT coalesce(sum(s.net - s.before), 0) FROM (
    SELECT gross - div(2 * gross * rate + 10000 + rate, 2 * (10000 + rate)) AS net,
        (gross - price) - div(2 * (gross - price) * rate + 10000 + rate, 2 * (10000 + rate)) AS before, status
    FROM (SELECT x.status, l.price_cents AS price,
            sum(l.price_cents) OVER (ORDER BY l.position, x.number) AS gross,
            (SELECT f.gst_basis_points FROM billing_bill f WHERE f.contract_id = c.id ORDER BY f.number LIMIT 1) AS rate
        FROM billing_contractline l JOIN scheduling_sessionticket x ON x.request_id = l.request_id
        WHERE l.contract_id = c.id) t) s
    WHERE s.status NOT IN ('completed', 'forfeited') AND (s.status <> 'cancelled' OR c.status <> 'cancelled')"""

CHECKS = {
    "a paid payment has its booking": """
        SELECT 'payment ' || p.id FROM billing_payment p LEFT JOIN scheduling_hold h
            ON h.id = p.hold_id OR h.lead_id = p.hold_id
        LEFT JOIN scheduling_booking b ON b.hold_id = h.id
        WHERE p.status = 'paid' AND p.bill_id IS NULL GROUP BY p.id HAVING bool_or(b.id IS NULL)""",
    "what is charged is for a bill or goes back": """
        SELECT 'payment ' || id FROM billing_payment
        WHERE status = 'paid' AND captured_cents > allocated_cents + refunded_cents
            AND updated_at < now() - interval '10 minutes'""",
    "a payment is for its hold's booking, amount and patient": """
        SELECT 'payment ' || p.id FROM billing_payment p JOIN scheduling_booking b ON b.id = p.booking_id
        JOIN scheduling_hold h ON h.id = p.hold_id OR h.lead_id = p.hold_id
        GROUP BY p.id, b.id HAVING (b.hold_id, b.patient_id, p.amount_cents::bigint)
            IS DISTINCT FROM (p.hold_id, p.patient_id, sum(h.due_cents))""",
    "a payment by link is for its bill's patient": """
        SELECT 'payment ' || p.id FROM billing_payment p JOIN billing_bill i ON i.id = p.bill_id
        WHERE p.patient_id <> i.patient_id""",
    "a payment that charged has ended or is being ended": """
        SELECT 'payment ' || id FROM billing_payment
        WHERE status IN ('capturing', 'canceling') AND updated_at < now() - interval '10 minutes'""",
    "every booking that was held has its bill": """
        SELECT 'booking ' || b.reference FROM scheduling_booking b LEFT JOIN billing_bill i ON i.booking_id = b.id
        WHERE i.id IS NULL AND b.hold_id IS NOT NULL AND b.created_at < now() - interval '10 minutes'""",
    "a bill is the sum of its lines": """
        SELECT 'bill ' || i.id FROM billing_bill i LEFT JOIN billing_billline l ON l.bill_id = i.id
        GROUP BY i.id HAVING coalesce(sum(l.amount_cents), 0) <> i.total_cents""",
    "a bill is for its booking's patient and price": """
        SELECT 'bill ' || i.id FROM billing_bill i JOIN scheduling_booking b ON b.id = i.booking_id
        WHERE (i.patient_id, i.total_cents) <> (b.patient_id, b.price_cents)""",
    "a bill is for what its visit costs": """
        SELECT 'bill ' || i.id FROM billing_bill i JOIN scheduling_booking b ON b.id = i.booking_id
        WHERE (b.status = 'cancelled' AND b.cancelled_at < now() - interval '10 minutes'
                OR b.status = 'noshow' AND b.fee_cents IS NOT NULL AND b.starts_at < now() - interval '2 days')
            AND i.total_cents - i.credited_cents > coalesce(b.fee_cents, 0)""",
    "bill numbers follow each other without a gap": """
        SELECT 'series ' || s.legal_entity_id FROM billing_billseries s
        LEFT JOIN billing_bill i ON i.legal_entity_id = s.legal_entity_id
        GROUP BY s.legal_entity_id, s.last_number
        HAVING count(i.id) <> s.last_number OR coalesce(max(i.number), 0) <> s.last_number""",
    "refunds add up to what the payment says": """
        SELECT 'payment ' || p.id FROM billing_payment p LEFT JOIN billing_refund r
            ON r.payment_id = p.id AND r.status <> 'failed'
        GROUP BY p.id HAVING coalesce(sum(r.amount_cents), 0) <> p.refunded_cents""",
    "credit note numbers follow each other without a gap": """
        SELECT 'series ' || s.legal_entity_id FROM billing_billseries s
        LEFT JOIN billing_creditnote c ON c.legal_entity_id = s.legal_entity_id
        GROUP BY s.legal_entity_id, s.last_credit_number
        HAVING count(c.id) <> s.last_credit_number OR coalesce(max(c.number), 0) <> s.last_credit_number""",
    "a bill is credited what its credit notes say": """
        SELECT 'bill ' || i.id FROM billing_bill i LEFT JOIN billing_creditnote c ON c.bill_id = i.id
        GROUP BY i.id HAVING coalesce(sum(c.amount_cents), 0) <> i.credited_cents
            OR coalesce(sum(c.gst_cents), 0) > i.gst_cents""",
    "every posting balances": """
        SELECT 'posting ' || p.key FROM billing_ledgerposting p LEFT JOIN billing_ledgerentry e ON e.posting_id = p.id
        GROUP BY p.id HAVING coalesce(sum(e.amount_cents), 1) <> 0""",
    "what is owed for a bill is what the ledger says": """
        SELECT 'bill ' || i.id FROM billing_bill i
        LEFT JOIN billing_ledgerentry e ON e.bill_id = i.id AND e.account = 'receivable'
        GROUP BY i.id HAVING coalesce(sum(e.amount_cents), 0)
            <> i.total_cents::bigint - i.credited_cents - i.received_cents + i.returned_cents""",
    "what is on hand of a payment is what the ledger says": """
        SELECT 'payment ' || p.id FROM billing_payment p LEFT JOIN billing_ledgerentry e
            ON e.payment_id = p.id AND e.account = 'customer'
        LEFT JOIN (SELECT payment_id, sum(amount_cents) AS cents FROM billing_refund WHERE status = 'submitting'
            GROUP BY 1) r ON r.payment_id = p.id
        GROUP BY p.id, r.cents HAVING -coalesce(sum(e.amount_cents), 0)
            <> p.captured_cents::bigint - p.refunded_cents - p.allocated_cents + coalesce(r.cents, 0)""",
    "what a lost dispute took is in the ledger": """
        SELECT 'payment ' || coalesce(d.payment_id, e.payment_id) FROM
            (SELECT payment_id, sum(amount_cents) AS cents FROM billing_dispute WHERE status = 'lost' GROUP BY 1) d
        FULL JOIN (SELECT payment_id, -sum(amount_cents) AS cents FROM billing_ledgerentry l
            JOIN billing_ledgerposting p ON p.id = l.posting_id
            WHERE p.kind = 'dispute' AND account = 'stripe' GROUP BY 1) e ON e.payment_id = d.payment_id
        WHERE d.cents IS DISTINCT FROM e.cents""",
    "what staff gave back at the counter was handed out": """
        SELECT 'bill ' || d.bill_id FROM billing_deskrefund d GROUP BY d.bill_id
        HAVING sum(d.counter_cents) > (SELECT coalesce(sum(r.amount_cents), 0) FROM billing_counterrefund r
            JOIN billing_counterpayment c ON c.id = r.counter_payment_id WHERE c.bill_id = d.bill_id)""",
    "what was given back at the counter adds up": """
        SELECT 'counter payment ' || c.id FROM billing_counterpayment c
        LEFT JOIN billing_counterrefund r ON r.counter_payment_id = c.id
        GROUP BY c.id HAVING coalesce(sum(r.amount_cents), 0) <> c.returned_cents""",
    "what is paid for a bill was charged or taken": """
        SELECT 'bill ' || i.id FROM billing_bill i
        LEFT JOIN (SELECT bill_id, sum(amount_cents - returned_cents) AS cents FROM billing_counterpayment GROUP BY 1) c
            ON c.bill_id = i.id
        LEFT JOIN (SELECT bill_id, sum(amount_cents) AS cents FROM billing_ledgerentry WHERE account = 'customer'
            GROUP BY 1) e ON e.bill_id = i.id
        WHERE i.received_cents - i.returned_cents <> coalesce(c.cents, 0) + coalesce(e.cents, 0)""",
    "the parts of a contract are its price": """
        SELECT 'contract ' || c.reference FROM billing_contract c
        JOIN (SELECT contract_id, sum(quantity::bigint * price_cents) AS cents FROM billing_contractline GROUP BY 1) l
            ON l.contract_id = c.id
        JOIN (SELECT contract_id, sum(amount_cents) AS cents FROM billing_contractinstalment GROUP BY 1) i
            ON i.contract_id = c.id
        WHERE c.status IN ('confirmed', 'completed') AND l.cents <> i.cents""",
    "a part of a contract has its own bill": """
        SELECT 'contract ' || c.reference FROM billing_bill b JOIN billing_contract c ON c.id = b.contract_id
        LEFT JOIN billing_contractinstalment i ON i.bill_id = b.id
        WHERE (i.contract_id, i.amount_cents::bigint) IS DISTINCT FROM (b.contract_id, b.total_cents::bigint)
            OR b.patient_id <> c.patient_id""",
    "what is due of a contract is billed": """
        SELECT 'contract ' || c.reference FROM billing_contractinstalment i
        JOIN billing_contract c ON c.id = i.contract_id JOIN scheduling_clinic k ON k.id = c.clinic_id
        WHERE i.bill_id IS NULL AND c.status IN ('confirmed', 'completed')
            AND i.due_on < (now() AT TIME ZONE k.time_zone)::date""",
    "what is deferred of a contract is for sessions to come": f"""
        SELECT 'contract ' || c.reference FROM billing_contract c
        JOIN (SELECT b.contract_id, -sum(e.amount_cents) AS cents FROM billing_ledgerentry e
            JOIN billing_bill b ON b.id = e.bill_id WHERE e.account = 'deferred' AND b.contract_id IS NOT NULL
            GROUP BY 1) d ON d.contract_id = c.id
        WHERE NOT EXISTS (SELECT FROM billing_contractinstalment i WHERE i.contract_id = c.id AND i.bill_id IS NULL)
            AND d.cents <> ({WORTH_OF_OPEN}) AND NOT EXISTS (
                -- Revenue follows the visit a moment later.
                SELECT FROM scheduling_bookingrequest r JOIN scheduling_sessionticket x ON x.request_id = r.id
                JOIN scheduling_booking b ON b.session_id = x.id
                JOIN clinic_booking_event v ON v.subject = 'booking:' || b.id
                WHERE r.contract = c.reference AND v.created_at > now() - interval '10 minutes')""",  # noqa: S608
}

register(CHECKS)
