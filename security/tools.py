"""Programs in environments of their own, from their lock files: they are no part of the product."""

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LOCAL = ROOT / ".local" / "security"


class CannotInstall(RuntimeError):
    pass


def bin_of(name: str) -> Path:
    """Where the programs of security/NAME.txt are, installed when it changed. Raises CannotInstall."""
    lock, home = HERE / f"{name}.txt", LOCAL / name
    wanted, stamp = hashlib.sha256(lock.read_bytes()).hexdigest(), home / "installed"
    if not (stamp.exists() and stamp.read_text() == wanted):
        home.parent.mkdir(parents=True, exist_ok=True)
        say(f"Installing security/{name}.txt")
        pip = [str(home / "bin" / "pip"), "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        for command in (
            [sys.executable, "-m", "venv", str(home)],
            [*pip, "--require-hashes", "-r", str(lock)],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise CannotInstall(done.stderr[-2000:])
        stamp.write_text(wanted)
    return home / "bin"


def explained() -> dict[str, list[dict[str, Any]]]:
    """What is known and why it is no danger: security/explained.toml."""
    return tomllib.loads((HERE / "explained.toml").read_text())


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
