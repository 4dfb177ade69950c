"""The privacy notice that is valid now. Versions are only added; the first is shipped with the program."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q

from clinic_booking.models import ClockTimestamp
from patients.rights.models import PrivacyNotice

SHIPPED = "2026-11"
FOLDER = Path(__file__).with_name("shipped")
FALLBACK = "en"


def current(language: str = FALLBACK) -> PrivacyNotice:
    """In that language, or in English where it is not published in it."""
    valid = PrivacyNotice.objects.filter(valid_from__lte=ClockTimestamp()).order_by("-valid_from", "-pk")
    found = valid.filter(Q(language=language) | Q(language=FALLBACK))[:2]
    newest = [notice for notice in found if notice.version == found[0].version]
    for notice in sorted(newest, key=lambda n: n.language != language):
        return notice
    return next((n for n in shipped() if n.language == language), shipped()[0])


def languages(version: str) -> list[str]:
    published = PrivacyNotice.objects.filter(version=version).order_by("pk")
    return list(published.values_list("language", flat=True)) or [n.language for n in shipped()]


def seal(notice: PrivacyNotice) -> PrivacyNotice:
    whole = f"{notice.short}\n\n{notice.text}"
    notice.text_hash = hashlib.sha256(whole.encode()).hexdigest()
    return notice


@cache
def shipped() -> tuple[PrivacyNotice, ...]:
    """Not saved: English first."""
    files = sorted(FOLDER.glob(f"{SHIPPED}.*.txt"), key=lambda path: f".{FALLBACK}." not in path.name)
    return tuple(_read(path) for path in files)


def _read(path: Path) -> PrivacyNotice:
    version, language, _txt = path.name.rsplit(".", 2)
    short, text = path.read_text().split("\n", 1)
    return seal(PrivacyNotice(version=version, language=language, short=short, text=text.strip()))


def publish_shipped(**_signal: Any) -> None:
    """After each migration: what is published already stays as it is."""
    with transaction.atomic():
        if PrivacyNotice.objects.exists():
            return
        PrivacyNotice.objects.bulk_create(
            (
                PrivacyNotice(
                    version=n.version, language=n.language, short=n.short, text=n.text, text_hash=n.text_hash
                )
                for n in shipped()
            ),
            ignore_conflicts=True,
        )
