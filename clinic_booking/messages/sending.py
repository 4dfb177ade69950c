"""The one way out. A message is a `Notification` of its event for each channel that was tried, so a repeated job sends
it once; what fails is tried again for over an hour, then by the next channel, and then the desk hears of it."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db.models import F
from django.utils import timezone, translation

from clinic_booking.events import NotYet
from clinic_booking.messages.channels import ChannelDown, Extras, Refused, deliver
from clinic_booking.messages.kinds import Channel, Kind
from clinic_booking.messages.texts import Facts, compose
from clinic_booking.models import Event, Notification

# Seconds from one try to the next: 75 minutes in all, so an hour without a mail server is ridden out.
WAITS = (15, 30, 60, 120, 240, 480, 900, 900, 900, 900)
# Eight minutes, where it is urgent and there is another channel.
URGENT_WAITS = WAITS[:5]
Status = Notification.Status


@dataclass(frozen=True)
class Recipient:
    """`channels` are those that this person allows for the kind and has an address for, in the order to be tried."""

    patient_id: int
    name: str
    language: str
    addresses: dict[str, str]
    channels: tuple[str, ...]


@dataclass(frozen=True)
class Message:
    """`facts` is asked for when a text is made, in the patient's language. `quiet_until`: the clinic's night is on
    until then. An urgent one does not wait for that. After `until` there is nothing to tell any more."""

    event: Event
    kind: Kind
    to: Recipient
    facts: Callable[[], Facts]
    extras: Extras = Extras()
    quiet_until: dt.datetime | None = None
    is_urgent: bool = False
    waits: bool = False  # as if its kind did
    until: dt.datetime | None = None


def send(message: Message) -> None:
    """Safe to repeat. Raises NotYet when it is to be tried again later."""
    notes = _notes(message)
    if not message.to.channels:
        return _leave(message, notes, "no_channel")
    if any(note.is_told for note in notes.values()):
        return _skip(notes, "not_needed")
    if message.until is not None and timezone.now() >= message.until:
        return _leave(message, notes, "too_late")
    _skip({channel: notes[channel] for channel in notes.keys() - set(message.to.channels)}, "withdrawn")
    for channel in message.to.channels:
        note = notes.pop(channel, None) or _note(message, channel)
        is_last = channel == message.to.channels[-1]
        if note.status == Status.QUEUED and not _try(message, note, is_last=is_last):
            return _skip(notes, "not_needed") if note.is_told else None


def overtaken(event: Event) -> None:
    """What was to be said is not true any more, or another message says it."""
    waiting = Notification.objects.filter(event=event, status=Status.QUEUED)
    waiting.update(status=Status.SKIPPED, error="overtaken", next_try_at=None)


def _notes(message: Message) -> dict[str, Notification]:
    """By channel, those that were tried before."""
    before = Notification.objects.filter(event=message.event, kind=message.kind.name)
    return {note.channel: note for note in before}


def _note(message: Message, channel: str, **values: object) -> Notification:
    note, _created = Notification.objects.get_or_create(
        event=message.event,
        kind=message.kind.name,
        channel=channel,
        defaults={"patient_id": message.to.patient_id, **values},
    )
    return note


def _try(message: Message, note: Notification, *, is_last: bool) -> bool:
    """Whether the next channel is to be tried. Raises NotYet."""
    _wait_for_day(message, note)
    if not _claim(note):
        return False  # another worker has this try
    try:
        reference = _deliver(message, note)
    except ChannelDown as trouble:
        waits = URGENT_WAITS if message.is_urgent and not is_last else WAITS
        if isinstance(trouble, Refused) or note.attempts > len(waits):
            _write(note, status=Status.FAILED, error=trouble.code)
            return True
        wait = waits[note.attempts - 1]
        _write(note, error=trouble.code, next_try_at=timezone.now() + dt.timedelta(seconds=wait))
        raise NotYet(wait) from trouble
    note.status = Status.SENT
    _write(note, status=Status.SENT, sent_at=timezone.now(), provider_ref=reference, error="")
    return False


def _claim(note: Notification) -> bool:
    """Of two workers with the same job one gets to count up, and sends.

    A try that left no word was cut off: the message may have gone out, and this one is the second.
    """
    cut_off = note.attempts > 0 and not note.error
    mine = Notification.objects.filter(pk=note.pk, status=Status.QUEUED, attempts=note.attempts)
    claimed = mine.update(
        attempts=F("attempts") + 1,
        error="",
        next_try_at=None,
        perhaps_twice=note.perhaps_twice or cut_off,
    )
    note.attempts += 1
    return bool(claimed)


def _deliver(message: Message, note: Notification) -> str:
    to, channel = message.to, note.channel
    with translation.override(settings.MESSAGE_LOCALES[to.language]):
        facts = {
            **message.facts(),
            "name": to.name,
            "brand": settings.BRAND,
            "dpo_email": settings.DPO_EMAIL,
        }
        text = compose(kind=message.kind, channel=channel, language=to.language, facts=facts)
    return deliver(
        channel=channel, to=to.addresses[channel], text=text, extras=message.extras, key=f"message-{note.pk}"
    )


def _write(note: Notification, **values: object) -> None:
    Notification.objects.filter(pk=note.pk, status=Status.QUEUED).update(**values)


# -- When not ------------------------------------------------------------------------------------


def _wait_for_day(message: Message, note: Notification) -> None:
    """In the night an e-mail about what somebody has just done goes out, nothing that makes a telephone ring."""
    until = message.quiet_until
    if (
        until is None
        or message.is_urgent
        or (note.channel == Channel.EMAIL and not (message.kind.waits or message.waits))
    ):
        return
    left = (until - timezone.now()).total_seconds()
    if left > 0:
        _write(note, next_try_at=until)
        raise NotYet(left)


def _leave(message: Message, notes: dict[str, Notification], why: str) -> None:
    """Not sent, on record, so that nobody wonders."""
    if not notes:
        _note(message, Channel.EMAIL, status=Status.SKIPPED, error=why)
    _skip(notes, why)


def _skip(notes: dict[str, Notification], why: str) -> None:
    if waiting := [note.pk for note in notes.values() if note.status == Status.QUEUED]:
        queued = Notification.objects.filter(pk__in=waiting, status=Status.QUEUED)
        queued.update(status=Status.SKIPPED, error=why, next_try_at=None)
