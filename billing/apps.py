from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    audit_keeps = {
        "billing_bill": [
            "status",
            "total_cents",
            "credited_cents",
            "received_cents",
            "returned_cents",
            "due_on",
        ],
        "billing_contract": ["status", "signed_on"],
        "billing_gstrate": ["*"],
        "billing_payment": ["status", "amount_cents", "captured_cents", "refunded_cents", "is_disputed"],
    }
    # Counters, keys and the ledger, whose rows cannot be changed.
    audit_unwatched = {
        f"billing_{own}"
        for own in (
            "answeredrequest",
            "billseries",
            "contractpattern",
            "contractpattern_clinics",
            "contractpattern_practitioners",
            "contractseries",
            "ledgerentry",
            "ledgerposting",
            "providerevent",
        )
    }

    def ready(self) -> None:
        # They register tasks, subscribers, topics, system checks, metrics, consistency checks and a list of work.
        from billing import (  # noqa: F401
            book_checks,
            checks,
            consistency,
            desk_ways,
            erasure,  # noqa: F401  (what it takes away)
            jobs,
            metrics,
            privacy_parts,
            receipts,
            topics,
            work,
        )
