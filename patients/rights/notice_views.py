"""The privacy notice: for everybody, in each language it is published in, in its older versions too."""

from collections.abc import Iterator
from typing import NamedTuple

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from clinic_booking.retention.rules import rules_in_force
from patients.rights import notices
from patients.rights.models import PrivacyNotice

NAMES = dict(settings.MESSAGE_LANGUAGES)


class Section(NamedTuple):
    heading: str
    points: list[str]
    words: list[str]


@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    asked = request.GET.get("lang", "")
    notice = notices.current(asked if asked in NAMES else notices.FALLBACK)
    if version := request.GET.get("version", ""):
        notice = _older(version, notice.language)
    context = {
        "notice": notice,
        "sections": list(sections(notice.text)),
        "languages": [(code, NAMES[code]) for code in NAMES if code in notices.languages(notice.version)],
        "retention": retention_rows(),
    }
    return render(request, "patients/privacy.html", context)


def _older(version: str, language: str) -> PrivacyNotice:
    found = list(PrivacyNotice.objects.filter(version=version[:20]))
    for notice in sorted(found, key=lambda n: (n.language != language, n.language != notices.FALLBACK)):
        return notice
    raise Http404


def sections(text: str) -> Iterator[Section]:
    part = Section("", [], [])
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("# "):
            if part != Section("", [], []):
                yield part
            part = Section(line[2:], [], [])
        elif line.startswith("- "):
            part.points.append(line[2:])
        else:
            part.words.append(line)
    yield part


def retention_rows() -> list[tuple[str, str]]:
    """What is kept how long, by the rules that are in force."""
    return [(rule.get_data_class_display(), rule.period) for rule in rules_in_force()]
