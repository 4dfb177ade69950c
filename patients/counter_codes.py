"""A code on the screen of whoever is logged in, read out at the counter: it says which login is theirs."""

import datetime as dt
import secrets

from django.utils.crypto import salted_hmac

from clinic_booking.accounts.staff import is_staff
from clinic_booking.models import ClockTimestamp, User
from patients.models import LinkingCode

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that is taken for another
LENGTH = 8
LIFE = dt.timedelta(minutes=10)


def make(*, user: User, purpose: str) -> str:
    """Good for ten minutes and one use, and only the last one made."""
    code = "".join(secrets.choice(LETTERS) for _each in range(LENGTH))
    fresh = {"digest": _digest(code, purpose), "expires_at": ClockTimestamp() + LIFE}
    LinkingCode.objects.update_or_create(user=user, defaults=fresh)
    return f"{code[:4]}-{code[4:]}"


def redeem(code: str, *, purpose: str) -> User | None:
    """The patient's login; of two at once the one whose DELETE finds the row. Joins the caller's transaction: what is
    rolled back leaves the code good."""
    plain = "".join(each for each in code.upper() if each.isalnum())
    found = LinkingCode.objects.filter(digest=_digest(plain, purpose), expires_at__gt=ClockTimestamp())
    known = found.select_related("user").first()
    if known is None or not found.delete()[0]:
        return None
    return None if not known.user.is_active or is_staff(known.user) else known.user


def _digest(code: str, purpose: str) -> str:
    return salted_hmac(purpose, code, algorithm="sha256").hexdigest()
