"""Test cards. Only the name of an outcome leaves this module; numbers are forgotten where they are typed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    authenticate: bool = False
    code: str = ""
    decline_code: str = ""
    refund: str = "succeeded"


OUTCOMES = {
    "success": Outcome(),
    "declined": Outcome(code="card_declined", decline_code="generic_decline"),
    "insufficient_funds": Outcome(code="card_declined", decline_code="insufficient_funds"),
    "lost_card": Outcome(code="card_declined", decline_code="lost_card"),
    "stolen_card": Outcome(code="card_declined", decline_code="stolen_card"),
    "expired_card": Outcome(code="expired_card", decline_code="expired_card"),
    "incorrect_cvc": Outcome(code="incorrect_cvc", decline_code="incorrect_cvc"),
    "processing_error": Outcome(code="processing_error", decline_code="processing_error"),
    "test_mode_live_card": Outcome(code="card_declined", decline_code="test_mode_live_card"),
    "three_d_secure": Outcome(authenticate=True),
    "three_d_secure_insufficient_funds": Outcome(
        authenticate=True, code="card_declined", decline_code="insufficient_funds"
    ),
    "refund_pending": Outcome(refund="pending"),
    "refund_failed": Outcome(refund="failed"),
}

NUMBERS = {
    "4242424242424242": "success",
    "5555555555554444": "success",
    "378282246310005": "success",
    "4000000000000002": "declined",
    "4000000000009995": "insufficient_funds",
    "4000000000009987": "lost_card",
    "4000000000009979": "stolen_card",
    "4000000000000069": "expired_card",
    "4000000000000127": "incorrect_cvc",
    "4000000000000119": "processing_error",
    "4000002760003184": "three_d_secure",
    "4000008260003178": "three_d_secure_insufficient_funds",
    "4000000000007726": "refund_pending",
    "4000000000005126": "refund_failed",
}


def outcome_of(number: str) -> str:
    """The name of what a card does; as at Stripe, a card that is no test card is declined in test mode."""
    return NUMBERS.get("".join(number.split()), "test_mode_live_card")
