"""Identity numbers as they are written and read: normal form, check letter, masks. No database."""

import re
import unicodedata
from dataclasses import dataclass

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

SINGAPORE = "SG"
BULLETS = "•••••"
WEIGHTS = (2, 7, 6, 5, 4, 3, 2)
# By the first letter: what is added to the sum, and the letters of its remainders by eleven.
LETTERS = {
    "S": (0, "JZIHGFEDCBA"),
    "T": (4, "JZIHGFEDCBA"),
    "F": (0, "XWUTRQPNMLK"),
    "G": (4, "XWUTRQPNMLK"),
    "M": (3, "XWUTRQPNJLK"),
}
is_national = re.compile(r"[STFGM]\d{7}[A-Z]", re.ASCII).fullmatch
is_document = re.compile(r"[A-Z0-9]{5,20}", re.ASCII).fullmatch
is_country = re.compile(r"[A-Z]{2}", re.ASCII).fullmatch
NATIONAL_IN_TEXT = re.compile(r"(?<![A-Za-z0-9])[STFGMstfgm]\d{7}[A-Za-z](?![A-Za-z0-9])", re.ASCII)


class Kind(models.TextChoices):
    NRIC = "nric", _("NRIC")
    FIN = "fin", _("FIN")
    PASSPORT = "passport", _("Passport")
    OTHER = "other", _("Other document")


NATIONAL = (Kind.NRIC, Kind.FIN)


class BadNumber(ValueError):
    """`sentence` is for the person; it does not repeat the number."""

    def __init__(self, sentence: str | Promise) -> None:
        super().__init__()
        self.sentence = sentence


@dataclass(frozen=True, repr=False)
class Identity:
    """One number in its normal form. Never shown by accident: it has no repr of its own."""

    kind: Kind
    country: str
    value: str

    @property
    def ending(self) -> str:
        return ending(self.kind, self.value)

    @property
    def indexed(self) -> str:
        """What stands for the number in the blind index: NRIC and FIN share one space of numbers."""
        space = "sg" if self.kind in NATIONAL else f"{self.kind}|{self.country}"
        return f"{space}|{self.value}"


def normal(text: str) -> str:
    """Without what people put between; full-width letters and digits as plain ones."""
    return re.sub(r"[\s\-./]", "", unicodedata.normalize("NFKC", text)).upper()


def parse(kind: str, text: str, country: str = "") -> Identity:
    """Raises BadNumber. NRIC or FIN is what the number says, whichever of both was chosen."""
    value, country = normal(text), country.strip().upper()
    if kind in NATIONAL:
        if not is_national(value):
            raise BadNumber(_("An NRIC or FIN has a letter, seven digits and a letter."))
        if check_letter(value) != value[-1]:
            raise BadNumber(_("This number cannot be right: please compare it with the document."))
        return Identity(Kind.NRIC if value[0] in "ST" else Kind.FIN, SINGAPORE, value)
    if not is_document(value):
        raise BadNumber(_("The number of a document has 5 to 20 letters and digits."))
    if is_national(value) and check_letter(value) == value[-1]:
        raise BadNumber(_("This is an NRIC or FIN: please choose it as the kind of document."))
    if not is_country(country):
        raise BadNumber(_("Please enter the country that issued it, in two letters such as MY."))
    return Identity(Kind(kind), country, value)


def whole_number(text: str) -> Identity | None:
    """An NRIC or FIN and nothing else."""
    try:
        return parse(Kind.NRIC, text)
    except BadNumber:
        return None


def check_letter(value: str) -> str:
    """Of S, T, F, G and M numbers: the weighted sum of the digits, by eleven."""
    added, letters = LETTERS[value[0]]
    total = added + sum(int(digit) * weight for digit, weight in zip(value[1:8], WEIGHTS, strict=True))
    return letters[total % 11]


def ending(kind: str, value: str) -> str:
    """At most the last three digits and the letter (Advisory Guidelines on NRIC, 2018)."""
    return value[-4:] if kind in NATIONAL else value[-3:]


def masked(end: str) -> str:
    return f"{BULLETS}{end}"
