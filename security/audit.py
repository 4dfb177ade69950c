"""Known vulnerabilities of what the lock files name. Fails for one; says so and goes on where nobody can be asked."""

import datetime as dt
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from security.tools import ROOT, CannotInstall, bin_of, explained, say

SECONDS = 120


def main() -> int:
    allowed = allowed_on(dt.datetime.now(dt.UTC).date(), explained().get("advisory", []))
    found = {}
    for name, ask in (("pip-audit", ask_pip_audit), ("npm audit", ask_npm)):
        answer = ask()
        if answer is None:
            say(f"{name}: no advisory service answers from here, so nothing was audited.")
        else:
            found |= answer
            say(f"{name}: {len(answer)} known vulnerabilities.")
    bad = {i: what for i, what in found.items() if i not in allowed}
    for identifier, what in bad.items():
        say(f"  {identifier}: {what}")
    return 1 if bad else 0


def allowed_on(day: dt.date, entries: list[dict[str, Any]]) -> set[str]:
    return {entry["id"] for entry in entries if entry["until"] >= day and entry["reason"]}


def ask_pip_audit() -> dict[str, str] | None:
    try:
        program = str(bin_of("audit") / "pip-audit")
    except CannotInstall:
        return None
    options = ["--disable-pip", "--require-hashes", "-r", "requirements.txt", "-f", "json"]
    return of_pip_audit(run([program, *options, "--progress-spinner", "off"]))


def of_pip_audit(text: str) -> dict[str, str] | None:
    """By id; None where not one package was known to the service."""
    packages = parsed(text).get("dependencies", [])
    if not any("vulns" in package for package in packages):
        return None
    return {
        flaw[
            "id"
        ]: f"{package['name']} {package['version']}, mended in {', '.join(flaw['fix_versions']) or 'none'}"
        for package in packages
        for flaw in package.get("vulns", [])
    }


def ask_npm() -> dict[str, str] | None:
    npm = shutil.which("npm")
    return of_npm(run([npm, "audit", "--json"])) if npm else None


def of_npm(text: str) -> dict[str, str] | None:
    """By address of the advisory; None for an error of the service."""
    answer = parsed(text)
    return dict(_of_npm(answer["vulnerabilities"])) if "vulnerabilities" in answer else None


def _of_npm(packages: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, package in packages.items():
        for via in package["via"]:
            if isinstance(via, dict):
                yield via["url"].rsplit("/", 1)[-1], f"{name}: {via['title']} ({via['severity']})"


def parsed(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def run(command: list[str]) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


if __name__ == "__main__":
    sys.exit(main())
