"""For administrators: unlock a colleague, reset a lost second factor. Both are audited and want a fresh proof."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from clinic_booking import audit
from clinic_booking.accounts import factors, lockout, step_up
from clinic_booking.accounts.models import DoorLock
from clinic_booking.models import User

# Written by `factors` and `emails` alone: in a form their secrets would be to be seen.
admin.site.unregister([EmailAddress, Authenticator])


@admin.action(description=_("Reset the second factor (a phone is lost)"), permissions=["change"])
def reset_second_factor(
    modeladmin: "admin.ModelAdmin[User]", request: HttpRequest, queryset: QuerySet[User]
) -> HttpResponse | None:
    """The colleague sets up a new one at the next login, and is logged out everywhere until then."""
    if not step_up.is_fresh(request):
        return step_up.ask(request)
    by = request.user
    assert isinstance(by, User)
    for user in queryset.exclude(pk=by.pk):
        with transaction.atomic():
            factors.reset(user)
            audit.record(audit.Action.REVOKE, f"user:{user.pk}", by=by, reason="second_factor")
    messages.success(
        request, _t("They set up a new second factor when they log in. Yours is never reset here.")
    )
    return None


@admin.action(description=_("Unlock (too many wrong tries)"), permissions=["change"])
def unlock(modeladmin: "admin.ModelAdmin[User]", request: HttpRequest, queryset: QuerySet[User]) -> None:
    by = request.user
    assert isinstance(by, User)
    for user in queryset:
        keys = [
            lockout.key_of(lockout.ACCOUNT, user.username),
            lockout.key_of(lockout.SECOND, f"user:{user.pk}"),
        ]
        with transaction.atomic():
            if DoorLock.objects.filter(key__in=keys).delete()[0]:
                audit.record(audit.Action.GRANT, f"user:{user.pk}", by=by, reason="unlocked")
    messages.success(request, _t("They can try again."))
