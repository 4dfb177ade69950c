"""Every look of staff at a patient's record is written down before the answer leaves, whatever the page.

A page need not say so: each Patient that is read from the database in a request is noted (`Patient.from_db`); what is
read without the model says so by `saw`. One row for each request at most; pages that refresh themselves add rows only
for people who are new on them.
"""

import time
from collections.abc import Callable, Iterable

from django.conf import settings
from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from clinic_booking import acting, audit

GetResponse = Callable[[HttpRequest], HttpResponse]
Action = audit.Action


def saw(patients: Iterable[int]) -> None:
    """Names or contacts of these patients are about to be shown to whoever asked."""
    acting.saw(*patients)


def middleware(get_response: GetResponse) -> GetResponse:
    """Inside of the login, outside of everything that renders."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        who = acting.now()
        if who.seen and request.user.is_authenticated:
            write_down(request, response, who.seen)
        return response

    return answer


def write_down(request: HttpRequest, response: HttpResponse, seen: set[int]) -> None:
    match = request.resolver_match
    name = match.view_name if match else "none"
    action = _action(name, response, seen)
    again = 0.0 if action in (Action.EXPORT, Action.PRINT) else audit.AGAIN_SECONDS
    new = audit.record_list(
        action,
        f"page:{name}"[:80],
        by=request.user if request.user.is_authenticated else None,
        patients=seen,
        clinic_slug=str(match.kwargs.get("clinic", "")) if match else "",
        again=again,
        only_staff=True,
    )
    if new:
        _tell_how_many(request, new)


def _tell_how_many(request: HttpRequest, new: int) -> None:
    """Counted in the cache: without it nobody is told, but the trail still says how many it were."""
    limit = settings.AUDIT_LOOKS_AN_HOUR
    key = f"audit-looks:{request.user.pk}:{int(time.time()) // 3600}"
    cache.add(key, 0, 3600)
    try:
        total = cache.incr(key, new) or 0
    except ValueError:  # it ran out between the two
        return
    if total // limit > (total - new) // limit:
        sentence = _("You have opened %(n)s records within the hour. The privacy officer sees this too.")
        messages.warning(request, sentence % {"n": total})


def _action(name: str, response: HttpResponse, seen: set[int]) -> str:
    kind = response.get("Content-Type", "").partition(";")[0]
    if kind == "application/pdf":
        return Action.PRINT
    if "attachment" in response.get("Content-Disposition", "") or kind in ("text/csv", "text/calendar"):
        return Action.EXPORT
    if name == "desk_book_patients":
        return Action.SEARCH
    return Action.VIEW if len(seen) == 1 else Action.LIST
