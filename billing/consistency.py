"""What must agree between visits, bills and money (`manage.py check_consistency`)."""

from scheduling.consistency import register

CHECKS = {
    "a paid payment has its booking": """
        SELECT 'payment ' || p.id FROM billing_payment p LEFT JOIN scheduling_hold h
            ON h.id = p.hold_id OR h.lead_id = p.hold_id
        LEFT JOIN scheduling_booking b ON b.hold_id = h.id
        WHERE p.status = 'paid' GROUP BY p.id HAVING bool_or(b.id IS NULL) OR (NOT p.is_disputed
            AND coalesce(sum(b.price_cents) FILTER (WHERE b.status = 'cancelled'
                AND b.cancelled_at < now() - interval '10 minutes'), 0) > p.refunded_cents)""",
    "a payment is for its hold's booking, amount and patient": """
        SELECT 'payment ' || p.id FROM billing_payment p JOIN scheduling_booking b ON b.id = p.booking_id
        JOIN scheduling_hold h ON h.id = p.hold_id OR h.lead_id = p.hold_id
        GROUP BY p.id, b.id HAVING (b.hold_id, b.patient_id, p.amount_cents::bigint)
            IS DISTINCT FROM (p.hold_id, p.patient_id, sum(h.price_cents))""",
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
    "bill numbers follow each other without a gap": """
        SELECT 'series ' || s.legal_entity_id FROM billing_billseries s
        LEFT JOIN billing_bill i ON i.legal_entity_id = s.legal_entity_id
        GROUP BY s.legal_entity_id, s.last_number
        HAVING count(i.id) <> s.last_number OR coalesce(max(i.number), 0) <> s.last_number""",
    "refunds add up to what the payment says": """
        SELECT 'payment ' || p.id FROM billing_payment p LEFT JOIN billing_refund r
            ON r.payment_id = p.id AND r.status <> 'failed'
        GROUP BY p.id HAVING coalesce(sum(r.amount_cents), 0) <> p.refunded_cents""",
    "what is paid at the counter is the bill, and is paid once": """
        SELECT 'bill ' || i.id FROM billing_counterpayment c JOIN billing_bill i ON i.id = c.bill_id
        JOIN scheduling_booking b ON b.id = i.booking_id LEFT JOIN billing_payment p ON p.booking_id = b.id
        WHERE c.amount_cents <> i.total_cents OR (c.returned_at IS NULL AND i.status <> 'paid')
            OR (c.returned_at IS NOT NULL AND i.status <> 'refunded')
            OR (p.captured_cents > p.refunded_cents AND p.updated_at < now() - interval '10 minutes')""",
    "a paid bill was paid, a refunded one refunded": """
        SELECT 'bill ' || i.id FROM billing_bill i JOIN scheduling_booking b ON b.id = i.booking_id
        LEFT JOIN scheduling_hold h ON h.id = b.hold_id
        LEFT JOIN billing_payment p ON p.hold_id = coalesce(h.lead_id, h.id)
        WHERE p.updated_at < now() - interval '10 minutes'
            AND ((i.status = 'paid' AND i.total_cents > 0 AND p.captured_cents = 0
                AND NOT EXISTS (SELECT FROM billing_counterpayment c WHERE c.bill_id = i.id))
            OR (i.status = 'refunded' AND p.status <> 'refunded'
                AND NOT EXISTS (SELECT FROM billing_counterpayment c WHERE c.bill_id = i.id)
                AND (b.status <> 'cancelled' OR p.refunded_cents < i.total_cents))
            OR (i.status = 'issued' AND p.status = 'paid'))""",
}

register(CHECKS)
