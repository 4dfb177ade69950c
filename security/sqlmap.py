"""sqlmap on every field that was found, several at a time: each waits for the answers of the one server or the other."""

import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from security.system import Served, side_by_side, with_limit
from security.targets import CSRF, Target
from security.tools import LOCAL, ROOT, say
from security.wapiti import Finding

AT_A_TIME = 6
INJECTION = re.compile(r"^Parameter: (.+)$", re.MULTILINE)
ENDED = re.compile(r"all tested parameters do not appear to be injectable|the following injection point")
OPTIONS = ["--batch", "--disable-coloring", "--flush-session", "--dbms", "PostgreSQL", "--ignore-code", "*"]
OPTIONS += ["--level", "1", "--risk", "1", "--technique", "BEUST", "--timeout", "30", "--skip", CSRF]
OPTIONS += ["--answers", "redirect=N,follow=N,cookies=N", "--output-dir", str(LOCAL / "sqlmap")]


@dataclass(frozen=True)
class Tried:
    target: Target
    is_whole: bool
    injectable: list[str]


def sqlmap(programs: Path, served: dict[str, Served], asked: list[Target], ends: float) -> list[Tried]:
    def one(numbered: tuple[int, Target]) -> Tried:
        number, target = numbered
        if time.monotonic() > ends:
            return Tried(target, is_whole=False, injectable=[])
        found = try_one(programs, served[target.who], target, ends)
        end = "" if found.is_whole else ": has no end"
        say(f"sqlmap {number}/{len(asked)}: {target.who} {target.method} {target.name}{end}")
        return found

    shutil.rmtree(LOCAL / "sqlmap-logs", ignore_errors=True)
    (LOCAL / "sqlmap-logs").mkdir()
    with side_by_side(AT_A_TIME) as pool:
        return list(pool.map(one, enumerate(asked, start=1)))


def try_one(programs: Path, served: Served, target: Target, ends: float) -> Tried:
    line = [
        str(programs / "sqlmap"),
        *OPTIONS,
        "-u",
        served.site + target.path,
        "--cookie",
        served.visitor.cookie,
    ]
    if target.data:
        line += ["--data", target.data]
    log = LOCAL / "sqlmap-logs" / f"{target.file_name}.log"
    with_limit(line, log, ends - time.monotonic() + 5)
    said = log.read_text(errors="replace")
    return Tried(target, bool(ENDED.search(said)), INJECTION.findall(said))


def findings(tried: Iterable[Tried]) -> Iterator[Finding]:
    for each in tried:
        for parameter in each.injectable:
            yield {
                "tool": "sqlmap",
                "as": each.target.who,
                "category": "SQL injection",
                "path": each.target.path.split("?")[0],
                "method": each.target.method,
                "parameter": parameter,
                "info": f"see {(LOCAL / 'sqlmap-logs').relative_to(ROOT)}/{each.target.file_name}.log",
            }
