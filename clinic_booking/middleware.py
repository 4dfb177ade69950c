"""Around every view. Each is one function call: this is the hot path."""

import re
import uuid
from collections.abc import Callable
from urllib.parse import unquote_plus, unquote_to_bytes

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.request import UnreadablePostError
from prometheus_client import Counter

from clinic_booking import errors, logs, pan

GetResponse = Callable[[HttpRequest], HttpResponse]
View = Callable[..., HttpResponse]
is_identifier = re.compile(r"[\w-]{8,64}", re.ASCII).fullmatch


def request_id(get_response: GetResponse) -> GetResponse:
    """The proxy's X-Request-ID, or our own, on the answer and in each log line."""

    def middleware(request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        identifier = given if is_identifier(given) else uuid.uuid4().hex
        token = logs.request_id.set(identifier)
        try:
            response = get_response(request)
        finally:
            logs.request_id.reset(token)
        response["X-Request-ID"] = identifier
        return response

    return middleware


def admin_csp(get_response: GetResponse) -> GetResponse:
    """Unfold's scripts (Alpine) evaluate and set styles: allowed under /admin/ only."""
    widened = {"script-src": ["'unsafe-eval'"], "style-src": ["'unsafe-inline'"]}

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.path_info.startswith("/admin/"):
            response._csp_update = widened  # type: ignore[attr-defined]
        return response

    return middleware


def permissions_policy(get_response: GetResponse) -> GetResponse:
    """Nothing here needs a camera; a script that got in shall not have one either. Stripe's frames may pay."""
    denied = ("camera", "microphone", "geolocation", "usb", "midi", "display-capture")
    policy = ", ".join(f"{feature}=()" for feature in denied)

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Permissions-Policy"] = policy
        return response

    return middleware


def refuse_bad_input(get_response: GetResponse) -> GetResponse:
    """What no view can mean: bytes that are not UTF-8, NUL, a body that is too large."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or float("inf")

    def middleware(request: HttpRequest) -> HttpResponse:
        # Django keeps what is not UTF-8 in a path as %xx, which makes both look alike.
        query = request.META.get("QUERY_STRING", "").encode("latin-1", "replace")
        if not (is_text(request.path_info.encode()) and is_text(query)):
            return errors.answer(request, errors.BadInput())
        length = request.META.get("CONTENT_LENGTH")
        if length and length.isdecimal() and int(length) > limit:
            return errors.answer(request, errors.TooLarge())
        return get_response(request)

    return middleware


def is_text(raw: bytes) -> bool:
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    try:
        return "\0" not in raw.decode()
    except UnicodeDecodeError:
        return False


card_numbers = Counter("card_numbers_refused", "Requests that held a card number", ["view"])


def says_so_itself(view: View) -> View:
    """For a view whose form refuses card numbers by its own sentence, and does not show them again."""
    view.refuses_card_numbers = True  # type: ignore[attr-defined]
    return view


class RefuseCardNumbers:
    """Before a view, or the session, may keep one. Signed reports of other servers are not what a person types."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        address = f"{request.path_info}?{unquote_plus(request.META.get('QUERY_STRING', ''))}"
        if pan.holds_card_number(address):
            return refuse_card_number(request, "address")
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: View, args: object, kwargs: object
    ) -> HttpResponse | None:
        known = getattr(view, "csrf_exempt", False) or getattr(view, "refuses_card_numbers", False)
        if request.method in ("GET", "HEAD", "OPTIONS") or known:
            return None
        try:
            text = request.body.decode("latin-1")
        except UnreadablePostError:
            return errors.answer(request, errors.BadInput())
        held = pan.holds_card_number(text) or pan.holds_card_number(unquote_plus(text))
        return refuse_card_number(request, getattr(view, "__name__", "view")) if held else None


def refuse_card_number(request: HttpRequest, view: str) -> HttpResponse:
    card_numbers.labels(view).inc()
    # The page shows its own address, so the number must not be in it.
    request.META["QUERY_STRING"] = ""
    request.GET = QueryDict()
    return errors.answer(request, errors.CardNumberGiven())


class NamedErrors:
    """A named error, or a database that is too busy, becomes an answer with its sentence and status."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code != 405 or response.content:
            return response
        # Who is logged out before a form is sent comes to its address after the login: no blank page then.
        said = errors.answer(request, errors.NotThisWay())
        said.headers["Allow"] = response.headers.get("Allow", "")
        return said

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        named = errors.named(exception)
        return errors.answer(request, named) if named else None
