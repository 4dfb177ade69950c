"""Workers that are killed: `python -m tests.killed.worker`, told on its standard input, a word a line.

`before`, `between`, `sent`, `after` kill a worker at that point in each handler, the first time that it gets there:
    before   the first commit (or the first statement that writes, where there is no transaction), which is not made
    between  that commit and the rest of the handler
    sent     an e-mail was handed over, which is not noted yet
    after    the handler has written more than that and returned, its job is not marked as done
`drain` lets a fresh worker finish, after a minute has passed and the dead ones have been noticed.
Each is answered by a line of JSON: for a kill, of every worker that died, [topic, subscriber].

Forked from a process without threads and connections, so that a worker starts in a moment.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import django

QUEUES = ["events"]
A_MINUTE_LATER = "UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat - interval '2 minutes'"
A_MOMENT_LATER = (
    "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE queue_name = 'events' AND status = 'todo'"
)
WRITES = ("INSERT", "UPDATE", "DELETE")


def main() -> None:
    django.setup()
    import procrastinate.worker  # noqa: F401
    import psycopg_pool  # noqa: F401
    from django.urls import get_resolver
    from procrastinate.contrib.django import app

    assert get_resolver().reverse_dict  # imports every view: once, not in each child
    app.periodic_registry.periodic_tasks.clear()  # what waits is what the test has made
    for line in sys.stdin:
        point = line.strip()
        if point == "drain":
            run(drain)
            answer: Any = "drained"
        else:
            answer = []
            while died := run(lambda report, point=point, died=answer: die_at(point, died, report)):
                answer.append(died)
        print(json.dumps(answer), flush=True)  # noqa: T201


def run(work: Callable[[int], None]) -> Any:
    """In a child. What it wrote before it was killed; None where it ended by itself."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        work(writing)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as notes:
        note = notes.read()
    _pid, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return json.loads(note)
    assert status == 0, f"the worker ended with {status}"
    return None


def work() -> None:
    from procrastinate.contrib.django import app

    with app.replace_connector(app.connector.get_worker_connector()) as worker:
        worker.run_worker(
            wait=False, install_signal_handlers=False, listen_notify=False, queues=QUEUES, concurrency=1
        )


def drain(report: int) -> None:
    from django.db import connection

    from clinic_booking.jobs import retry_stalled_jobs

    with connection.cursor() as cursor:
        cursor.execute(A_MINUTE_LATER)
    retry_stalled_jobs.configure(queue=QUEUES[0]).defer(timestamp=0)
    connection.close()
    work()
    # It may have taken a job before the stalled ones were back, or have one to try again in a moment.
    with connection.cursor() as cursor:
        cursor.execute(A_MOMENT_LATER)
    connection.close()
    work()


def die_at(point: str, died: list[list[str]], report: int) -> None:
    from clinic_booking import events

    find = events.handler

    def doomed(topic: str, name: str) -> Any:
        handle = find(topic, name)
        return handle if [topic, name] in died else Doomed(point, report, topic, name, handle)

    events.handler = doomed
    work()


class Doomed:
    """One handler in one worker."""

    def __init__(self, point: str, report: int, topic: str, name: str, handle: Callable[[Any], None]) -> None:
        self.point, self.report, self.handle = point, report, handle
        self.note = json.dumps([topic, name]).encode()
        self.writes = 0

    def __call__(self, event: Any) -> None:
        with self.watched():
            self.handle(event)
        if self.point == "after" and self.writes > 1:
            self.die()

    def die(self) -> None:
        os.write(self.report, self.note)
        os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def watched(self):
        from django.core.mail import EmailMessage
        from django.db import connection

        commit, send = connection._commit, EmailMessage.send

        def doomed_send(message: Any, *args: Any, **kwargs: Any) -> int:
            sent = send(message, *args, **kwargs)
            if self.point == "sent":
                self.die()
            return sent

        def watch(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
            if connection.in_atomic_block or not str(sql).lstrip().upper().startswith(WRITES):
                return execute(sql, params, many, context)
            return self.write(lambda: execute(sql, params, many, context))

        connection.ensure_connection()
        connection._commit, EmailMessage.send = lambda: self.write(commit), doomed_send
        try:
            with connection.execute_wrapper(watch):
                yield
        finally:
            connection._commit, EmailMessage.send = commit, send

    def write(self, write: Callable[[], Any]) -> Any:
        if self.point == "before":
            self.die()
        result = write()
        self.writes += 1
        if self.point == "between":
            self.die()
        return result


if __name__ == "__main__":
    main()
