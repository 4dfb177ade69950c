"""How long somebody stays logged in (compliance.md §4.8): decided here, whatever the browser does.

`request.session["door"]` is written at each login, by whatever way, and says since when, by which methods, when the
last one was proved, and when the person last did something. What a page asks for by itself is not doing something.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth import BACKEND_SESSION_KEY, SESSION_KEY
from django.contrib.auth.signals import user_logged_in
from django.db.models import F
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _

from clinic_booking.accounts.staff import is_staff
from clinic_booking.models import User

GetResponse = Callable[[HttpRequest], HttpResponse]
DOOR = "door"
NOTE_SECONDS = 30  # how exactly the last activity is known; each note is a write
PROVE = {"totp", "passkey", "recovery_code", "email_code", "singpass"}
SECOND_FACTORS = {"totp", "passkey", "recovery_code"}
TRUSTED = "trusted"  # logged in by code of ours that has asked everything: tests, management
PASSWORD_BACKEND = "django.contrib.auth.backends.ModelBackend"  # noqa: S105


@receiver(user_logged_in)
def stamp(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    if request is None or not hasattr(request, "session"):
        return
    methods = getattr(request, "door_methods", None)
    if methods is None:
        foreign = request.session.get(BACKEND_SESSION_KEY, PASSWORD_BACKEND) != PASSWORD_BACKEND
        methods = ["singpass"] if foreign else [TRUSTED]
    request.session[DOOR] = fresh(user, methods)


def fresh(user: User, methods: Iterable[str]) -> dict[str, Any]:
    """The stamp of a login just now."""
    now, shown = time.time(), list(methods)
    proved = now if {TRUSTED, *PROVE} & set(shown) else None
    return {"since": now, "seen": now, "staff": is_staff(user), "methods": shown, "proved": proved}


def prove(request: HttpRequest, method: str) -> None:
    """The person has just shown this method again: a new session key, and the ten minutes of `step_up` begin."""
    door = request.session[DOOR]
    now = time.time()
    methods = sorted({*door["methods"], method})
    request.session[DOOR] = door | {"proved": now, "seen": now, "methods": methods}
    request.session.cycle_key()


def idle_seconds(door: Mapping[str, Any]) -> int:
    return int(settings.STAFF_IDLE_SECONDS if door["staff"] else settings.PATIENT_IDLE_SECONDS)


def seconds_left(door: Mapping[str, Any]) -> int:
    """Until the person is logged out, if nothing happens."""
    ends = min(door["seen"] + idle_seconds(door), door["since"] + settings.SESSION_COOKIE_AGE)
    return int(ends - time.time())


def is_over(session: Mapping[str, Any]) -> bool:
    """For sockets too. A session without a stamp has never passed a door."""
    door = session.get(DOOR)
    return door is None or seconds_left(door) <= 0


def lacks_second_factor(session: Mapping[str, Any]) -> bool:
    door = session[DOOR]
    return door["staff"] and not {TRUSTED, *SECOND_FACTORS} & set(door["methods"])


def end_all(user: User) -> None:
    """Log out everywhere, open calendars too, and from the fast switch of each desk."""
    User.objects.filter(pk=user.pk).update(session_generation=F("session_generation") + 1)
    user.refresh_from_db(fields=["session_generation"])


def is_activity(request: HttpRequest) -> bool:
    """A page that is opened, a form that is sent. What scripts fetch is not: they say so at `session` when the person
    did something."""
    if request.method not in ("GET", "HEAD"):
        return True
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode is not None:
        return mode == "navigate"
    by_script = request.headers.get("HX-Request") or request.headers.get("Accept") == "application/json"
    return not by_script


def middleware(get_response: GetResponse) -> GetResponse:
    """Ends sessions, notes activity, keeps pages of logged-in people out of caches."""

    def around(request: HttpRequest) -> HttpResponse:
        # Who brings no cookie is not looked for: such a page must come without database and Redis.
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or SESSION_KEY not in request.session:
            return get_response(request)
        if answer := _stopped(request):
            return answer
        response = get_response(request)
        if "no-store" not in response.get("Cache-Control", ""):
            patch_cache_control(response, no_store=True, private=True)
        return response

    return around


def _stopped(request: HttpRequest) -> HttpResponse | None:
    """Ends the session where it is over; an answer instead of the view where a factor is missing."""
    if is_over(request.session):
        _end(request)
        return None
    door = request.session[DOOR]
    if is_activity(request) and time.time() - door["seen"] > NOTE_SECONDS:
        # A patient may have become a member of the staff meanwhile.
        staff = door["staff"] or is_staff(request.user)
        request.session[DOOR] = door | {"seen": time.time(), "staff": staff}
    if lacks_second_factor(request.session):
        user = request.user
        assert isinstance(user, User)
        auth.logout(request)
        return redirect(f"{reverse('login')}?next={request.path if user.is_active else '/'}")
    return None


def _end(request: HttpRequest) -> None:
    auth.logout(request)
    if is_activity(request):
        messages.info(
            request, _("You were logged out because nothing happened for a while. Please log in again.")
        )
