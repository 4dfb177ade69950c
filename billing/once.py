"""A request that moves money is done once: its key is kept with what it made."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.models import AnsweredRequest
from clinic_booking.context import Request
from clinic_booking.errors import NamedError

is_key = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII).fullmatch
Made = TypeVar("Made", bound=models.Model)


class OtherRequest(NamedError):
    sentence = _(
        "This was sent before with other details, so nothing was done now. Please look at what was recorded."
    )


class BadKey(NamedError):
    status = 400
    sentence = _("The key of this request cannot be used: 8 to 64 letters, digits, dashes or underlines.")


def key_of(request: Request) -> str:
    """From the header, as programs send it, or the form's hidden field. Raises BadKey."""
    key = request.headers.get("idempotency-key") or request.POST.get("idempotency_key", "")
    if key and not is_key(key):
        raise BadKey
    return key


def once(key: str, made: type[Made], asked: Mapping[str, object], act: Callable[[], Made]) -> Made:
    """What `act` makes, or made when the same was asked with this key before. Without a key it acts.

    Begins the caller's transaction: whoever comes second waits for the first here, before any other lock.
    `asked` holds all that makes it another request. Raises OtherRequest.
    """
    if not key:
        return act()
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
    request, is_new = AnsweredRequest.objects.get_or_create(key=key, defaults={"digest": digest})
    if not is_new:
        if request.digest != digest:
            raise OtherRequest
        return made._default_manager.get(pk=request.result_id)
    result = act()
    AnsweredRequest.objects.filter(pk=key).update(result_id=result.pk)
    return result
