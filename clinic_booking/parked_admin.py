"""Admin of what subscribers and readers of events have left (clinic_booking/admin.py loads it)."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from unfold.forms import ActionForm

from clinic_booking import parked
from clinic_booking.admin import ReadOnlyAdmin
from clinic_booking.models import Parked, Reader


class IsParked(admin.SimpleListFilter):
    title, parameter_name = _("state"), "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("all", _("All")), *Parked.End.choices]

    def choices(self, changelist: Any) -> Iterator[Any]:
        first, *others = super().choices(changelist)
        yield {**first, "display": _("Parked")}
        yield from others

    def queryset(self, request: HttpRequest, rows: QuerySet[Parked]) -> QuerySet[Parked]:
        if self.value() == "all":
            return rows
        return rows.filter(ended_as=self.value() or "")


class TopicFilter(admin.SimpleListFilter):
    title, parameter_name = _("topic"), "topic"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = Parked.objects.order_by("event__topic").values_list("event__topic", flat=True).distinct()
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, rows: QuerySet[Parked]) -> QuerySet[Parked]:
        return rows.filter(event__topic=self.value()) if self.value() else rows


class ParkedActionForm(ActionForm):  # type: ignore[misc]
    reason = forms.CharField(label=_("Reason, to discard"), max_length=200, required=False)


@admin.register(Parked)
class ParkedAdmin(ReadOnlyAdmin):
    """Who may change one may retry and discard it; both are verbs that publish who did it."""

    list_display = [
        "pk",
        "parked_at",
        "topic",
        "subject",
        "subscriber",
        "tries",
        "error",
        "ended_as",
        "reason",
    ]
    list_filter = [IsParked, TopicFilter, ("subscriber", admin.AllValuesFieldListFilter)]
    list_select_related = ["event"]
    search_fields = ["=event__subject", "subscriber"]
    raw_id_fields = ["event"]
    ordering = ["-pk"]
    actions = ["retry", "discard"]
    action_form = ParkedActionForm

    @admin.display(description=_("topic"), ordering="event__topic")
    def topic(self, row: Parked) -> str:
        return row.event.topic

    @admin.display(description=_("subject"), ordering="event__subject")
    def subject(self, row: Parked) -> str:
        return row.event.subject

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        may = request.user.has_perm("clinic_booking.change_parked")
        return super().get_actions(request) if may else {}

    @admin.action(description=_("Retry"))
    def retry(self, request: Any, rows: QuerySet[Parked]) -> None:
        ids = list(rows.values_list("pk", flat=True))
        done = sum(parked.retry(parked_id=pk, by=request.user) for pk in ids)
        self._say(request, done, len(ids), _("%(n)d are delivered again."))

    @admin.action(description=_("Discard, with a reason"))
    def discard(self, request: Any, rows: QuerySet[Parked]) -> None:
        reason = request.POST.get("reason", "").strip()[:200]
        if not reason:
            self.message_user(request, _("Say why they are to be discarded."), messages.ERROR)
            return
        ids = list(rows.values_list("pk", flat=True))
        done = sum(parked.discard(parked_id=pk, by=request.user, reason=reason) for pk in ids)
        self._say(request, done, len(ids), _("%(n)d are discarded."))

    def _say(self, request: HttpRequest, done: int, asked: int, sentence: Promise) -> None:
        self.message_user(request, str(sentence) % {"n": done})
        if left := asked - done:
            rest = _("%(n)d were left: somebody was faster, or their subscriber is not in the code any more.")
            self.message_user(request, rest % {"n": left}, messages.WARNING)


@admin.register(Reader)
class ReaderAdmin(ReadOnlyAdmin):
    list_display = ["name", "xact", "event_id", "updated_at"]
