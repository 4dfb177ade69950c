"""`make security`: wapiti3 and sqlmap against a demo of their own. Ends non-zero for a finding that is not explained.

Everything happens in a database that is made for it and goes with it. ARGS="--minutes 4" for a short look.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clinic_booking import local
from clinic_booking.local import demo
from clinic_booking.local.keeper import free_port
from security.targets import Target, targets
from security.tools import LOCAL, ROOT, bin_of, explained, say

MODULES = (
    "csp,cookieflags,http_headers,exec,file,redirect,sql,xss,permanentxss,crlf,csrf,methods,upload,timesql"
)
SERIOUS = {"Internal Server Error"}  # of what wapiti calls anomalies; a time-out under its load is none
INJECTION = re.compile(r"^Parameter: (.+)$", re.MULTILINE)
Finding = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make security")
    parser.add_argument("--minutes", type=float, default=15, help="for all scans together (15)")
    parser.add_argument("--only", choices=["wapiti", "sqlmap"], help="one of the two")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else the demo would outlive it
    programs = bin_of("scanners")
    with system() as (site, cookie):
        ends = time.monotonic() + options.minutes * 60
        say(f"The demo answers on {site}")
        found: list[Finding] = []
        if options.only != "sqlmap":
            for who, given in (("anonymous", ""), ("patient", cookie)):
                left = (ends - time.monotonic()) / (3 if who == "anonymous" else 2)
                found += wapiti(programs, site, who, given, max(30, left))
        if options.only != "wapiti":
            found += sqlmap(programs, site, cookie, ends)
    return report(found)


@contextmanager
def system() -> Iterator[tuple[str, str]]:
    """The address, and the cookie of a patient who is logged in. No limits: they would only hide what is behind."""
    with ExitStack() as stack:
        addresses = stack.enter_context(local.services("security-data", durable=False))
        port, double = free_port(), free_port()
        site = f"http://127.0.0.1:{port}"
        os.environ.update(addresses, DJANGO_SETTINGS_MODULE="clinic_booking.settings", SITE_URL=site)
        os.environ.update(
            RATE_LIMITS="off", HOLDS_PER_ADDRESS="0", UNKNOWN_SHARE_PERCENT="100", LOG_LEVEL="ERROR"
        )
        os.environ.update(STRIPE_API_BASE=f"http://127.0.0.1:{double}")
        LOCAL.mkdir(parents=True, exist_ok=True)
        for command in ("migrate", "seed_demo"):
            say(f"{command} …")
            subprocess.run(
                [sys.executable, "manage.py", command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
            )
        stripe = ["manage.py", "stripe_double", "--port", str(double), "--webhook", f"{site}/stripe/webhook/"]
        stack.enter_context(process("stripe", [*stripe, "--state", str(LOCAL / "stripe.json")]))
        stack.enter_context(process("web", demo.uvicorn(port)))
        for _ in range(600):
            if demo.answers(port, "/healthz"):
                break
            time.sleep(0.1)
        yield site, cookie_of_a_patient()


@contextmanager
def process(name: str, arguments: list[str]) -> Iterator[None]:
    with (LOCAL / f"{name}.log").open("w") as log:
        running = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=log, stderr=log)
        try:
            yield
        finally:
            running.terminate()
            running.wait(20)


def cookie_of_a_patient() -> str:
    import django

    django.setup()
    from django.conf import settings
    from django.test import Client

    from clinic_booking.models import User

    client = Client()
    client.force_login(User.objects.get(username="patient@demo.example"))
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"


# -- wapiti --------------------------------------------------------------------------------------


def wapiti(programs: Path, site: str, who: str, cookie: str, seconds: float) -> list[Finding]:
    say(f"wapiti, {who}: up to {seconds:.0f} s")
    out = LOCAL / f"wapiti-{who}.json"
    out.unlink(missing_ok=True)
    each = max(10, int(seconds / 16))
    command = [str(programs / "wapiti"), "-u", f"{site}/", "--scope", "domain", "-m", MODULES, "-f", "json"]
    command += ["-o", str(out), "--no-bugreport", "--flush-session", "--store-session", str(LOCAL / who)]
    command += ["--max-scan-time", str(int(seconds / 3)), "--max-attack-time", str(each), "-d", "5"]
    command += ["-x", f"{site}/logout/", "-x", f"{site}/static/", "--tasks", "8", "-v", "1"]
    if cookie:
        command += ["-C", cookie]
    with (LOCAL / f"wapiti-{who}.log").open("w") as log:
        with_limit(command, log, seconds + 120)
    if not out.exists():
        raise SystemExit(f"wapiti wrote no report: {(LOCAL / f'wapiti-{who}.log')} says why.")
    answer = json.loads(out.read_text())
    say(f"wapiti, {who}: {answer['infos'].get('crawled_pages_nbr', '?')} pages")
    return list(findings_of_wapiti(answer, who))


def findings_of_wapiti(answer: dict[str, Any], who: str) -> Iterator[Finding]:
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


# -- sqlmap --------------------------------------------------------------------------------------


def sqlmap(programs: Path, site: str, cookie: str, ends: float) -> list[Finding]:
    found: list[Finding] = []
    asked = list(targets())
    for number, target in enumerate(asked, start=1):
        left = ends - time.monotonic()
        if left < 10:
            say(
                f"sqlmap: the time is over before {target.path}; {len(asked) - number + 1} targets are left out"
            )
            break
        say(f"sqlmap {number}/{len(asked)}: {target.method} {target.path}")
        found += one_target(programs, site, cookie, target, left / (len(asked) - number + 1) + 20)
    return found


def one_target(programs: Path, site: str, cookie: str, target: Target, seconds: float) -> Iterator[Finding]:
    command = [
        str(programs / "sqlmap"),
        "--batch",
        "--disable-coloring",
        "--dbms",
        "PostgreSQL",
        "--flush-session",
    ]
    command += ["--level", "1", "--risk", "1", "--threads", "4", "--timeout", "10", "--technique", "BEUST"]
    command += ["--output-dir", str(LOCAL / "sqlmap"), "-u", site + target.path, "--ignore-code", "*"]
    command += ["--answers", "redirect=N,follow=N,cookies=N"]
    cookies = cookie if target.logged_in else ""
    if target.data:
        token = "x" * 32
        cookies = "; ".join(filter(None, [cookies, f"csrftoken={token}"]))
        command += ["--data", f"{target.data}&csrfmiddlewaretoken={token}", "--skip", "csrfmiddlewaretoken"]
    if cookies:
        command += ["--cookie", cookies]
    log = LOCAL / f"sqlmap-{target.name}.log"
    with log.open("w") as file:
        with_limit(command, file, seconds)
    for parameter in INJECTION.findall(log.read_text()):
        yield {
            "tool": "sqlmap",
            "as": "patient" if target.logged_in else "anonymous",
            "category": "SQL injection",
            "path": target.path.split("?")[0],
            "method": target.method,
            "parameter": parameter,
            "info": f"see {log.relative_to(ROOT)}",
        }


def with_limit(command: list[str], log: Any, seconds: float) -> None:
    running = subprocess.Popen(command, cwd=LOCAL, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        say("  its time is over")
        running.terminate()
        running.wait(20)


# -- Report --------------------------------------------------------------------------------------


def reason_for(finding: Finding, known: dict[str, list[dict[str, Any]]]) -> str:
    for entry in known.get(finding["tool"], []):
        if all(re.search(entry[key], finding[key]) for key in entry if key != "reason"):
            return str(entry["reason"])
    return ""


def report(found: list[Finding]) -> int:
    known = explained()
    lines, bad = ["# Findings above informational", ""], 0
    seen = {json.dumps(finding, sort_keys=True): finding for finding in found}
    for finding in seen.values():
        reason = reason_for(finding, known)
        bad += not reason
        where = f"{finding['method']} {finding['path']} {finding['parameter']}".strip()
        lines.append(
            f"- {'explained' if reason else '**OPEN**'}: {finding['tool']} as {finding['as']}: {finding['category']}, "
            f"{where}: {finding['info']}{f' ({reason})' if reason else ''}"
        )
    path = LOCAL / "report.md"
    path.write_text("\n".join([*lines, "", f"{len(seen)} findings, {bad} open.", ""]))
    say("\n".join(lines[2:]))
    say(f"{len(seen)} findings, {bad} open. The report is {path.relative_to(ROOT)}.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
