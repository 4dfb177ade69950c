"""How long what is kept, and what becomes of it then (docs/retention.md)."""

from clinic_booking.retention.rules import rules_in_force

__all__ = ["rules_in_force"]
