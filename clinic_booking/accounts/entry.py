"""The way in. Nobody is logged in before all is shown that the login must show, so a session with a user is whole.

Half-way (name and password were right, the second factor is missing) the session only remembers whose second factor is
awaited, for ten minutes.
"""

import time

from django.contrib import auth
from django.db import transaction
from django.http import HttpRequest

from clinic_booking import audit
from clinic_booking.accounts import factors, lockout
from clinic_booking.accounts.sessions import PASSWORD_BACKEND
from clinic_booking.accounts.staff import is_staff
from clinic_booking.models import User

WAITING = "entering"
SWITCHING = "switching"  # somebody's second factor without a password: it opens the user switch alone
WAIT_SECONDS = 600


def by_password(request: HttpRequest, *, username: str, password: str) -> User | None:
    """Who it is, if both are right. Raises LockedOut, for names that do not exist too."""
    lockout.take_place(lockout.PLACE, request)
    known = User.objects.filter(username=username).first()
    last = lockout.take(lockout.ACCOUNT, username, user=known)
    user = auth.authenticate(request, username=username, password=password)
    if user is None:
        failed(known, reason="locked" if last else "password")
        return None
    assert isinstance(user, User)
    lockout.succeeded(lockout.ACCOUNT, username)
    lockout.give_back(lockout.PLACE, request)
    return user


def failed(user: User | None, *, reason: str) -> None:
    audit.record(audit.Action.LOGIN_FAILED, f"user:{user.pk if user else 0}", by=None, reason=reason)


def needs_second(user: User) -> bool:
    return is_staff(user) or factors.has_second(user)


def wait_for_second(request: HttpRequest, user: User, *, back: str) -> None:
    request.session.cycle_key()
    request.session[WAITING] = {"user": user.pk, "at": time.time(), "next": back}


def waiting(request: HttpRequest) -> User | None:
    """Whose second factor is awaited in this session: name and password were right."""
    return _awaited(request, WAITING)


def switching(request: HttpRequest) -> User | None:
    return _awaited(request, SWITCHING)


def _awaited(request: HttpRequest, key: str) -> User | None:
    waits = request.session.get(key)
    if not waits or time.time() - waits["at"] > WAIT_SECONDS:
        return None
    return User.objects.filter(pk=waits["user"], is_active=True).first()


def enter(request: HttpRequest, user: User, *methods: str) -> str:
    """Log in by the methods that were shown. Where to go on: the page that was asked for at the beginning."""
    back: str = request.session.pop(WAITING, {}).get("next", "")
    request.session.pop(SWITCHING, None)
    request.door_methods = methods  # type: ignore[attr-defined]
    with transaction.atomic():
        auth.login(request, user, backend=PASSWORD_BACKEND)
        audit.record(audit.Action.LOGIN, f"user:{user.pk}", by=user, reason=" ".join(methods))
    return back
