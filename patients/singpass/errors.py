"""Why a login with Singpass did not come about: what the person reads, and the code for the log."""

import logging

from django.db import models
from django.utils.translation import gettext_lazy as _
from prometheus_client import Counter

logger = logging.getLogger("patients.singpass")
logins = Counter("singpass_logins", "Logins with Singpass", ["result"])  # done, or the reason why not


class Reason(models.TextChoices):
    """What the failure page may be asked to say; anything else that is asked for reads as `REFUSED`."""

    CANCELLED = "cancelled", _("The login was not completed. Nothing has changed.")
    TOO_LATE = "too_late", _("The login took too long and has run out. Please start it again.")
    UNKNOWN = (
        "unknown",
        _("This login was not started in this browser, or it is over already. Please start it again here."),
    )
    UNAVAILABLE = (
        "unavailable",
        _("Singpass does not answer at the moment. Please try again in some minutes."),
    )
    FAULT = "fault", _("Login with Singpass is out of order on our side. We have been told.")
    REFUSED = "refused", _("What Singpass sent could not be verified, so nobody was logged in.")
    TOO_WEAK = "too_weak", _("This Singpass login used a password only. Please use the Singpass app.")
    DISABLED = "disabled", _("This account is closed. Please ask the clinic.")
    STAFF = "staff", _("Staff log in with their password. Singpass is for patients.")
    IN_USE = (
        "in_use",
        _(
            "This Singpass login belongs to another patient record here. Nothing was changed. Please ask the clinic."
        ),
    )
    HAS_ANOTHER = (
        "has_another",
        _("Another Singpass login is linked to your account. Nothing was changed. Remove that one first."),
    )
    OFF = "off", _("Login with Singpass is not offered here.")


class SingpassError(Exception):
    """`code` is for the log: ours, or an error code of the protocol. Never a token, a claim or a text from outside."""

    def __init__(self, reason: Reason, code: str, *, alert: bool = False) -> None:
        super().__init__(code)
        self.reason, self.code, self.alert = reason, code, alert

    def log(self) -> None:
        """With the id of the request, which the failure page shows as the reference."""
        logins.labels(self.reason.value).inc()
        level = logging.ERROR if self.alert else logging.WARNING
        logger.log(
            level, "login with Singpass failed", extra={"reason": self.reason.value, "code": self.code}
        )


def refused(code: str) -> SingpassError:
    return SingpassError(Reason.REFUSED, code)


def unavailable(code: str) -> SingpassError:
    return SingpassError(Reason.UNAVAILABLE, code)


def fault(code: str) -> SingpassError:
    """Ours to put right: nobody can log in until somebody does."""
    return SingpassError(Reason.FAULT, code, alert=True)
