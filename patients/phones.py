"""Phone numbers as people write them, kept as E.164."""

import phonenumbers

REGION = "SG"


def e164(text: str) -> str | None:
    """9123 4567 -> +6591234567. None where it is no number."""
    try:
        number = phonenumbers.parse(text, REGION)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
