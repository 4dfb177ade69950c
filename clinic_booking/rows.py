"""Row-level security, the second line behind `visible_to` (docs/adr/0015).

Processes run as the role `clinic_app`, which sees all rows. What a page reads outside of a transaction it reads as
`clinic_visitor`: the policies of `protect` show that role only patients whom the login may see. A transaction is a
verb, which decides for itself what it may touch: in it the role is `clinic_app` again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.db import OperationalError, connection
from django.db.migrations.operations import RunSQL
from django.http import HttpRequest, HttpResponse
from psycopg import Error as DatabaseError
from psycopg.pq import TransactionStatus

from clinic_booking import acting

APP, VISITOR = "clinic_app", "clinic_visitor"
ENDS_OR_MARKS = ("SAVEPOINT", "ROLLBACK", "RELEASE")

VISIBLE = """
(SELECT current_setting('visitor.sees_all', true) = 'on')
{more}OR {patient} = ANY ((SELECT nullif(current_setting('visitor.patients', true), '')::bigint[])::bigint[])
OR EXISTS (
    SELECT FROM patients_patientclinic known WHERE known.patient_id = {patient} AND known.clinic_id =
        ANY ((SELECT nullif(current_setting('visitor.clinics', true), '')::bigint[])::bigint[])
)
"""
# Who is nobody yet stays so for most of a request, so that the trail is told in the same round trip.
ENTER_UNKNOWN = "SELECT set_config('role', %s, false), set_config(%s, %s, false)"
AT_MY_CLINIC = (
    "OR {clinic} = ANY ((SELECT nullif(current_setting('visitor.clinics', true), '')::bigint[])::bigint[])\n"
)


def protect(table: str, *, patient: str = "patient_id", clinic: str = "") -> RunSQL:
    """For migrations: rows of the table belong to the patient in the column `patient`; where `clinic` names one too,
    its staff see them without another look."""
    more = AT_MY_CLINIC.format(clinic=f"{table}.{clinic}") if clinic else ""
    visible = VISIBLE.format(patient=f"{table}.{patient}", more=more)
    return RunSQL(
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;"
        f"CREATE POLICY {table}_app ON {table} TO {APP} USING (true);"
        f"CREATE POLICY {table}_visitor ON {table} TO {VISITOR} USING ({visible});",
        f"DROP POLICY {table}_app ON {table}; DROP POLICY {table}_visitor ON {table};"
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;",
    )


@contextmanager
def all_rows() -> Iterator[None]:
    """For what a page must look up before it knows whom it shows, or shows nobody of: by a key, a token, a word that
    was typed. Say beside it what the look-up itself is limited by. Serves as a decorator, too."""
    visit = _visit.get()
    if visit is None or visit.is_paused or _transaction() is not None:
        yield
        return
    with visit.pause():
        yield


def reveal(patient_id: int) -> None:
    """For the rest of the request: whoever has the key that was checked may see this patient."""
    if visit := _visit.get():
        visit.has_revealed = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT visitor_reveal(%s::bigint)", [patient_id])


def middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def answer(request: HttpRequest) -> HttpResponse:
        if _visit.get():  # a request within a request, as only tests make them
            return get_response(request)
        visit = _Visit(_who(request))
        token = _visit.set(visit)
        with connection.execute_wrapper(visit), visit.as_health_check():
            try:
                return get_response(request)
            finally:
                _visit.reset(token)
                visit.leave()

    return answer


def _who(request: HttpRequest) -> list[object]:
    """The login, and what this browser's session knows: references of visits, entries of the waitlist, the patient
    whom a guest made. Without a cookie nothing is loaded."""
    nobody: list[object] = [None, [], [], None]
    if not request.COOKIES:
        return nobody
    session = request.session
    try:
        return [
            session.get(SESSION_KEY),
            session.get("bookings", []),
            session.get("waiting", []),
            session.get("patient"),
        ]
    except OperationalError:  # the page will say it
        return nobody


class _Visit:
    """Around each statement of a request: the role that fits. Its own statements go past Django, which counts and
    logs those of the page."""

    def __init__(self, who: Sequence[object]) -> None:
        self.who = who
        self.has_entered = False
        self.is_paused = False
        self.has_revealed = False
        self.transaction: object = None

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not str(sql).startswith(ENDS_OR_MARKS):
            with connection.wrap_database_errors:
                self.take_role()
        return execute(sql, params, many, context)

    def take_role(self) -> None:
        running = _transaction()
        if running is None and not self.has_entered and not self.is_paused:
            self.enter()
        elif self.has_entered and running is not self.transaction:
            # BEGIN gives the role of verbs. Where a test has wrapped all in a transaction, there is none, nor an end.
            if connection.in_atomic_block and _status() != TransactionStatus.IDLE:
                _run(f"SET LOCAL ROLE {VISITOR if running is None and not self.is_paused else APP}")
            self.transaction = running

    def enter(self) -> None:
        if any(self.who):
            _run("SELECT visitor_enter(%s::bigint, %s::text[], %s::bigint[], %s::bigint)", self.who)
        else:
            _run(ENTER_UNKNOWN, [VISITOR, acting.SETTING, acting.tell_session(connection)])
        self.has_entered = True

    @contextmanager
    def as_health_check(self) -> Iterator[None]:
        """Django asks a kept connection once in a request whether it still answers: entering is such a question."""
        plain = connection.is_usable

        def is_usable() -> bool:
            if self.has_entered or self.is_paused:
                return plain()
            try:
                self.enter()
            except DatabaseError:
                return False
            return True

        connection.is_usable = is_usable  # type: ignore[method-assign]
        try:
            yield
        finally:
            del connection.is_usable

    @contextmanager
    def pause(self) -> Iterator[None]:
        self.is_paused = True
        if entered := self.has_entered:
            _run(f"SET ROLE {APP}")
        try:
            yield
        finally:
            self.is_paused = False
            if entered and _is_well():
                _run(f"SET ROLE {VISITOR}")

    def leave(self) -> None:
        if not self.has_entered or connection.connection is None:
            return
        try:
            _run("SELECT visitor_leave()" if any(self.who) or self.has_revealed else "RESET ROLE")
        except DatabaseError:
            if not connection.in_atomic_block:
                connection.close()


def _run(statement: str, params: Sequence[object] = ()) -> None:
    connection.connection.execute(statement, params or None)


_visit: ContextVar[_Visit | None] = ContextVar("visit", default=None)


def _is_well() -> bool:
    return _status() not in (None, TransactionStatus.INERROR)


def _status() -> TransactionStatus | None:
    given = connection.connection
    return given.info.transaction_status if given else None


def _role_of_verbs() -> str:
    visit = _visit.get()
    return f"SET LOCAL ROLE {APP}" if visit and visit.has_entered and _transaction() else ""


acting.begin_with.append(_role_of_verbs)


def _transaction() -> object:
    return next((b for b in connection.atomic_blocks if not getattr(b, "_from_testcase", False)), None)
