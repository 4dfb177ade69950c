"""Why a payment was refused, in words that help the patient on."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# What the patient can do about a refusal. Codes that would help a thief (lost, stolen) share the default.
REFUSALS: dict[str, Promise] = {
    "insufficient_funds": _("The card does not have enough funds. Try another card, or pay with PayNow."),
    "expired_card": _("The card has expired. Try another card."),
    "incorrect_cvc": _("The security code is not right. Check it and try again."),
    "invalid_cvc": _("The security code is not right. Check it and try again."),
    "incorrect_number": _("The card number is not right. Check it and try again."),
    "invalid_expiry_month": _("The expiry date is not right. Check it and try again."),
    "invalid_expiry_year": _("The expiry date is not right. Check it and try again."),
    "card_not_supported": _("The card does not support this kind of payment. Try another card."),
    "currency_not_supported": _("The card does not support payments in this currency. Try another card."),
    "card_velocity_exceeded": _("The card has reached its limit. Try another card, or pay with PayNow."),
    "withdrawal_count_limit_exceeded": _(
        "The card has reached its limit. Try another card, or pay with PayNow."
    ),
    "authentication_required": _(
        "The bank asks for your confirmation. Try again and follow your bank’s steps."
    ),
    "payment_intent_authentication_failure": _(
        "Your bank could not confirm that it is you. Try again, or use another card."
    ),
    "payment_intent_payment_attempt_failed": _("The payment did not go through. Try again, or use a card."),
    "processing_error": _("The card could not be processed just now. Try again in a moment."),
    "test_mode_live_card": _("This is a test system and takes test cards only."),
}
REFUSED = _("Your bank declined the card. Try another card, or pay with PayNow.")


def refusal_sentence(code: str) -> str:
    return str(REFUSALS.get(code, REFUSED))
