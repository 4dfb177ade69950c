"""Encrypted backups, and their way back: what was deleted since is deleted again (docs/ops.md)."""

import datetime as dt
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clinic_booking import local
from clinic_booking.backups import crypt, postgres
from clinic_booking.errors import NamedError
from clinic_booking.retention import deletions
from clinic_booking.retention.rules import rule_of
from clinic_booking.retention.run import replay

Tell = Callable[[str], None]
DRILLS = "restores.jsonl"
# A deletion is noted before it is committed: one that was under way when the dump began is looked at again.
UNDER_WAY = dt.timedelta(minutes=15)


class NotEmpty(NamedError):
    sentence = _("This database is not empty. Nothing was changed; --force empties it first, for good.")


class NoManifest(NamedError):
    status = 422
    sentence = _("Beside the backup there is no manifest that belongs to it (the same name with .json).")


def make(*, tell: Tell = lambda _line: None) -> Path:
    """Raises before anything is kept: NoKey, ToolFailed, deletions.NotWritable."""
    first, *copies = deletions.places()
    deletions.check_writable()
    made_at = timezone.now()
    path = first / f"clinic-{made_at:%Y%m%dT%H%M%S}Z-{made_at.microsecond:06d}.backup"
    part = path.with_suffix(".part")
    try:
        with part.open("xb") as file:
            part.chmod(0o600)
            with postgres.dumped() as plain:
                crypt.seal(plain, file, settings.BACKUP_KEY)
        _describe(part, path, made_at)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)
    for place in copies:
        for each in (path, _manifest(path)):
            shutil.copy2(each, place / each.name)
    tell(f"{path}: {path.stat().st_size} bytes, {1 + len(copies)} place(s)")
    return path


def expire(*, now: dt.datetime | None = None) -> list[str]:
    """Those whose time is over, in both places."""
    now, gone = now or timezone.now(), []
    for place in deletions.places():
        for manifest in place.glob("clinic-*.json"):
            if dt.datetime.fromisoformat(_read(manifest)["expires_at"]) <= now:
                manifest.with_suffix(".backup").unlink(missing_ok=True)
                manifest.unlink()
                gone.append(manifest.stem)
    return sorted(set(gone))


def kept() -> list[dict[str, Any]]:
    """The manifests, newest first."""
    found = [_read(each) for each in deletions.places()[0].glob("clinic-*.json")]
    return sorted(found, key=lambda said: str(said["made_at"]), reverse=True)


def drills() -> list[dict[str, Any]]:
    """The restores that were tried, newest first."""
    with suppress(FileNotFoundError):
        lines = (deletions.places()[0] / DRILLS).read_text().splitlines()
        return [json.loads(line) for line in reversed(lines)]
    return []


def check(path: Path) -> dict[str, Any]:
    """Reads all of it once. Raises NoManifest, WrongKey, Damaged."""
    said = _read(_manifest(path))
    if said["file"] != path.name:
        raise NoManifest
    if said["bytes"] != path.stat().st_size or said["sha256"] != _sha256(path):
        raise crypt.Damaged
    with path.open("rb") as file:
        for _piece in crypt.opened(file, settings.BACKUP_KEY):
            pass
    return said


def restore(path: Path, *, force: bool = False, by: str, tell: Tell = lambda _line: None) -> dict[str, Any]:
    """Into the database of the settings, which must be empty. Returns what the record of the drill says."""
    started = time.monotonic()
    said = check(path)
    tell("the backup is whole")
    if _has_tables():
        if not force:
            raise NotEmpty
        _empty()
    _make_roles(said["roles"])
    connection.close()
    with path.open("rb") as file, postgres.restoring() as target:
        for piece in crypt.opened(file, settings.BACKUP_KEY):
            target.write(piece)
    tell("the data is back")
    call_command("migrate", interactive=False, verbosity=0)
    made_at = dt.datetime.fromisoformat(said["made_at"])
    replayed, left = replay(since=made_at - UNDER_WAY, operator=by, tell=tell)
    drill = {
        "at": timezone.now().isoformat(),
        "backup": path.name,
        "made_at": said["made_at"],
        "replayed": replayed,
        "left": left,
        "is_consistent": _is_consistent(),
        "seconds": round(time.monotonic() - started, 1),
        "by": by,
    }
    _record(drill)
    return drill


def _describe(part: Path, path: Path, made_at: dt.datetime) -> None:
    rule = rule_of("backup")
    days = rule.days + 30 * rule.months
    said = {
        "file": path.name,
        "bytes": part.stat().st_size,
        "sha256": _sha256(part),
        "made_at": made_at.isoformat(),
        "expires_at": (made_at + dt.timedelta(days=days)).isoformat(),
        "database": postgres.database()["NAME"],
        "roles": _roles(),
    }
    local.write_atomically(_manifest(path), json.dumps(said, indent=1))


def _manifest(path: Path) -> Path:
    return path.with_suffix(".json")


def _read(manifest: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(manifest.read_text()))
    except (OSError, ValueError) as trouble:
        raise NoManifest from trouble


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _roles() -> list[str]:
    """To whom tables are granted or shown: a dump names them, but does not make them."""
    sql = """SELECT DISTINCT pg_get_userbyid(a.grantee) FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.relnamespace = 'public'::regnamespace AND a.grantee <> 0
        UNION SELECT pg_get_userbyid(r) FROM pg_policy, unnest(polroles) r WHERE r <> 0"""
    return [name for (name,) in _rows(sql)]


def _make_roles(names: list[str]) -> None:
    missing = set(names) - {name for (name,) in _rows("SELECT rolname FROM pg_roles")}
    with connection.cursor() as cursor:
        for name in sorted(missing):
            cursor.execute(f"CREATE ROLE {connection.ops.quote_name(name)} NOLOGIN")


def _has_tables() -> bool:
    sql = """SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND n.nspname !~ '^(pg_|information_schema$)')"""
    return _rows(sql) == [(True,)]


def _empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE")
        cursor.execute("CREATE SCHEMA public")


def _is_consistent() -> bool:
    try:
        call_command("check_consistency")
    except SystemExit:
        return False
    return True


def _record(drill: dict[str, Any]) -> None:
    for place in deletions.places():
        with (place / DRILLS).open("a") as file:
            file.write(json.dumps(drill) + "\n")


def _rows(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def newest() -> Iterator[Path]:
    for said in kept():
        yield deletions.places()[0] / str(said["file"])
