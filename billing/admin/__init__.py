"""Admin of money and contracts."""

from billing.admin import contracts, payments

__all__ = ["contracts", "payments"]
