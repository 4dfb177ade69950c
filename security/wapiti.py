"""wapiti in two steps: it walks through the site; then it attacks one of each kind of request that it found.

It would attack everything it has seen: a form a hundred times, of which all but the first few stay untried when the
time is over. Between the steps the others are taken out of its notes.
"""

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from security.system import Served, with_limit
from security.targets import CSRF, NEVER, Request, chosen
from security.tools import LOCAL

# Not timesql: sqlmap does that, with all of PostgreSQL's ways to wait.
# Each list is a process of its own.
MODULES = (
    "exec",
    "file",
    "csp,cookieflags,http_headers,redirect,sql,xss,crlf,csrf,methods,upload,permanentxss",
)
SERIOUS = {"Internal Server Error"}  # of what wapiti calls anomalies; a time-out under its load is none
CUT_OFF = re.compile(r"Max attack time was reached for module (\w+)")
Finding = dict[str, Any]


def command(programs: Path, served: Served, name: str) -> list[str]:
    """`name` is that of its notes, its report and its log."""
    line = [str(programs / "wapiti"), "-u", f"{served.site}/", "--scope", "domain", "-f", "json", "-v", "1"]
    line += ["-o", str(LOCAL / f"wapiti-{name}.json"), "--no-bugreport", "--store-session", str(LOCAL / name)]
    return [*line, "-C", served.visitor.cookie, "--skip", CSRF, "--timeout", "30"]


def walk(programs: Path, served: Served, seconds: float) -> tuple[int, list[Request]]:
    """How many requests it found, and one of each kind."""
    log = LOCAL / f"wapiti-{served.visitor.name}.log"
    log.unlink(missing_ok=True)
    shutil.rmtree(LOCAL / served.visitor.name, ignore_errors=True)
    line = [
        *command(programs, served, served.visitor.name),
        "-m",
        "",
        "--flush-session",
        "-d",
        "2",
        "-S",
        "paranoid",
        "--tasks",
        "4",
    ]
    line += ["--max-scan-time", str(int(seconds))]
    for page in served.visitor.pages:
        line += ["-s", served.site + page]
    for path in (*NEVER, *served.visitor.avoids):
        line += ["-x", f"{served.site}{path}*"]
    with_limit(line, log, seconds + 60)
    with closing(sqlite3.connect(notes_of(served))) as notes:
        found = [each for each in requests_in(notes) if each.url.startswith(served.site)]
    return len(found), chosen(found)


def keep(served: Served, requests: list[Request]) -> None:
    """In its notes, and no others."""
    numbers = ",".join(str(each.number) for each in requests)
    with closing(sqlite3.connect(notes_of(served))) as notes, notes:
        for table in ("params", "paths"):
            notes.execute(f"DELETE FROM {table} WHERE path_id NOT IN ({numbers})")  # noqa: S608 (our own numbers)
        # Each value of a field would be a field.
        first = "SELECT min(param_id) FROM params GROUP BY path_id, type, name"
        notes.execute(f"DELETE FROM params WHERE param_id NOT IN ({first})")  # noqa: S608


def attack(programs: Path, served: Served, modules: str, seconds: float) -> tuple[list[Finding], list[str]]:
    """What it found, and the modules whose time was over."""
    name = f"{served.visitor.name}-{modules.partition(',')[0]}"
    shutil.rmtree(LOCAL / name, ignore_errors=True)
    shutil.copytree(LOCAL / served.visitor.name, LOCAL / name)
    log, written = LOCAL / f"wapiti-{name}.log", LOCAL / f"wapiti-{name}.json"
    for old in (log, written):
        old.unlink(missing_ok=True)
    each = seconds * 0.9 / min(3, len(modules.split(",")))  # most of many are done in seconds
    line = [
        *command(programs, served, name),
        "-m",
        modules,
        "--skip-crawl",
        "--max-attack-time",
        f"{each:.0f}",
    ]
    ended = with_limit(line, log, seconds)
    late = CUT_OFF.findall(log.read_text(errors="replace"))
    if not ended or not written.exists():
        return [], late or [modules]
    return list(findings_of(json.loads(written.read_text()), served.visitor.name)), late


def requests_in(notes: sqlite3.Connection) -> Iterator[Request]:
    """Only what was answered is attacked."""
    sql = """SELECT p.path_id, p.method, p.path, r.status_code FROM paths p JOIN responses r USING (response_id)
        WHERE NOT p.evil AND p.headers IS NOT NULL ORDER BY p.path_id"""
    for number, method, url, status in notes.execute(sql).fetchall():
        fields = "SELECT type, name, value1 FROM params WHERE path_id = ? ORDER BY type, position"
        found = notes.execute(fields, (number,)).fetchall()
        query = tuple((name, value or "") for kind, name, value in found if kind == "GET")
        body = tuple((name, value or "") for kind, name, value in found if kind != "GET")
        yield Request(number, method, url, status, query, body)


def notes_of(served: Served) -> Path:
    return max((LOCAL / served.visitor.name).glob(f"127.0.0.1_{served.port}_*.db"))


def findings_of(answer: dict[str, Any], who: str) -> Iterator[Finding]:
    for part in ("vulnerabilities", "anomalies"):
        for category, hits in answer[part].items():
            for hit in hits:
                if part == "anomalies" and category not in SERIOUS:
                    continue
                if part == "vulnerabilities" and hit["level"] == 0:
                    continue
                yield {
                    "tool": "wapiti",
                    "as": who,
                    "category": category,
                    "path": urlsplit(hit["path"]).path,
                    "method": hit["method"],
                    "parameter": hit.get("parameter") or "",
                    "info": hit["info"],
                }
