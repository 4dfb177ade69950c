"""Rivals on connections of their own, placed exactly. For tests with real transactions only."""

import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any

from django.db import OperationalError, connection, connections, transaction

from clinic_booking.errors import NamedError

SECONDS = 30  # for any wait: two busy cores are slow, and a hanging race must fail


class Rival:
    """Runs one verb in a thread with its own connection; `outcome()` is its result or the error it raised."""

    def __init__(self, verb: Callable[[], Any], *, meets: threading.Barrier | None = None) -> None:
        self._verb, self._meets = verb, meets
        self._connected = threading.Event()
        self.pid = 0
        self._outcome: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.pid = backend_pid()
            self._connected.set()
            if self._meets:
                self._meets.wait(SECONDS)
            self._outcome = self._verb()
        except Exception as error:  # noqa: BLE001  (an outcome like any other; the test looks at it)
            self._outcome = error
        finally:
            self._connected.set()
            connections.close_all()

    def outcome(self, seconds: float = SECONDS) -> Any:
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the rival hangs"
        return self._outcome

    def wait_until_blocked(self) -> "Rival":
        """Returns when it waits for a lock that another connection holds, or has ended."""
        assert self._connected.wait(SECONDS)
        for _ in range(SECONDS * 100):
            self._thread.join(0.01)
            if not self._thread.is_alive() or is_blocked(self.pid):
                return self
        raise AssertionError("the rival neither waits nor ends")

    @property
    def is_waiting(self) -> bool:
        return self._thread.is_alive() and is_blocked(self.pid)


def together(*verbs: Callable[[], Any], seconds: float = SECONDS) -> list[Any]:
    """All at the same moment, each on its own connection. Their outcomes, in order; `seconds` is for each."""
    barrier = threading.Barrier(len(verbs))
    rivals = [Rival(verb, meets=barrier) for verb in verbs]
    return [rival.outcome(seconds) for rival in rivals]


def relay(*scripts: list[Callable[[], Any]], check: Callable[[], Any] | None = None) -> list[list[Any]]:
    """Each script on one connection; all meet before each of their verbs, where `check` runs with nothing under way."""
    barrier = threading.Barrier(len(scripts), action=check)

    def run(script: list[Callable[[], Any]]) -> list[Any]:
        outcomes = []
        with contextlib.ExitStack() as otherwise:
            otherwise.callback(barrier.abort)  # nobody waits for one that failed
            for verb in script:
                barrier.wait(SECONDS)
                try:
                    outcomes.append(verb())
                except NamedError as refusal:
                    outcomes.append(refusal)
            otherwise.pop_all()
        return outcomes

    rivals = [Rival(functools.partial(run, script)) for script in scripts]
    ended = [rival.outcome(SECONDS * len(scripts[0])) for rival in rivals]
    failures = [outcome for outcome in ended if isinstance(outcome, Exception)]
    for failure in sorted(failures, key=lambda each: isinstance(each, threading.BrokenBarrierError)):
        raise failure
    return ended


def in_transaction(verb: Callable[..., Any], **arguments: Any) -> Callable[[], Any]:
    """The verb as its callers use it: in a transaction that is rolled back when it refuses."""

    def run() -> Any:
        with transaction.atomic():
            return verb(**arguments)

    return run


def before(monkeypatch, target: str, act: Callable[[], Any]) -> None:
    """`act` once, just before the next call of the function `target` (a dotted path) in this thread."""
    _hook(monkeypatch, target, act, first=True)


def after(monkeypatch, target: str, act: Callable[[], Any]) -> None:
    """`act` once, just after the next call of the function `target` in this thread."""
    _hook(monkeypatch, target, act, first=False)


def _hook(monkeypatch, target: str, act: Callable[[], Any], *, first: bool) -> None:
    owner, name = target.rsplit(".", 1)
    module = __import__(owner, fromlist=[name])
    real, thread, done = getattr(module, name), threading.current_thread(), []

    def hooked(*args: Any, **kwargs: Any) -> Any:
        due = threading.current_thread() is thread and not done
        if due and first:
            done.append(act())
        result = real(*args, **kwargs)
        if due and not first:
            done.append(act())
        return result

    monkeypatch.setattr(module, name, hooked)


def backend_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def is_blocked(pid: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid])
        return cursor.fetchone()[0]


def is_deadlock(outcome: Any) -> bool:
    return isinstance(outcome, OperationalError) and "deadlock" in str(outcome)
