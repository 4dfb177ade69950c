"""What was deleted or made anonymous, as ids and rule, in a file next to the backups: a restore brings all of it back,
and the database that knows better is the one that was lost. A line of JSON for each batch, never a value."""

import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clinic_booking.errors import NamedError

NAME = "deletions.jsonl"


class NotWritable(NamedError):
    status = 500
    sentence = _(
        "The list of deletions cannot be written, so nothing was deleted: set BACKUP_DIR to a directory that this "
        "process may write to."
    )


class Damaged(NamedError):
    status = 500
    sentence = _("A line of the list of deletions cannot be read: take the copy from the second directory.")


class Deletion(NamedTuple):
    at: dt.datetime
    data_class: str
    subject: str
    version: int
    ids: list[Any]


def places() -> list[Path]:
    """Next to the backups, and next to their copies."""
    if not settings.BACKUP_DIR:
        raise NotWritable
    return [Path(each) for each in (settings.BACKUP_DIR, settings.BACKUP_COPY_DIR) if each]


def check_writable() -> None:
    try:
        for place in places():
            _append(place, "")
    except OSError as trouble:
        raise NotWritable from trouble


def note(data_class: str, subject: str, version: int, ids: Sequence[Any]) -> None:
    line = {
        "at": timezone.now().isoformat(),
        "class": data_class,
        "subject": subject,
        "version": version,
        "ids": [pk if isinstance(pk, int) else str(pk) for pk in ids],
    }
    try:
        for place in places():
            _append(place, json.dumps(line) + "\n")
    except OSError as trouble:
        raise NotWritable from trouble


def since(when: dt.datetime) -> Iterator[Deletion]:
    """Oldest first. Raises Damaged."""
    path = places()[0] / NAME
    text = ""
    with suppress(FileNotFoundError):
        text = path.read_text()
    lines = text.split("\n")
    for line in lines[:-1]:
        try:
            found = _read(line)
        except (ValueError, KeyError) as trouble:
            raise Damaged from trouble
        if found.at >= when:
            yield found


def _read(line: str) -> Deletion:
    said = json.loads(line)
    at = dt.datetime.fromisoformat(said["at"])
    return Deletion(at, said["class"], said["subject"], said["version"], said["ids"])


def _append(place: Path, text: str) -> None:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (place / NAME).open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.fchmod(file.fileno(), 0o600)
        if text:
            _forget_half_a_line(file)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


def _forget_half_a_line(file: IO[bytes]) -> None:
    """Cut off by a crash, before its transaction was committed."""
    end = file.seek(0, os.SEEK_END)
    while end:
        begin = file.seek(max(0, end - 65536))
        if (at := file.read(end - begin).rfind(b"\n")) >= 0:
            break
        end = begin
    file.truncate(begin + at + 1 if end else 0)
