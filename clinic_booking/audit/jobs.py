"""Jobs of the audit trail: sealing, the digest of the day, partitions for the months to come."""

import logging

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection
from django.utils.translation import gettext as _
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from clinic_booking.audit import seals

logger = logging.getLogger(__name__)
RETRY = RetryStrategy(max_attempts=11, exponential_wait=2)
MONTHS_AHEAD = 2


@app.periodic(cron="* * * * *")
@app.task(name="seal_audit", queue="ops", queueing_lock="seal_audit")
def seal_audit(timestamp: int) -> None:
    seals.seal()


@app.periodic(cron="30 17 * * *")
@app.task(name="announce_audit_day", queue="ops", queueing_lock="announce_audit_day", retry=RETRY)
def announce_audit_day(timestamp: int) -> None:
    """The digest leaves the system: who changes the trail and all its seals cannot change the mail."""
    seals.seal()
    closing = seals.last_closing()
    if closing is None:
        return
    digest = bytes(closing.mac).hex()
    logger.info("audit day %s closed with %s", closing.day, digest)
    send_mail(
        _("Audit trail of %(day)s: keep this digest") % {"day": closing.day},
        _("%(digest)s\n\nmanage.py verify_audit --day %(day)s --digest … compares it.\n")
        % {"digest": digest, "day": closing.day},
        settings.DEFAULT_FROM_EMAIL,
        [settings.DPO_EMAIL],
    )


@app.periodic(cron="15 3 * * *")
@app.task(name="make_audit_partitions", queue="ops", queueing_lock="make_audit_partitions", retry=RETRY)
def make_audit_partitions(timestamp: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_partitions(%s)", [MONTHS_AHEAD])
