"""A migrated database to copy: each test process would migrate one for itself, and so would each run.

Kept under `.local/`, by a fingerprint of the migrations and of what they import. It is made while the tests are being
collected, under another name until it is whole.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from clinic_booking import local

NAME, UNFINISHED = "template_clinic", "template_clinic_unfinished"
KEPT = local.LOCAL / "test-templates"
OURS = re.compile(r"^(?:from|import) ((?:clinic_booking|patients|scheduling|billing)[\w.]*)", re.MULTILINE)


def make(server_url: str) -> threading.Thread:
    """Begins to make the database `NAME` on the server, whose databases are ours alone."""
    _run("createdb", "--maintenance-db", server_url, UNFINISHED)
    making = threading.Thread(target=_make, args=[server_url])
    making.start()
    return making


def wait(server_url: str) -> None:
    names = {UNFINISHED}
    with psycopg.connect(server_url, autocommit=True) as server:
        while UNFINISHED in names:
            threading.Event().wait(0.1)
            names = {name for (name,) in server.execute("SELECT datname FROM pg_database")}
    assert NAME in names, "no template database: what failed is said above"


def _make(server_url: str) -> None:
    try:
        _fill(urlunsplit(urlsplit(server_url)._replace(path=f"/{UNFINISHED}")))
    except BaseException:
        _run("dropdb", "--maintenance-db", server_url, UNFINISHED)
        raise
    whole = f"ALTER DATABASE {UNFINISHED} RENAME TO {NAME}"
    _run("psql", "--quiet", "--dbname", server_url, "--command", whole)


def _fill(url: str) -> None:
    kept = KEPT / _fingerprint()
    if kept.exists():
        _run("psql", "--quiet", "--dbname", url, "--file", str(kept / "roles.sql"))
        _run("pg_restore", "--dbname", url, "--exit-on-error", "--single-transaction", str(kept / "database"))
        return
    environment = {**os.environ, "DATABASE_URL": url, "STATEMENT_TIMEOUT_MS": "0"}
    migrate = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"]
    subprocess.run(migrate, cwd=local.ROOT, env=environment, check=True)
    _keep(url, kept)


def _keep(url: str, kept: Path) -> None:
    new = kept.with_name(f"{kept.name}.{os.getpid()}")
    new.mkdir(mode=0o700, parents=True)
    roles = new / "roles.sql"
    _run("pg_dumpall", "--roles-only", "--no-role-passwords", "--dbname", url, "--file", str(roles))
    owner = urlsplit(url).username
    roles.write_text("\n".join(line for line in roles.read_text().splitlines() if f" {owner}" not in line))
    _run("pg_dump", "--format", "custom", "--compress", "1", "--dbname", url, "--file", str(new / "database"))
    for old in KEPT.glob("*"):
        if "." not in old.name:
            shutil.rmtree(old, ignore_errors=True)
    with suppress(OSError):  # another run was quicker
        new.rename(kept)


def _fingerprint() -> str:
    migrations = sorted(local.ROOT.glob("*/migrations/*.py"))
    imported = {
        local.ROOT / f"{name.replace('.', '/')}{end}"
        for path in migrations
        for name in OURS.findall(path.read_text())
        for end in (".py", "/__init__.py")
    }
    digest = hashlib.sha256()
    for path in [*migrations, *sorted(imported), local.ROOT / "requirements.txt"]:
        if path.exists():
            digest.update(f"{path.relative_to(local.ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:24]


def _run(program: str, *arguments: str) -> None:
    subprocess.run([local.PG_BIN / program, *arguments], check=True, stdout=subprocess.DEVNULL)
