"""Shared desk PCs: who logged in fully here today may come back with the second factor alone."""

import secrets
from collections.abc import Iterable

from django.conf import settings
from django.core import signing
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac

from clinic_booking.accounts.models import Device, DeviceLogin
from clinic_booking.accounts.staff import is_staff
from clinic_booking.models import User

HOURS = 12
COOKIE = "__Host-device" if settings.PRODUCTION else "device"
COOKIE_SECONDS = 30 * 24 * 3600
SALT = "device"


def remember(request: HttpRequest, user: User, response: HttpResponse) -> HttpResponse:
    """After a full login of staff: the device may offer them, from now on for `HOURS`."""
    if not is_staff(user):
        return response
    device, secret = _of_cookie(request), ""
    if device is None:
        secret = secrets.token_urlsafe(32)
        device = Device.objects.create(digest=_digest(secret))
        signed = signing.dumps(secret, salt=SALT)
        response.set_cookie(
            COOKIE,
            signed,
            max_age=COOKIE_SECONDS,
            secure=settings.PRODUCTION,
            httponly=True,
            samesite="Strict",
        )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO clinic_booking_devicelogin (device_id, user_id, generation, logged_in_at)"
            " VALUES (%s, %s, %s, clock_timestamp()) ON CONFLICT (device_id, user_id) DO UPDATE"
            " SET logged_in_at = excluded.logged_in_at, generation = excluded.generation",
            [device.pk, user.pk, user.session_generation],
        )
    return response


def forget(request: HttpRequest, user: User) -> None:
    if device := _of_cookie(request):
        DeviceLogin.objects.filter(device=device, user=user).delete()


def colleagues(request: HttpRequest) -> list[DeviceLogin]:
    """Who can be switched to: logged in fully on this device, not longer ago than `HOURS`, and not logged out since."""
    device = _of_cookie(request)
    if device is None:
        return []
    recent: Iterable[DeviceLogin] = DeviceLogin.objects.raw(
        "SELECT l.* FROM clinic_booking_devicelogin l JOIN clinic_booking_user u ON u.id = l.user_id"
        " WHERE l.device_id = %s AND u.is_active AND u.session_generation = l.generation"
        " AND l.logged_in_at > clock_timestamp() - %s * interval '1 hour' ORDER BY u.first_name, u.username",
        [device.pk, HOURS],
    ).prefetch_related("user")
    return [each for each in recent if is_staff(each.user)]


def forget_old() -> None:
    """For the daily job. A device whose cookie has run out goes with it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM clinic_booking_devicelogin WHERE logged_in_at < clock_timestamp() - %s * interval '1 hour'",
            [HOURS],
        )
        cursor.execute(
            "DELETE FROM clinic_booking_device d WHERE created_at < clock_timestamp() - %s * interval '1 second'"
            " AND NOT EXISTS (SELECT FROM clinic_booking_devicelogin l WHERE l.device_id = d.id)",
            [COOKIE_SECONDS],
        )


def _of_cookie(request: HttpRequest) -> Device | None:
    try:
        secret = signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=COOKIE_SECONDS)
    except signing.BadSignature:
        return None
    return Device.objects.filter(digest=_digest(str(secret))).first()


def _digest(secret: str) -> str:
    return salted_hmac(SALT, secret, algorithm="sha256").hexdigest()
