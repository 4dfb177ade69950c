"""Every look of staff at a patient's record is written down before the answer leaves, whatever the page.

A page need not say so: each Patient that is read from the database in a request is noted (`Patient.from_db`); what is
read without the model says so by `saw`. One row for each request at most; pages that refresh themselves add rows only
for people who are new on them.
"""

from collections.abc import Callable, Iterable

from django.http import HttpRequest, HttpResponse

from clinic_booking import acting, audit
from clinic_booking.audit import openings

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
            if (asked := openings.asked_first(request, response, who.seen)) is not None:
                return asked
            write_down(request, response, who.seen)
        return response

    return answer


def write_down(request: HttpRequest, response: HttpResponse, seen: set[int]) -> None:
    match = request.resolver_match
    name = match.view_name if match else "none"
    action = openings.action_of(request, response, seen)
    again = 0.0 if action in (Action.EXPORT, Action.PRINT) else audit.AGAIN_SECONDS
    audit.record_list(
        action,
        f"page:{name}"[:80],
        by=request.user if request.user.is_authenticated else None,
        patients=seen,
        clinic_slug=str(match.kwargs.get("clinic", "")) if match else "",
        again=again,
        only_staff=True,
    )
