"""One-time codes by mail or SMS: six digits, ten minutes, five tries, one use; good in the browser that asked for it."""

import secrets
import uuid

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.db.models.functions import Now
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from clinic_booking.accounts import lockout
from clinic_booking.accounts.models import OneTimeCode
from clinic_booking.errors import NamedError
from clinic_booking.messages.channels import gateway

Purpose = OneTimeCode.Purpose
DIGITS = 6
MINUTES = 10
TRIES = 5
KEPT_SECONDS = 24 * 3600


class NotSent(NamedError):
    status = 503
    sentence = _("The code could not be sent just now. Please try again in a minute.")


def send_mail(
    request: HttpRequest, *, purpose: Purpose, to: str, subject: str = "", real: bool = True
) -> str:
    """Returns the code's id, for this browser's session. `real=False`: the mail says how to log in instead, and no
    code fits. Raises LockedOut, and OSError or SMTPException where no mail could be sent."""
    pk, code = _make(request, purpose=purpose, to=to, subject=subject)
    title = _("Your code: %(code)s") % {"code": code} if real else _("Your log-in at Harbour Clinics")
    facts = {"subject": title, "code": f"{code[:3]} {code[3:]}" if real else "", "minutes": MINUTES}
    facts["dpo_email"] = settings.DPO_EMAIL
    message = EmailMultiAlternatives(title, render_to_string("email/code.txt", facts), to=[to])
    message.attach_alternative(render_to_string("email/code.html", facts), "text/html")
    message.send()
    return pk


def send_sms(request: HttpRequest, *, purpose: Purpose, to: str, subject: str = "") -> str:
    """As `send_mail`. Raises LockedOut, ChannelDown, Refused."""
    pk, code = _make(request, purpose=purpose, to=to, subject=subject)
    text = _("Harbour Clinics: your code is %(code)s. It is good for %(n)s minutes. Tell it to nobody.") % {
        "code": code,
        "n": MINUTES,
    }
    gateway("sms").send(to=to, text=text, key=f"code-{pk}")
    return pk


def is_right(code_id: str, typed: str, *, purpose: Purpose, to: str) -> OneTimeCode | None:
    """The code's row, when it is the one that was sent there, for the first time. Raises LockedOut."""
    lockout.take(lockout.CODE, to)
    digits = "".join(filter(str.isdigit, typed))
    try:
        pk = uuid.UUID(code_id)
    except ValueError:
        return None
    if not _take_try(pk):
        return None
    found = OneTimeCode.objects.get(pk=pk)
    fits = constant_time_compare(found.digest, _digest(str(pk), digits))
    if not fits or found.purpose != purpose or found.address != _digest("address", to.strip().lower()):
        return None
    if not OneTimeCode.objects.filter(pk=pk, used_at=None).update(used_at=Now()):
        return None
    lockout.succeeded(lockout.CODE, to)
    return found


def forget() -> int:
    """Those that are over for a day. For the daily job."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM clinic_booking_onetimecode WHERE expires_at < clock_timestamp() - %s * interval '1 second'",
            [KEPT_SECONDS],
        )
        return int(cursor.rowcount)


def _make(request: HttpRequest, *, purpose: Purpose, to: str, subject: str) -> tuple[str, str]:
    lockout.take_place(lockout.SEND_PLACE, request)
    lockout.take(lockout.SEND, to)
    pk = str(uuid.uuid4())
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO clinic_booking_onetimecode"
            " (id, purpose, address, digest, subject, tries_left, created_at, expires_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp(), clock_timestamp() + %s * interval '1 minute')",
            [
                pk,
                purpose,
                _digest("address", to.strip().lower()),
                _digest(pk, code),
                subject,
                TRIES,
                MINUTES,
            ],
        )
    return pk, code


def _take_try(pk: uuid.UUID) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE clinic_booking_onetimecode SET tries_left = tries_left - 1"
            " WHERE id = %s AND tries_left > 0 AND used_at IS NULL AND expires_at > clock_timestamp()",
            [pk],
        )
        return bool(cursor.rowcount == 1)


def _digest(salt: str, text: str) -> str:
    return salted_hmac(f"code:{salt}", text, algorithm="sha256").hexdigest()
