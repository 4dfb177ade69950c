"""`make security`: wapiti3 and sqlmap against a demo of their own, as nobody and as a patient.

Everything happens in a database that is made for it and goes with it. Ends non-zero for a finding that is not explained,
and for an address or a field that was not tried. ARGS="--minutes 60" where the machine is slow or busy.
"""

import argparse
import json
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from security import wapiti
from security.sqlmap import Tried, findings, sqlmap
from security.system import Served, side_by_side, system
from security.targets import Request, is_within, name_of, targets
from security.tools import LOCAL, ROOT, bin_of, explained, say
from security.visitors import Visitor
from security.wapiti import Finding

WALK_SHARE, SQLMAP_SHARE = 0.2, 0.4  # of the time, at most; what is left over goes to the next
NOT_IN = {401, 403, 404, 405, 429}  # the door's answers: what is behind it was not reached


def main() -> int:
    parser = argparse.ArgumentParser(prog="make security")
    parser.add_argument("--minutes", type=float, default=30, help="at most, for all scans together (30)")
    parser.add_argument("--only", choices=["wapiti", "sqlmap"], help="one of the two")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else the demo would outlive it
    programs = bin_of("scanners")
    with system() as served:
        return report(*scan(programs, served, options.minutes * 60, options.only or ""))


def scan(
    programs: Path, served: list[Served], seconds: float, only: str
) -> tuple[list[Finding], list[Finding]]:
    """What is wrong, and what was not tried."""
    began = time.monotonic()
    requests = walk(programs, served, seconds * WALK_SHARE)
    found, left = [], []
    if only != "wapiti":
        tried = inject(
            programs, served, requests, began + seconds * (1 if only else WALK_SHARE + SQLMAP_SHARE)
        )
        found += findings(tried)
        left += [
            missed("sqlmap", each.target.who, each.target.name, "") for each in tried if not each.is_whole
        ]
    if only != "sqlmap":
        for each, late in attack(programs, served, requests, seconds - (time.monotonic() - began)):
            found += each
            left += late
    for each in served:
        found += faults(each)
        left += unreached(each)
        if not each.is_still_in():
            left.append(missed("login", each.visitor.name, "", "was logged out on the way"))
    say(f"{(time.monotonic() - began) / 60:.1f} minutes")
    return found, left


def walk(programs: Path, served: list[Served], seconds: float) -> dict[str, list[Request]]:
    with side_by_side(len(served)) as pool:
        results = list(pool.map(lambda each: wapiti.walk(programs, each, seconds), served))
    for each, (number, kept) in zip(served, results, strict=True):
        addresses = len({request.name for request in kept})
        say(f"{each.visitor.name}: {number} pages and forms, of {len(kept)} kinds, at {addresses} addresses")
    return divided(
        {
            each.visitor.name: [one for one in kept if is_inside(one, each.visitor)]
            for each, (_number, kept) in zip(served, results, strict=True)
        }
    )


def is_inside(request: Request, visitor: Visitor) -> bool:
    """By the table, or because the answer was no redirect: perhaps to the door."""
    return request.name in visitor.inside[request.method] or request.status in (200, 409, 422)


def divided(requests: dict[str, list[Request]]) -> dict[str, list[Request]]:
    """What needs no login is tried without one, and not again."""
    first: list[Request] = []
    for who, found in requests.items():
        mine = [one for one in found if not any(is_within(one, other) for other in first)]
        first += mine
        requests[who] = mine
        say(f"as {who}: {len(mine)} kinds, {sum(len(one.fields) for one in mine)} fields")
    return requests


def inject(
    programs: Path, served: list[Served], requests: dict[str, list[Request]], ends: float
) -> list[Tried]:
    of_each = [list(targets(each.visitor, requests[each.visitor.name])) for each in served]
    in_turn = [target for several in zip_longest(*of_each) for target in several if target]
    tried = sqlmap(programs, {each.visitor.name: each for each in served}, in_turn, ends)
    say(f"sqlmap: {sum(each.is_whole for each in tried)} of {len(tried)} targets")
    return tried


def attack(
    programs: Path, served: list[Served], requests: dict[str, list[Request]], seconds: float
) -> Iterator[tuple[list[Finding], list[Finding]]]:
    several = [(each, modules) for each in served for modules in wapiti.MODULES]
    for each in served:
        wapiti.keep(each, requests[each.visitor.name])
    with side_by_side(len(several)) as pool:
        results = list(pool.map(lambda one: wapiti.attack(programs, *one, seconds), several))
    for (each, modules), (found, late) in zip(several, results, strict=True):
        who = each.visitor.name
        say(f"wapiti as {who}: {modules}: {len(found)} findings{', no end' if late else ''}")
        yield found, [missed("wapiti", who, module, "its time was over") for module in late]


def missed(tool: str, who: str, what: str, why: str) -> Finding:
    return {"tool": tool, "as": who, "name": what, "info": why or "its time was over"}


def unreached(served: Served) -> Iterator[Finding]:
    """Addresses that let this visitor in, by the table of access, and of which only the door was seen."""
    reached = {(method, name_of(path)) for method, path, status in served.answers() if status not in NOT_IN}
    for method, names in served.visitor.inside.items():
        for name in sorted(names):
            if (method, name) not in reached:
                yield missed("reached", served.visitor.name, f"{method} {name}", "nobody got in")


def faults(served: Served) -> Iterator[Finding]:
    """Whatever the scanners made of them."""
    asked = Counter(status // 100 for _method, _path, status in served.answers())
    say(f"{served.visitor.name}: {sum(asked.values())} requests, {dict(sorted(asked.items()))} hundreds")
    for method, path in sorted({(m, p) for m, p, status in served.answers() if status >= 500}):
        info = f"see {served.log.relative_to(ROOT)}"
        yield {
            "tool": "server",
            "as": served.visitor.name,
            "category": "Internal Server Error",
            "path": path,
            "method": method,
            "parameter": "",
            "info": info,
        }


# -- Report --------------------------------------------------------------------------------------


def reason_for(finding: Finding, known: dict[str, list[dict[str, Any]]]) -> str:
    for entry in known.get(finding["tool"], []):
        if all(re.search(entry[key], finding.get(key, "")) for key in entry if key != "reason"):
            return str(entry["reason"])
    return ""


def report(found: list[Finding], left: list[Finding]) -> int:
    known = explained()
    bad = unexplained = 0
    lines = ["# Findings above informational", ""]
    seen = {json.dumps(finding, sort_keys=True): finding for finding in found}
    for finding in seen.values():
        reason = reason_for(finding, known)
        bad += not reason
        where = f"{finding['method']} {finding['path']} {finding['parameter']}".strip()
        what = f"{finding['tool']} as {finding['as']}: {finding['category']}, {where}: {finding['info']}"
        lines.append(f"- {mark(reason)}: {what}{f' ({reason})' if reason else ''}")
    lines += ["", "# Not tried", ""]
    for each in left:
        reason = reason_for(each, known)
        unexplained += not reason
        what = f"{each['tool']} as {each['as']}: {each['name']}: {each['info']}"
        lines.append(f"- {mark(reason)}: {what}{f' ({reason})' if reason else ''}")
    path = LOCAL / "report.md"
    total = f"{len(seen)} findings, {bad} open. {len(left)} not tried, {unexplained} without a reason."
    path.write_text("\n".join([*lines, "", total, ""]))
    say("\n".join(lines))
    say(f"{total} The report is {path.relative_to(ROOT)}.")
    return 1 if bad or unexplained else 0


def mark(reason: str) -> str:
    return "explained" if reason else "**OPEN**"


if __name__ == "__main__":
    sys.exit(main())
