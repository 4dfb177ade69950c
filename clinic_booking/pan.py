"""Card numbers (PAN), which must be nowhere here: found, masked, refused (payments.md §5)."""

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from urllib.parse import unquote_plus

# 13 to 19 digits, by single spaces or dashes at most, not part of a longer word. "+49…" is a phone number.
DIGITS = re.compile(r"(?<![\w.+])\d(?:[ -]?\d){12,18}(?![\w.])", re.ASCII)
# Issuers' prefixes with their lengths: Visa, Mastercard, Amex, Diners, Discover, JCB, UnionPay.
ISSUERS = re.compile(
    r"4(\d{12}|\d{15}|\d{18})|(5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(0[0-5]\d{11}|[689]\d{12})"
    r"|6(011\d{12,15}|5\d{14,17}|4[4-9]\d{13,16})|35\d{14}|62\d{14,17}"
)
# One in 30,000 random ones holds digits that look like a card number.
UUIDS = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE | re.ASCII)
BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
BYTEA = re.compile(r"\\\\?x((?:[0-9a-f]{2}){13,})")  # as PostgreSQL writes it
LONGEST_INFLATED = 10_000_000  # bytes


def holds_card_number(text: str) -> bool:
    return next(_numbers(text), None) is not None


def mask(text: str) -> str:
    """The same text with each card number as its last four digits."""
    for found in list(_numbers(text)):
        text = text.replace(found, f"[card …{found[-4:]}]")
    return text


def hidden_in(text: str) -> str | None:
    """In which view of the text a card number is: "text", "url", "base64", "zlib", "hex"; None for none."""
    return next((name for name, view in _views(text) if holds_card_number(view)), None)


def _numbers(text: str) -> Iterator[str]:
    if sum(map(text.count, "0123456789")) < 13:
        return
    for found in DIGITS.findall(UUIDS.sub("#", text)):
        digits = found.replace(" ", "").replace("-", "")
        if ISSUERS.fullmatch(digits) and _is_luhn(digits):
            yield found


def _is_luhn(number: str) -> bool:
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _views(text: str) -> Iterator[tuple[str, str]]:
    yield "text", text
    if "%" in text or "+" in text:
        yield "url", unquote_plus(text)
    for found in BYTEA.findall(text):
        yield "hex", bytes.fromhex(found).decode("latin-1")
    for word in BASE64.findall(text):
        raw = _decoded(word)
        yield "base64", raw.decode("latin-1")
        yield "zlib", _inflated(raw).decode("latin-1")


def _decoded(word: str) -> bytes:
    """Django signs what it compressed as ".eJ…:…", without the padding."""
    plain = word.rstrip("=").replace("-", "+").replace("_", "/")
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    with_padding = plain + "=" * (-len(plain) % 4)
    try:
        return base64.b64decode(with_padding)
    except (binascii.Error, ValueError):
        return b""


def _inflated(raw: bytes) -> bytes:
    if raw[:1] != b"\x78":
        return b""
    try:
        return zlib.decompressobj().decompress(raw, LONGEST_INFLATED)
    except zlib.error:
        return b""
