import datetime as dt
from zoneinfo import ZoneInfo

from django.db import connection

from patients.proxies import acts
from tests.factories import PatientFactory, UserFactory

SINGAPORE = ZoneInfo("Asia/Singapore")


def child(**more):
    today = dt.datetime.now(SINGAPORE).date()
    return PatientFactory(birth_date=dt.date(today.year - 8, 1, 15), **more)


def given(patient=None, user=None, relation="parent", **more):
    user = user or UserFactory()
    values = {"evidence": "birth_certificate", "by": user} | more
    return acts.grant(patient=patient or child(), user=user, relation=relation, **values)


def backdate(proxy):
    """As if its time were over. The guard lets nobody do that: it steps aside."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            "UPDATE patients_proxy SET starts_at = now() - interval '9 days', ends_at = now() - interval '1 day'"
            " WHERE id = %s",
            [proxy.pk],
        )
        cursor.execute("SET session_replication_role = origin")
