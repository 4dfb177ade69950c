"""PDFs: tagged (PDF/UA-1), with their fonts, and the same bytes whenever they are made of the same words."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import typst

# Names may be written in any of these; the first that knows a letter is used.
FONTS = ("fontpkg_noto_sans", "fontpkg_noto_sans_tamil", "pylopdf_fonts_zh_cn")
CONTENT_TYPE = "application/pdf"


def pdf(template: Path, words: object) -> bytes:
    """A letter that no font has is a box, and such a file is not called accessible: the page shows it as it is."""
    asked = {"document": json.dumps(words)}
    try:
        return _compile(template, asked, "ua-1")
    except typst.TypstError:
        return _compile(template, asked, None)


def _compile(template: Path, asked: dict[str, str], standard: Literal["ua-1"] | None) -> bytes:
    return typst.compile(
        template,
        root=template.parent,
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
