"""Who is acting, from where: told to the database with each transaction, so that its triggers can write it down.

A request's actor is its login, a job's is nobody: its name says who wrote. Writes by plain SQL carry no such context.
"""

import re
import sys
from collections.abc import Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse
from django.utils.functional import LazyObject, empty
from psycopg import generators
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus

from clinic_booking import logs

SETTING = "clinic.acting"  # actor|via|request|address, read by the trigger `audit_change`
IDLE = TransactionStatus.IDLE
OWN_TRAIL = "clinic_booking_auditevent"  # has its actor in its row
WRITES = {"INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "DO", "CALL"}
unsafe = re.compile(r"[^\w.:@/-]", re.ASCII).sub


@dataclass
class Acting:
    via: str
    ip: str = ""
    request: HttpRequest | None = None
    seen: set[int] = field(default_factory=set)  # patients whose records were read in this request

    @property
    def actor_id(self) -> int | None:
        """Without a query: whoever is logged in was asked for before anything is written."""
        user = self.request.__dict__.get("user") if self.request else None
        if isinstance(user, LazyObject) and user._wrapped is empty:
            return None
        return getattr(user, "pk", None)

    def __str__(self) -> str:
        parts = [str(self.actor_id or ""), self.via, logs.request_id.get(), self.ip]
        return "|".join(unsafe("", part) for part in parts)


def _of_the_process() -> Acting:
    program, *words = sys.argv or [""]
    name = Path(program).name
    return Acting(via=f"command:{words[0]}"[:60] if name == "manage.py" and words else f"program:{name}"[:60])


_process = _of_the_process()
_acting: ContextVar[Acting | None] = ContextVar("acting", default=None)


def now() -> Acting:
    return _acting.get() or _process


def saw(*patients: int) -> None:
    """Their records were read for the answer to this request (`audit/reads.py`)."""
    if who := _acting.get():
        who.seen.update(patients)


def middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def acting(request: HttpRequest) -> HttpResponse:
        token = _acting.set(Acting(via="web", ip=request.META.get("REMOTE_ADDR", ""), request=request))
        try:
            return get_response(request)
        finally:
            _acting.reset(token)

    return acting


def job(call_next: Callable[[], Any], context: Any, worker: Any) -> Any:
    """Around every job of the worker."""
    token = _acting.set(Acting(via=f"job:{context.job.task_name}"[:60]))
    try:
        return call_next()
    finally:
        _acting.reset(token)


# -- Telling the database ------------------------------------------------------------------------

begin_with: list[Callable[[], str]] = []  # what else each transaction begins with: a statement, or ""


class Teller:
    """With BEGIN, which costs no round trip; where the actor is another by then, or there is no transaction, before
    the write."""

    def __init__(self, wrapper: BaseDatabaseWrapper) -> None:
        self.wrapper = wrapper
        self.connected()

    def connected(self) -> None:
        self.in_transaction = self.in_session = ""
        raw: Any = self.wrapper.connection
        start = raw._start_query

        def start_and_tell() -> Generator[Any, Any, None]:
            if raw.autocommit or raw.pgconn.transaction_status != IDLE or raw._pipeline:
                yield from start()
                return
            self.in_transaction = str(now())
            raw._check_connection_ok()
            told = [f"SET LOCAL {SETTING} = '{self.in_transaction}'", *(more() for more in begin_with)]
            raw.pgconn.send_query(raw._get_tx_start_command() + "".join(f"; {t}" for t in told if t).encode())
            for result in (yield from generators.execute(raw.pgconn)):
                if result.status != ExecStatus.COMMAND_OK:
                    raise error_from_result(result, encoding=raw.pgconn._encoding)

        raw._start_query = start_and_tell

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        word = first_word(sql) if isinstance(sql, str) else "WITH"
        if word == "ROLLBACK":  # to a savepoint: what was told since is forgotten
            self.in_transaction = "?"
        elif word in WRITES and OWN_TRAIL not in sql[:60]:
            self._tell()
        return execute(sql, params, many, context)

    def _tell(self) -> None:
        raw: Any = self.wrapper.connection
        begins = not raw.autocommit and raw.pgconn.transaction_status == IDLE
        said = str(now())
        if begins or said == (self.in_session if raw.autocommit else self.in_transaction):
            return
        with raw.cursor() as cursor:
            cursor.execute("SELECT set_config(%s, %s, %s)", [SETTING, said, not raw.autocommit])
        if raw.autocommit:
            self.in_session = said
        else:
            self.in_transaction = said


def tell_session(connection: BaseDatabaseWrapper) -> str:
    """What whoever calls tells the session, with a statement of its own."""
    said = str(now())
    if teller := teller_of(connection):
        teller.in_session = said
    return said


def teller_of(connection: BaseDatabaseWrapper) -> Teller | None:
    return next((wrapper for wrapper in connection.execute_wrappers if isinstance(wrapper, Teller)), None)


def first_word(sql: str) -> str:
    return sql[:40].lstrip().partition(" ")[0].upper()


def tell(connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    """Receiver of `connection_created`."""
    if teller := teller_of(connection):
        return teller.connected()
    # The first, or `execute_wrapper` of somebody who is just connecting would take it away with its own.
    connection.execute_wrappers.insert(0, Teller(connection))
    return None
