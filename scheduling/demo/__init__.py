"""Demo data, the same on every run of a day. `seed` makes whatever is missing, so it can be repeated or continued."""

import datetime as dt
from collections.abc import Callable

from django.db import connection, transaction

from scheduling.demo.bookings import book_day, density, finish_past
from scheduling.demo.identities import make_identities
from scheduling.demo.people import make_patients
from scheduling.demo.places import make_places
from scheduling.demo.staff import make_logins
from scheduling.inventory import generate
from scheduling.models import Clinic

DAYS = 30


def seed(*, say: Callable[[str], None], days: int = DAYS) -> list[Clinic]:
    """Clinics, staff, patients, slots and bookings from today on. Returns the clinics."""
    today = _today()
    with transaction.atomic():
        clinics = make_places(today)
        patients = make_patients()
        make_logins(clinics, patients)
        make_identities(patients)
    say(f"{len(clinics)} clinics, {len(patients)} patients, staff and logins")
    report = generate(days=days, clinics=clinics, first=today)
    say(f"{report.added} slots added, {report.unchanged} there already")
    finish_past(clinics, patients)
    made = 0
    for offset in range(days):
        made += book_day(clinics, patients, today + dt.timedelta(offset), booked=density(offset))
        if offset % 10 == 9 or offset == days - 1:
            say(f"{made} bookings made for {offset + 1} days")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return clinics


def _today() -> dt.date:
    """The clinics are all in Singapore."""
    return Clinic(time_zone="Asia/Singapore").today()
