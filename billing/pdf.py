"""A document as PDF: tagged (PDF/UA-1), with its fonts, and the same bytes whenever it is made of the same data."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import typst
from django.utils.translation import gettext as _

from billing.documents import Amount, Document

TEMPLATE = Path(__file__).with_name("document.typ")
# Names may be written in any of these; the first that knows a letter is used.
FONTS = ("fontpkg_noto_sans", "fontpkg_noto_sans_tamil", "pylopdf_fonts_zh_cn")
CONTENT_TYPE = "application/pdf"


def pdf_of(document: Document) -> bytes:
    """A letter that no font has is a box, and such a file is not called accessible: the page shows it as it is."""
    asked = {"document": json.dumps(_words(document))}
    try:
        return _compile(asked, "ua-1")
    except typst.TypstError:
        return _compile(asked, None)


def _compile(asked: dict[str, str], standard: Literal["ua-1"] | None) -> bytes:
    return typst.compile(
        TEMPLATE,
        root=TEMPLATE.parent,
        format="pdf",
        font_paths=_fonts(),
        sys_inputs=asked,
        pdf_standards=standard,
    )


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(
        include_system_fonts=False,
        include_embedded_fonts=False,
        font_paths=[Path(str(files(package))) for package in FONTS],
    )


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
