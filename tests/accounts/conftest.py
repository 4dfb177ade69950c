import re

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.core import mail
from django.db import connection

from clinic_booking.accounts import factors
from tests import factories

PASSWORD = factories.PASSWORD


class App:
    """An authenticator app on somebody's phone."""

    def __init__(self, user, secret=None):
        self.secret = secret or factors.new_secret()
        if secret is None:
            factors.set_totp(user, self.secret, counter=0)

    @property
    def code(self):
        now = list(totp.yield_hotp_counters_from_time())[1]
        return totp.format_hotp_value(totp.hotp_value(self.secret, now))

    @property
    def wrong(self):
        return f"{(int(self.code) + 500_001) % 10**6:06}"


@pytest.fixture
def app(receptionist):
    return App(receptionist)


def code_in(message=None):
    return re.search(r"\d{3} \d{3}", (message or mail.outbox[-1]).body)[0]


def pass_time(seconds):
    """As if everything that the doors remember were so much older."""
    ago = f"interval '{seconds} seconds'"
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE clinic_booking_doorlock SET last_at = last_at - {ago}, locked_until = locked_until - {ago}"
        )
        cursor.execute(f"UPDATE clinic_booking_onetimecode SET expires_at = expires_at - {ago}")
        cursor.execute(f"UPDATE clinic_booking_devicelogin SET logged_in_at = logged_in_at - {ago}")
        cursor.execute(f"UPDATE clinic_booking_device SET created_at = created_at - {ago}")


def log_in(client, user, password=PASSWORD, **more):
    return client.post("/login/", {"username": user.username, "password": password, **more})


def is_in(client):
    return "_auth_user_id" in client.session
