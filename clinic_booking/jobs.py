"""Jobs of the kernel: delivering events, and bringing back jobs whose worker died."""

import logging

from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app

from clinic_booking import events
from clinic_booking.models import Event

logger = logging.getLogger(__name__)

# 2, 4, 8 … seconds: about 17 minutes of trouble are ridden out, then the job shows as failed.
RETRY = RetryStrategy(max_attempts=10, exponential_wait=2)
STALLED_SECONDS = 60


@app.task(name="deliver", queue="events", retry=RETRY)
def deliver(event_id: int, subscriber: str) -> None:
    event = Event.objects.get(pk=event_id)
    handle = events.handler(event.topic, subscriber)
    if handle is None:
        logger.warning("subscriber is gone", extra={"subscriber": subscriber, "event": event_id})
        return
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
