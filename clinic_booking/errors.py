"""Named errors: each knows the sentence for the person and the HTTP status. And the pages that say it."""

import logging
import sys

from django.core.exceptions import RequestDataTooBig
from django.db import DataError, IntegrityError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from psycopg import errors as postgres

logger = logging.getLogger(__name__)

BUSY = (postgres.LockNotAvailable, postgres.QueryCanceled, postgres.DeadlockDetected)


class NamedError(Exception):
    """An expected refusal. `NamedErrors` middleware answers it; nothing was changed when it is raised."""

    status = 409
    sentence: str | Promise = _("That was not possible.")

    def __str__(self) -> str:
        return str(self.sentence)


class BadInput(NamedError):
    status = 400
    sentence = _("This request could not be understood. Please go back and try again.")


class NotAllowed(NamedError):
    status = 403
    sentence = _("You may not see or do this. Please log in with another account, or ask the clinic.")


class StalePage(NamedError):
    status = 403
    sentence = _(
        "This page was open for too long, or cookies are switched off. Please reload it and try again."
    )


class NoSuchPage(NamedError):
    status = 404
    sentence = _("There is no such page. It may have moved, or the address has a typing error.")


class NotThisWay(NamedError):
    status = 405
    sentence = _(
        "Nothing was changed: this address only takes what a form sends. Please go back, and send the form again."
    )


class TooLarge(NamedError):
    status = 413
    sentence = _("This is too large to be accepted.")


class CardNumberGiven(NamedError):
    status = 422
    sentence = _(
        "Please do not write card numbers here. Card details belong into the payment fields only. "
        "Nothing was kept: please go back and take the number out."
    )


class Kept(NamedError):
    """Of a legal hold nobody is told here."""

    sentence = _("This must be kept for now, so nothing was changed. Please ask the privacy officer.")


class TooManyRequests(NamedError):
    """`seconds` until it may be tried again."""

    status = 429
    sentence = _("This was asked for too often. Please wait a little, and try again.")

    def __init__(self, seconds: int = 60) -> None:
        super().__init__()
        self.retry_after_seconds = seconds


class Fault(NamedError):
    status = 500
    sentence = _(
        "Something went wrong on our side. Please try again; if it happens again, please call the clinic."
    )


class Busy(NamedError):
    status = 503
    sentence = _("Many people are booking right now. Please try again in a moment.")
    retry_after_seconds = 2


def named(exception: BaseException | None) -> NamedError | None:
    """The named error that this exception means to the person, if any."""
    if isinstance(exception, NamedError):
        return exception
    if isinstance(exception, RequestDataTooBig):
        return TooLarge()
    if isinstance(exception, DataError):  # a number out of range, a NUL: what a form should have refused
        logger.warning("bad input reached the database", exc_info=exception)
        return BadInput()
    if isinstance(exception, IntegrityError) and isinstance(exception.__cause__, postgres.RestrictViolation):
        return Kept()  # the triggers of legal holds say so
    if isinstance(exception, OperationalError):
        if not isinstance(exception.__cause__, BUSY):
            logger.error("database trouble", exc_info=exception)
        return Busy()
    return None


def answer(request: HttpRequest, error: NamedError) -> HttpResponse:
    """As a page, a fragment for htmx, or JSON for whoever asks for it."""
    response: HttpResponse
    if request.headers.get("accept") == "application/json":
        response = JsonResponse({"error": str(error.sentence)}, status=error.status)
    else:
        is_fragment = request.headers.get("hx-request") == "true"
        content = render_to_string(
            "_error.html" if is_fragment else "error.html",
            {"error": error, "sentence": error.sentence, "status": error.status},
            # The page's head looks at the session, which needs the database that has just failed.
            request=request if error.status < 500 else None,
        )
        response = HttpResponse(content, status=error.status)
    if seconds := getattr(error, "retry_after_seconds", None):
        response["Retry-After"] = str(seconds)
    return response


# -- Django's error views ------------------------------------------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, named(exception) or BadInput())


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, NotAllowed())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, NoSuchPage())


def server_error(request: HttpRequest) -> HttpResponse:
    return answer(request, named(sys.exc_info()[1]) or Fault())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return answer(request, StalePage())
