"""What the doors remember: failures, codes sent, and who logged in fully on which device."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class DoorLock(models.Model):
    """Tries at a door, by account or by address. The key is a digest: no name, no address. Written by `lockout`."""

    key = models.CharField(_("key"), max_length=80, primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("login"), null=True, related_name="+"
    )
    tries = models.PositiveIntegerField(_("tries"))
    last_at = models.DateTimeField(_("last try at"))
    locked_until = models.DateTimeField(_("locked until"), null=True)

    class Meta:
        verbose_name = _("lock-out")
        verbose_name_plural = _("lock-outs")
        indexes = [models.Index(fields=["last_at"], name="doorlock_last_at")]

    def __str__(self) -> str:
        return self.key.rpartition(":")[0]


class OneTimeCode(models.Model):
    """A code that was sent to somebody. Neither the code nor the address is kept, only what recognises them."""

    class Purpose(models.TextChoices):
        LOGIN = "login", _("Log in")
        STEP_UP = "step_up", _("Confirm")
        CLAIM = "claim", _("Claim a record")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    purpose = models.CharField(_("purpose"), max_length=10, choices=Purpose)
    address = models.CharField(_("digest of the address"), max_length=64)
    digest = models.CharField(_("digest of the code"), max_length=64)
    subject = models.CharField(
        _("subject"), max_length=80, blank=True, help_text=_("What it proves, as kind:id.")
    )
    tries_left = models.PositiveSmallIntegerField(_("tries left"))
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    expires_at = models.DateTimeField(_("expires at"))
    used_at = models.DateTimeField(_("used at"), null=True)

    class Meta:
        verbose_name = _("one-time code")
        verbose_name_plural = _("one-time codes")
        indexes = [models.Index(fields=["expires_at"], name="onetimecode_expires")]

    def __str__(self) -> str:
        return f"{self.purpose} {self.pk}"


class Device(models.Model):
    """A browser of a desk, known by the secret in its cookie; here is only the secret's digest."""

    digest = models.CharField(_("digest of the cookie"), max_length=64, unique=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("device")
        verbose_name_plural = _("devices")

    def __str__(self) -> str:
        return f"device {self.pk}"


class DeviceLogin(models.Model):
    """Who logged in fully on a device, and when: for the fast user switch."""

    device = models.ForeignKey(Device, models.CASCADE, related_name="logins", verbose_name=_("device"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("login"), related_name="+"
    )
    generation = models.PositiveIntegerField(_("generation of the login's sessions"))
    logged_in_at = models.DateTimeField(_("logged in at"))

    class Meta:
        verbose_name = _("login on a device")
        verbose_name_plural = _("logins on devices")
        constraints = [models.UniqueConstraint(fields=["device", "user"], name="one_login_of_a_device")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.device_id}"
