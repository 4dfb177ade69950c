"""What counts as opening somebody's record, and who is asked before the page is shown.

A page whose address names a record (its clinic alone is none) and that read one patient opens that patient; so does what
leaves as a file, for everybody in it. All else is a list, which shows the minimum. A view that names a record and shows
no more than a list does is marked `minimum`: the desk's day goes on by it.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from clinic_booking.errors import NamedError, answer
from clinic_booking.models import AuditEvent, User
from clinic_booking.roles import roles_of

Action = AuditEvent.Action
LEAST_REASON, MOST_REASON = 10, 200
OF_STAFF = ("/desk/", "/doctor/", "/privacy-office/", "/confidential/", "/glass/", "/admin/")
OF_OFFICERS = ("/privacy-office/", "/confidential/", "/glass/")
View = TypeVar("View", bound=Callable[..., HttpResponse])


class ShortReason(NamedError):
    status = 422
    sentence = _("Please say in at least 10 characters why you need this record.")


class Opening(NamedTuple):
    """`is_staff_page`: not one that patients see, too. `is_office`: of who is told of openings, not asked."""

    user: User
    patients: frozenset[int]
    clinic: str
    action: str
    is_staff_page: bool
    is_office: bool


Gate = Callable[[HttpRequest, Opening], HttpResponse | None]
_gates: list[Gate] = []


def gate(function: Gate) -> Gate:
    """Its answer is shown in place of the record; in the order of registration."""
    _gates.append(function)
    return function


def minimum(view: View) -> View:
    """Outermost of the decorators of a view."""
    view.shows_minimum = True  # type: ignore[attr-defined]
    return view


def action_of(request: HttpRequest, response: HttpResponse, seen: set[int]) -> str:
    match = request.resolver_match
    kind = response.get("Content-Type", "").partition(";")[0]
    if kind == "application/pdf":
        return Action.PRINT
    if "attachment" in response.get("Content-Disposition", "") or kind in ("text/csv", "text/calendar"):
        return Action.EXPORT
    if match is None or match.view_name == "desk_book_patients":
        return Action.SEARCH if match else Action.LIST
    names_record = match.kwargs.keys() - {"clinic"} and not getattr(match.func, "shows_minimum", False)
    return Action.VIEW if names_record and len(seen) == 1 else Action.LIST


def asked_first(request: HttpRequest, response: HttpResponse, seen: set[int]) -> HttpResponse | None:
    """The answer of the gate that does not let this pass."""
    user = request.user
    action = action_of(request, response, seen)
    is_shown = response.status_code in (200, 409, 422)
    if not (is_shown and action in (Action.VIEW, Action.EXPORT, Action.PRINT) and isinstance(user, User)):
        return None
    if not (roles_of(user) or user.office):
        return None
    match = request.resolver_match
    opening = Opening(
        user=user,
        patients=frozenset(seen),
        clinic=str(match.kwargs.get("clinic", "")) if match else "",
        action=action,
        is_staff_page=request.path.startswith(OF_STAFF),
        is_office=bool(user.office) and request.path.startswith(OF_OFFICERS),
    )
    return next((said for each in _gates if (said := each(request, opening)) is not None), None)


def clinic_of(slug: str, user: User) -> int | None:
    """Where they are at work: the clinic of the page, or else the first of theirs."""
    mine = roles_of(user)
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_clinic(%s)", [slug])
        (here,) = cursor.fetchone()
    return here if here in mine else next(iter(mine), None)


def way_back(request: HttpRequest) -> str:
    """What was sent was dealt with: from there the way leads to the desk."""
    return request.get_full_path() if request.method in ("GET", "HEAD") else ""


def refuse(request: HttpRequest, error: NamedError) -> HttpResponse:
    said = answer(request, error)
    if request.headers.get("hx-request") == "true" and request.method == "GET":
        said["HX-Redirect"] = request.get_full_path()
    return said


def ask(request: HttpRequest, error: NamedError, template: str, context: dict[str, object]) -> HttpResponse:
    """The form that asks for a reason, as a page, as a fragment, which leads to the page, or as JSON."""
    if request.headers.get("accept") == "application/json":
        return answer(request, error)
    is_fragment = request.headers.get("hx-request") == "true"
    context |= {"error": error, "base": "_bare.html" if is_fragment else "base.html"}
    said = render(request, template, context, status=error.status)
    if is_fragment and request.method == "GET":
        said["HX-Redirect"] = request.get_full_path()
    return said
