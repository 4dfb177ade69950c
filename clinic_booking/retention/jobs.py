"""Every night what the rules say is due; every ten minutes the clocks of open incidents."""

import logging

from procrastinate.contrib.django import app

from clinic_booking import backups
from clinic_booking.retention import breach
from clinic_booking.retention.run import run

logger = logging.getLogger(__name__)


class LeftOver(Exception):
    """Something that is due could not be done: the job shows as failed, `manage.py anonymise` says what."""


@app.periodic(cron="10 19 * * *")  # UTC: ten past three at night in Singapore
@app.task(name="anonymise", queue="ops", queueing_lock="anonymise")
def anonymise(timestamp: int) -> None:
    outcomes = run(operator="job:anonymise")
    backups.expire()
    logger.info("retention rules applied", extra={"done": sum(each.done for each in outcomes)})
    if sum(each.left for each in outcomes):
        raise LeftOver


@app.periodic(cron="*/10 * * * *")
@app.task(name="remind_of_breaches", queue="ops", queueing_lock="remind_of_breaches")
def remind_of_breaches(timestamp: int) -> None:
    breach.remind()
