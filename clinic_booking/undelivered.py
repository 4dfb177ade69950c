"""Messages that reached nobody, in the hands of the staff: tried again, or told by telephone."""

from django.db import transaction
from django.db.models import Q, QuerySet

from clinic_booking.events import publish, redeliver
from clinic_booking.models import Event, Notification, User

Status = Notification.Status


def try_again(*, notification_id: int, by: User) -> bool:
    """Queue it once more, by all channels in their order. False where somebody was faster, or it is not to be sent."""
    with transaction.atomic(durable=True):
        queued = _end_failure(
            notification_id, status=Status.QUEUED, attempts=0, error="", sent_at=None, provider_ref=""
        )
        if queued:
            note = Notification.objects.select_related("event").get(pk=notification_id)
            same = Notification.objects.filter(event=note.event, kind=note.kind, status=Status.FAILED)
            same.update(status=Status.QUEUED, attempts=0, error="", sent_at=None, provider_ref="")
            redeliver(note.event, to=sends_messages)
            _tell("notification.retried", note.event, notification_id, by)
    return queued


def told_by_phone(*, notification_id: int, by: User) -> bool:
    """The patient knows: nothing more is sent. False where somebody was faster."""
    with transaction.atomic(durable=True):
        ended = _end_failure(notification_id, status=Status.BY_PHONE)
        if ended:
            event = Event.objects.get(notifications=notification_id)
            _tell("notification.told", event, notification_id, by, how="phone")
    return ended


def _end_failure(notification_id: int, **values: object) -> bool:
    """The condition is the lock: of two clicks one changes the row."""
    failed = Notification.objects.filter(pk=notification_id, status=Status.FAILED)
    return bool(failed.update(**values))


def sends_messages(subscriber: str) -> bool:
    """By their names, mail_about_visit and so on: the event's other handlers have done their work."""
    return subscriber.rsplit(".", 1)[-1].startswith("mail_")


def _tell(topic: str, event: Event, notification_id: int, by: User, **more: str) -> None:
    data = {"notification": notification_id, "by": by.pk} | more
    publish(topic, f"notification:{notification_id}", data, clinic_id=event.clinic_id)


def of_clinic(clinic_id: int) -> QuerySet[Notification]:
    """Those of its events, and those of the waitlist, which belong to no clinic."""
    return Notification.objects.filter(Q(event__clinic_id=clinic_id) | Q(event__clinic_id=None))
