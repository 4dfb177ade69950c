"""A document as PDF."""

from pathlib import Path

from django.utils.translation import gettext as _

from billing.documents import Amount, Document
from clinic_booking.pdf import CONTENT_TYPE, pdf

__all__ = ["CONTENT_TYPE", "pdf_of"]
TEMPLATE = Path(__file__).with_name("document.typ")


def pdf_of(document: Document) -> bytes:
    return pdf(TEMPLATE, _words(document))


def _words(document: Document) -> dict[str, object]:
    lang, _dash, region = document.language.partition("-")
    return {
        "title": document.title,
        "serial": document.serial,
        "lang": lang,
        "region": region if len(region) == 2 else "SG",
        "issuer": document.issuer,
        "issuer_lines": document.issuer_lines,
        "headings": [_("Description"), _("Amount")],
        "facts": document.facts,
        "lines": [_amount(each) for each in document.lines],
        "sums": [_amount(each) for each in document.sums],
        "statements": document.statements,
    }


def _amount(amount: Amount) -> dict[str, object]:
    return {"label": amount.label, "text": amount.text, "strong": amount.is_strong}
