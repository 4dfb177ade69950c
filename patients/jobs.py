"""Jobs and subscribers of patients."""

from procrastinate.contrib.django import app

from clinic_booking.jobs import RETRY
from patients.proxies import acts
from patients.rights import copies, reminding, requests


@app.task(name="make_copy", queue="ops", retry=RETRY)
def make_copy(copy_id: str) -> None:
    copies.make(copy_id)


@app.periodic(cron="0 1 * * *")  # UTC: nine in the morning in Singapore
@app.task(name="remind_privacy_officers", queue="ops", queueing_lock="remind_privacy_officers", retry=RETRY)
def remind_privacy_officers(timestamp: int) -> None:
    reminding.remind()


@app.periodic(cron="20 * * * *")
@app.task(name="forget_copies", queue="ops", queueing_lock="forget_copies")
def forget_copies(timestamp: int) -> None:
    copies.empty_old()
    requests.forget_preserved()


@app.periodic(cron="7 16 * * *")  # UTC: just after midnight in Singapore, when birthdays begin
@app.task(name="end_proxies", queue="ops", queueing_lock="end_proxies", retry=RETRY)
def end_proxies(timestamp: int) -> None:
    acts.end_due()
