"""What the kernel itself holds: logins and what goes with them, messages, incidents."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db.models import CharField, F, Model, Q, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from clinic_booking.accounts.models import DeviceLogin, DoorLock, OneTimeCode
from clinic_booking.models import Notification, User
from clinic_booking.retention.models import DataClass, Incident
from clinic_booking.retention.registry import Cleaner, Pk, Rows, register

WITH_A_LOGIN: list[type[Model]] = [EmailAddress, Authenticator, DeviceLogin, DoorLock]


def midnight(day: dt.date) -> dt.datetime:
    """The end of the day: what happened on it is before."""
    return timezone.make_aware(dt.datetime.combine(day + dt.timedelta(days=1), dt.time.min))


def delete(model: type[Model], ids: Sequence[Pk]) -> Counter[str]:
    _total, rows = model._default_manager.filter(pk__in=ids).delete()
    return Counter(rows)


def erase_logins(user_ids: Sequence[int]) -> Counter[str]:
    """No name, no way in, no session that counts. The row stays, so that what it did stays one person's."""
    done: Counter[str] = Counter()
    for model in WITH_A_LOGIN:
        done += Counter(model._default_manager.filter(user__in=user_ids).delete()[1])
    done["clinic_booking.User"] = User.objects.filter(pk__in=user_ids).update(
        username=Concat(Value("anonymous-"), Cast("pk", CharField())),
        email="",
        first_name="",
        last_name="",
        password=UNUSABLE_PASSWORD_PREFIX,
        is_active=False,
        last_login=None,
        session_generation=F("session_generation") + 1,
    )
    forget_names(User, user_ids)
    return done


def forget_names(model: type[Model], ids: Sequence[Pk]) -> None:
    """The admin's log keeps how a row was called when it was changed."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(model), object_id__in=[str(pk) for pk in ids]
    )
    entries.update(object_repr=Concat(Value(f"{model._meta.model_name} "), F("object_id")), change_message="")


# -- Logins, sessions, codes ---------------------------------------------------------------------


def _sessions(day: dt.date) -> Rows:
    return Session.objects.filter(expire_date__lt=midnight(day))


def _codes(day: dt.date) -> Rows:
    return OneTimeCode.objects.filter(expires_at__lt=midnight(day))


def _lock_outs(day: dt.date) -> Rows:
    over = Q(locked_until=None) | Q(locked_until__lt=midnight(day))
    return DoorLock.objects.filter(over, last_at__lt=midnight(day))


register(Cleaner(DataClass.SESSION, "session", _sessions, lambda ids: delete(Session, ids)))
register(Cleaner(DataClass.SESSION, "code", _codes, lambda ids: delete(OneTimeCode, ids)))
register(Cleaner(DataClass.SESSION, "lock_out", _lock_outs, lambda ids: delete(DoorLock, ids)))


# -- Messages: no text is ever kept; the provider's reference leads to one ------------------------


def _messages(day: dt.date) -> Rows:
    return Notification.objects.filter(created_at__lt=midnight(day)).exclude(provider_ref="")


def _purge_messages(ids: Sequence[Pk]) -> Counter[str]:
    kept = Notification.objects.filter(pk__in=ids).exclude(provider_ref="")
    return Counter({"clinic_booking.Notification": kept.update(provider_ref="")})


register(Cleaner(DataClass.MESSAGE, "message", _messages, _purge_messages))


# -- Incidents -----------------------------------------------------------------------------------


def _incidents(day: dt.date) -> Rows:
    return Incident.objects.filter(closed_at__lt=midnight(day))


register(Cleaner(DataClass.CASE, "incident", _incidents, lambda ids: delete(Incident, ids)))
