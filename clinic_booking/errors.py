"""Named errors: each knows the sentence for the person and the HTTP status."""

from django.utils.translation import gettext_lazy as _


class NamedError(Exception):
    """An expected refusal. `named_errors` middleware answers it; nothing was changed when it is raised."""

    status = 409
    sentence = _("That was not possible.")

    def __str__(self) -> str:
        return str(self.sentence)


class Busy(NamedError):
    status = 503
    sentence = _("Many people are booking right now. Please try again in a moment.")
