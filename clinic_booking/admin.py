"""Admin of the kernel, and the base for what only verbs may write."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django.admin import ProcrastinateEventInline, ProcrastinateJobAdmin
from procrastinate.contrib.django.models import ProcrastinateEvent, ProcrastinateJob
from unfold.admin import ModelAdmin, StackedInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget

from clinic_booking.accounts import step_up
from clinic_booking.accounts.admin import reset_second_factor, unlock
from clinic_booking.accounts.staff import without_patients
from clinic_booking.messages import kinds
from clinic_booking.messages.texts import unknown_places
from clinic_booking.models import Event, MessageTemplate, Notification, User
from clinic_booking.roles import Can, may

SHORT = 480  # characters: three to four parts of an SMS, links and all


class ScopedAdmin(ModelAdmin):
    """Rows of patients as far as `visible_to` goes for whoever was given the permission."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        narrow: Callable[[Any], QuerySet[Any]] | None = getattr(rows, "visible_to", None)
        return narrow(request.user) if narrow else rows


class ReadOnlyAdmin(ScopedAdmin):
    """Look, search, filter: rows are written by verbs."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class LargeAdmin(ReadOnlyAdmin):
    """Over a million rows: counting them all for the page would cost more than showing one."""

    show_full_result_count = False
    ordering = ["-pk"]
    list_per_page = 50


admin.site.unregister([Group, ProcrastinateJob])


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    actions = [reset_second_factor, unlock]
    list_display = ["username", "first_name", "last_name", "office", "is_active", "is_staff"]
    list_filter = ["office", "is_active", "is_staff"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return without_patients(super().get_queryset(request))

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Groups and permissions could give what an office may not have."""
        if obj is None:
            return super().get_fieldsets(request, obj)
        fields = ["is_active", "is_staff", "office"]
        more = ["is_superuser", "groups", "user_permissions"] if request.user.is_superuser else []
        return [
            (None, {"fields": ["username", "password"]}),
            (_("Person"), {"fields": ["first_name", "last_name", "email"]}),
            (_("Rights"), {"fields": fields + more}),
            (_("Times"), {"fields": ["last_login", "date_joined"]}),
        ]

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Whoever finds an open screen must not make themselves a way in."""
        if not step_up.is_fresh(request):
            return step_up.ask(request)
        return super().user_change_password(request, id, form_url)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        own = ["office", "is_staff"] if obj and obj.pk == request.user.pk else []
        return [*super().get_readonly_fields(request, obj), *own]


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["pk", "created_at", "topic", "subject", "clinic_id"]
    list_filter = ["topic"]
    search_fields = ["=subject"]
    date_hierarchy = "created_at"
    ordering = ["-pk"]
    show_full_result_count = False


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    list_display = [
        "pk",
        "kind",
        "channel",
        "status",
        "attempts",
        "error",
        "perhaps_twice",
        "created_at",
        "next_try_at",
        "sent_at",
        "delivered_at",
    ]
    list_filter = ["status", "kind", "channel", "perhaps_twice"]
    search_fields = ["=event__subject", "=patient_id", "=provider_ref"]
    ordering = ["-pk"]
    raw_id_fields = ["event"]
    show_full_result_count = False


class MessageTemplateForm(forms.ModelForm):
    """Refuses a text that could not be filled in."""

    kind = forms.ChoiceField(choices=kinds.choices, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = MessageTemplate
        fields = ["kind", "channel", "language", "subject", "body"]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not (kind := kinds.KINDS.get(given.get("kind", ""))):
            return given
        for field in ("subject", "body"):
            if wrong := unknown_places(given.get(field, ""), kind.allowed):
                self.add_error(field, _no_such_fact(wrong, kind))
        if given.get("channel") == kinds.Channel.EMAIL:
            if not given.get("subject"):
                self.add_error("subject", _("An e-mail needs a subject."))
        elif len(given.get("body", "")) > SHORT:
            self.add_error("body", _("At most %(n)s characters by SMS and WhatsApp.") % {"n": SHORT})
        return given


def _no_such_fact(wrong: list[str], kind: kinds.Kind) -> str:
    return _("There is no %(wrong)s in messages of this kind. They may name: %(allowed)s.") % {
        "wrong": ", ".join(wrong),
        "allowed": ", ".join(f"{{{name}}}" for name in kind.allowed),
    }


@admin.register(MessageTemplate)
class MessageTemplateAdmin(ModelAdmin):
    """One with a problem is not used: the shipped text is sent until it is saved again."""

    form = MessageTemplateForm
    list_display = ["kind", "channel", "language", "subject", "problem", "problem_at", "changed_at"]
    list_filter = ["channel", "language", "kind"]
    readonly_fields = ["what_it_may_name", "problem", "problem_at", "changed_at"]

    @admin.display(description=_("What each kind may name"))
    def what_it_may_name(self, _template: MessageTemplate | None = None) -> str:
        rows = (
            (name, ", ".join(f"{{{fact}}}" for fact in kind.allowed)) for name, kind in kinds.KINDS.items()
        )
        return format_html_join(mark_safe("<br>"), "{}: {}", sorted(rows))

    def save_model(self, request: HttpRequest, obj: MessageTemplate, form: forms.Form, change: bool) -> None:
        obj.problem, obj.problem_at = "", None
        super().save_model(request, obj, form, change)


class JobEventInline(StackedInline, ProcrastinateEventInline):
    model = ProcrastinateEvent
    extra = 0


@admin.register(ProcrastinateJob)
class JobAdmin(ProcrastinateJobAdmin, ModelAdmin):
    """Failed jobs can be seen by staff with the permission, and retried by who configures."""

    list_display = ["pk", "task_name", "queue_name", "pretty_status", "attempts", "scheduled_at"]
    list_filter = ["status", "queue_name", "task_name"]
    ordering = ["-pk"]
    inlines = [JobEventInline]
    show_full_result_count = False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        may_act = request.user.is_superuser or may(request.user, Can.CONFIGURE)
        return super().get_actions(request) if may_act else {}


from clinic_booking import parked_admin  # noqa: E402, F401  (registers its own, which are ReadOnlyAdmin)
