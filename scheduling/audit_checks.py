"""What `check_consistency` asks of the audit trail; `verify_audit` proves each row."""

from scheduling.consistency import register

register(
    {
        "the triggers of the audit trail are on": """
            SELECT 'table ' || c.relname || ' ' || t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
            WHERE t.tgname IN ('audit_change', 'audit_append_only', 'change_append_only', 'seal_append_only')
                AND t.tgenabled NOT IN ('O', 'A')""",
        "each seal of the audit trail follows the one before": """
            SELECT 'seal ' || number FROM (
                SELECT number, previous, lag(number) OVER w AS before, lag(mac) OVER w AS mac
                FROM clinic_booking_auditseal WINDOW w AS (ORDER BY number)) s
            WHERE (before IS NULL AND number <> 1) OR number <> before + 1 OR previous <> mac""",
        "each day of the audit trail was closed": """
            SELECT 'day ' || day::date FROM (SELECT min(day) AS first, max(day) AS last FROM clinic_booking_auditseal) s,
                generate_series(s.first, s.last - 1, interval '1 day') AS day
            WHERE NOT EXISTS (SELECT FROM clinic_booking_auditseal c WHERE c.kind = 'closing' AND c.day = day::date)""",
        "each look is in the table of its month": """
            SELECT 'audit event ' || id FROM clinic_booking_auditevent_rest""",
    }
)
