"""Jobs of the kernel: delivering events, and bringing back jobs whose worker died."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.management import call_command
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app
from procrastinate.worker import Worker

from clinic_booking import counts, events, parked
from clinic_booking.models import Event, User

# 2, 4, 8 … seconds: an hour of trouble is ridden out, then a delivery is parked and any other job shows as failed.
RETRY = RetryStrategy(max_attempts=11, exponential_wait=2)
STALLED_SECONDS = 60
MOST_DEATHS = 20  # one that kills its worker each time is put back each time: some day it has to end


class NoSubscriber(Exception):
    """The handler was removed or renamed since the job was written, or this worker is older than the web."""


class WorkerDied(Exception):
    pass


def park_at_last(call_next: Callable[[], None], context: JobContext, worker: Worker) -> None:
    """After the last try the job is done: what is left of it is the parked delivery."""
    tries = context.job.attempts + 1
    try:
        if tries > MOST_DEATHS:
            raise WorkerDied
        call_next()
    except Exception as error:
        if RETRY.get_retry_decision(exception=error, job=context.job):
            raise
        of: dict[str, Any] = context.job.task_kwargs
        parked.park(**of, tries=tries, error=error)


@app.task(name="deliver", queue="events", retry=RETRY, task_middleware=[park_at_last])
def deliver(event_id: int, subscriber: str) -> None:
    event = Event.objects.get(pk=event_id)
    handle = events.handler(event.topic, subscriber)
    if handle is None:
        raise NoSubscriber(subscriber)
    try:
        handle(event)
    except events.NotYet as wait:
        events.deliver_later(event_id, subscriber, wait.seconds)


@app.periodic(cron="* * * * *")
@app.task(name="retry_stalled_jobs", queue="ops", queueing_lock="retry_stalled_jobs", pass_context=True)
async def retry_stalled_jobs(context: JobContext, timestamp: int) -> None:
    """A worker that was killed leaves its job at "doing": put it back in the queue."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
        await app.job_manager.retry_job(job)


@app.periodic(cron="* * * * *")
@app.task(name="carry_counts_forward", queue="ops", queueing_lock="carry_counts_forward")
def carry_counts_forward(timestamp: int) -> None:
    counts.carry_forward()


@app.task(name="tell_of_new_password", queue="ops", retry=RETRY)
def tell_of_new_password(user_id: int, at: str) -> None:
    from clinic_booking.accounts import passwords

    passwords.tell(User.objects.get(pk=user_id), datetime.fromisoformat(at))


@app.periodic(cron="17 4 * * *")
@app.task(name="forget_doors", queue="ops", queueing_lock="forget_doors")
def forget_doors(timestamp: int) -> None:
    """Codes that are over, tries that count no more, devices nobody uses, sessions that have ended."""
    from clinic_booking.accounts import codes, devices, lockout

    codes.forget()
    lockout.forget()
    devices.forget_old()
    call_command("clearsessions")
