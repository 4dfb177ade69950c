"""Jobs and subscribers of scheduling."""

import logging

from procrastinate.contrib.django import app

from clinic_booking.jobs import RETRY
from scheduling import (  # noqa: F401  (subscribers)
    glass_report,
    notifications,
    reminders,
    stranded,
    waitlist,
    waitlist_mail,
    waitlist_news,
)
from scheduling.booking import expire_holds
from scheduling.inventory import generate
from scheduling.matching import job  # noqa: F401  (registers its task)

logger = logging.getLogger(__name__)
SUPPLY_DAYS = 30


@app.periodic(cron="* * * * * */5")
@app.task(name="expire_holds", queue="ops", queueing_lock="expire_holds")
def expire_run_out_holds(timestamp: int) -> None:
    expire_holds()


@app.periodic(cron="30 18 * * *")  # UTC: half past two at night in Singapore
@app.task(name="generate_slots", queue="ops", queueing_lock="generate_slots", retry=RETRY)
def generate_slots(timestamp: int) -> None:
    """So that there are always 30 days of supply; `manage.py generate_slots` says more."""
    report = generate(days=SUPPLY_DAYS)
    logger.info(
        "slots generated", extra={"added": report.added, "removed": report.removed, "kept": report.kept}
    )


@app.periodic(cron="* * * * *")
@app.task(name="sweep_waitlist", queue="ops", queueing_lock="sweep_waitlist")
def sweep_waitlist(timestamp: int) -> None:
    waitlist.sweep()


@app.periodic(cron="* * * * *")
@app.task(name="send_reminders", queue="ops", queueing_lock="send_reminders")
def send_reminders(timestamp: int) -> None:
    reminders.send_due()
