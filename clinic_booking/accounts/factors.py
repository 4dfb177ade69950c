"""Second factors, as django-allauth keeps them: authenticator app (TOTP), recovery codes, passkeys.

Its views, its cache of used codes and its lock-outs are not used: a staff member can log in while Redis is away.
"""

import hmac
import json
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp_auth
from allauth.mfa.webauthn.internal import auth as webauthn_auth
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection

from clinic_booking import audit
from clinic_booking.models import User

TOTP, PASSKEY, RECOVERY = (
    Authenticator.Type.TOTP,
    Authenticator.Type.WEBAUTHN,
    Authenticator.Type.RECOVERY_CODES,
)


def kinds(user: User) -> set[str]:
    """Which the user has; recovery codes alone are none."""
    return set(Authenticator.objects.filter(user=user).values_list("type", flat=True))


def has_second(user: User) -> bool:
    return bool({TOTP, PASSKEY} & kinds(user))


def check_code(user: User, typed: str) -> str | None:
    """The method, "totp" or "recovery_code", when the code is right. Each works once."""
    digits = "".join(filter(str.isdigit, typed))
    if not digits:
        return None
    demo = settings.DEMO_SECOND_FACTOR_CODE
    if demo and hmac.compare_digest(digits, demo):
        return "totp"
    by_kind = {each.type: each for each in Authenticator.objects.filter(user=user, type__in=[TOTP, RECOVERY])}
    if (totp := by_kind.get(TOTP)) and _check_totp(totp, digits):
        totp.record_usage()
        return "totp"
    if (recovery := by_kind.get(RECOVERY)) and RecoveryCodes(recovery).validate_code(digits):
        return "recovery_code"
    return None


def counter_of(secret: str, digits: str) -> int | None:
    """The half minute of which it is the code: this one, the one before or after."""
    for counter in totp_auth.yield_hotp_counters_from_time():
        if hmac.compare_digest(totp_auth.format_hotp_value(totp_auth.hotp_value(secret, counter)), digits):
            return int(counter)
    return None


def _check_totp(totp: Authenticator, digits: str) -> bool:
    counter = counter_of(totp_auth.decrypt(totp.data["secret"]), digits)
    if counter is None:
        return False
    # Who reads a code over a shoulder comes too late: the database takes each half minute once.
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE mfa_authenticator SET data = data || jsonb_build_object('last_counter', %s::bigint)"
            " WHERE id = %s AND COALESCE((data->>'last_counter')::bigint, 0) < %s",
            [counter, totp.pk, counter],
        )
        return bool(cursor.rowcount == 1)


def begin_passkey(user: User | None) -> dict[str, Any]:
    """What the browser is asked; the challenge is kept in the session."""
    return dict(webauthn_auth.begin_authentication(user))


def check_passkey(credential: str, user: User | None = None) -> User | None:
    """Whose passkey it is; of the given user, or of anybody. The device has verified the person (PIN, finger, face)."""
    try:
        response = json.loads(credential)
        owner = user or webauthn_auth.extract_user_from_response(response)
        authenticator = webauthn_auth.complete_authentication(owner, response)
        said = webauthn_auth.parse_authentication_response(response).response.authenticator_data
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if not _counts_on(authenticator, said.counter):
        audit.record(audit.Action.LOGIN_FAILED, f"user:{owner.pk}", by=None, reason="sign_count")
        return None
    authenticator.record_usage()
    return owner if owner.is_active else None


def _counts_on(passkey: Authenticator, count: int) -> bool:
    """A device that counts its signatures never counts back, unless there are two of it (WebAuthn §7.2). Many do not
    count: theirs is always 0."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE mfa_authenticator SET data = data || jsonb_build_object('sign_count', %(count)s::bigint)"
            " WHERE id = %(id)s AND (%(count)s::bigint > COALESCE((data->>'sign_count')::bigint, 0)"
            " OR %(count)s::bigint = 0 AND COALESCE((data->>'sign_count')::bigint, 0) = 0)",
            {"count": count, "id": passkey.pk},
        )
        return bool(cursor.rowcount == 1)


def begin_new_passkey(user: User) -> dict[str, Any]:
    return dict(webauthn_auth.begin_registration(user, passwordless=True))


def add_passkey(user: User, *, credential: str, name: str) -> Authenticator | None:
    try:
        response = json.loads(credential)
        webauthn_auth.parse_registration_response(response)
        webauthn_auth.complete_registration(response)
        return webauthn_auth.WebAuthn.add(user, name, response).instance
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
        return None


def set_totp(user: User, secret: str, *, counter: int) -> None:
    """Instead of the one before. The code that was typed to set it up is used."""
    Authenticator.objects.filter(user=user, type=TOTP).delete()
    instance = totp_auth.TOTP.activate(user, secret).instance
    instance.data["last_counter"] = counter
    instance.save(update_fields=["data"])


def new_recovery_codes(user: User) -> list[str]:
    Authenticator.objects.filter(user=user, type=RECOVERY).delete()
    codes: list[str] = RecoveryCodes.activate(user).generate_codes()
    return codes


def reset(user: User) -> None:
    """Takes all second factors away, and ends all sessions that they opened."""
    from clinic_booking.accounts import sessions

    Authenticator.objects.filter(user=user).delete()
    sessions.end_all(user)


def new_secret() -> str:
    return str(totp_auth.generate_totp_secret())
