"""Step-up: the person proves again who they are, before something that matters.

    from clinic_booking.accounts import step_up

    @login_required
    @step_up.required
    def download(request): ...

Whoever has shown a second factor (staff), a passkey, Singpass or an e-mail code within `FRESH_SECONDS` goes straight
on, a login just now included; so does a test's `client.force_login`. Others are led to the confirmation and back: a page
that was asked for simply comes; a form that was sent (no files, up to 16 KiB) is kept in the session for ten minutes and
sent again with one click. For htmx the answer is HX-Redirect to the confirmation, which leads back to the page. For JSON
it is 403 with `NeedsStepUp`. In a view that decides for itself: `if not step_up.is_fresh(request): return
step_up.ask(request)`. In tests: `step_up.forget(client.session)` makes it stale (save the session afterwards).
"""

import functools
import time
from collections.abc import Callable, MutableMapping
from typing import Any, TypeVar, cast
from urllib.parse import urlencode, urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _

from clinic_booking import errors
from clinic_booking.accounts.sessions import DOOR

FRESH_SECONDS = 600
KEPT = "step_up_form"
MOST_BYTES = 16 * 1024

View = TypeVar("View", bound=Callable[..., HttpResponse])


class NeedsStepUp(errors.NamedError):
    status = 403
    sentence = _("Please confirm first that it is you.")


def required(view: View) -> View:
    @functools.wraps(view)
    def confirmed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs) if is_fresh(request) else ask(request)

    return cast(View, confirmed)


def is_fresh(request: HttpRequest) -> bool:
    if not request.user.is_authenticated:
        return False
    proved = request.session.get(DOOR, {}).get("proved")
    return proved is not None and time.time() - proved < FRESH_SECONDS


def ask(request: HttpRequest) -> HttpResponse:
    """The way to the confirmation and back."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if request.headers.get("accept") == "application/json":
        return errors.answer(request, NeedsStepUp())
    if request.headers.get("hx-request") == "true":
        shown = urlsplit(request.headers.get("hx-current-url", ""))
        return HttpResponse(
            headers={"HX-Redirect": address(f"{shown.path or '/'}?{shown.query}".rstrip("?"))}
        )
    if request.method == "POST":
        _keep(request)
        return redirect(address(request.get_full_path()))
    return redirect(address(request.get_full_path()))


def forget(session: MutableMapping[str, Any]) -> None:
    """The person will be asked again."""
    session[DOOR] = session[DOOR] | {"proved": None}


def safe_next(request: HttpRequest, given: str, otherwise: str = "/") -> str:
    """Only pages of ours are come back to. An address: `redirect` takes what has no slash for the name of a view."""
    hosts = {request.get_host()}
    ok = url_has_allowed_host_and_scheme(given, allowed_hosts=hosts, require_https=request.is_secure())
    return given if ok and given.startswith("/") else otherwise


def kept_form(request: HttpRequest, path: str) -> QueryDict | None:
    """What was sent to this address before the confirmation; once."""
    kept = request.session.pop(KEPT, None)
    if kept is None or kept["path"] != path or time.time() - kept["at"] > FRESH_SECONDS:
        return None
    return QueryDict(kept["body"])


def _keep(request: HttpRequest) -> None:
    given = request.POST.copy()
    given.pop("csrfmiddlewaretoken", None)
    body = given.urlencode()
    if not request.FILES and len(body) <= MOST_BYTES:
        request.session[KEPT] = {"path": request.get_full_path(), "body": body, "at": time.time()}


def address(back_to: str) -> str:
    return f"{reverse('step_up')}?{urlencode({'next': back_to})}"
