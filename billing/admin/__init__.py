"""Admin of money and contracts."""

from billing.admin import books, contracts, payments

__all__ = ["books", "contracts", "payments"]
