"""Jobs and subscribers of scheduling."""

from procrastinate.contrib.django import app

from scheduling.booking import expire_holds


@app.periodic(cron="* * * * * */5")
@app.task(name="expire_holds", queue="ops", queueing_lock="expire_holds")
def expire_run_out_holds(timestamp: int) -> None:
    expire_holds()
