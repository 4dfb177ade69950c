"""Admin of the kernel, and the base for what only verbs may write."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest
from procrastinate.contrib.django.admin import ProcrastinateEventInline, ProcrastinateJobAdmin
from procrastinate.contrib.django.models import ProcrastinateEvent, ProcrastinateJob
from unfold.admin import ModelAdmin, StackedInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from clinic_booking.models import Event, Notification, User


class ReadOnlyAdmin(ModelAdmin):
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
    list_display = ["pk", "kind", "channel", "status", "attempts", "error", "created_at", "sent_at"]
    list_filter = ["status", "kind", "channel"]
    search_fields = ["=event__subject"]
    ordering = ["-pk"]
    raw_id_fields = ["event"]
    show_full_result_count = False


class JobEventInline(StackedInline, ProcrastinateEventInline):
    model = ProcrastinateEvent
    extra = 0


@admin.register(ProcrastinateJob)
class JobAdmin(ProcrastinateJobAdmin, ModelAdmin):
    """Failed jobs can be seen by staff with the permission, and retried by a superuser."""

    list_display = ["pk", "task_name", "queue_name", "pretty_status", "attempts", "scheduled_at"]
    list_filter = ["status", "queue_name", "task_name"]
    ordering = ["-pk"]
    inlines = [JobEventInline]
    show_full_result_count = False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return super().get_actions(request) if request.user.is_superuser else {}
