"""Where somebody says why they open so many records."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from clinic_booking.accounts import step_up
from clinic_booking.audit import limit
from clinic_booking.audit.limit_form import WhyForm
from clinic_booking.context import Request
from clinic_booking.models import User
from clinic_booking.roles import roles_of


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def many_records(request: Request) -> HttpResponse:
    user = request.user
    if not (isinstance(user, User) and (roles_of(user) or user.office)):
        raise Http404
    form = WhyForm(request.POST or None)
    if not form.is_valid():
        return _page(request, form)
    now = limit.standing(user, more=form.cleaned_data["more"] or 1)
    if now.is_asked:
        if now.needed > 1 and not step_up.is_fresh(request):
            return step_up.ask(request)
        given = form.cleaned_data
        limit.go_on(now=now, reason=given["reason"], by=user, clinic=given["clinic"])
    return redirect(step_up.safe_next(request, form.cleaned_data["next"], reverse("desk_home")))


def _page(request: Request, form: WhyForm) -> HttpResponse:
    context: dict[str, Any] = {
        "nav": "desk",
        "form": form,
        "error": limit.TooManyRecords(),
        "base": "base.html",
    }
    return render(request, "audit/many_records.html", context, status=422 if form.errors else 200)
