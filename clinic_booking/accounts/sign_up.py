"""The account of an e-mail address. There is no form for it: the first code that is typed makes it."""

import uuid

from django.db import IntegrityError, transaction

from clinic_booking import audit
from clinic_booking.accounts import emails
from clinic_booking.accounts.staff import is_staff
from clinic_booking.models import User


def of_address(address: str) -> User | None:
    """Whose it is, now proved; a new one where nobody has it. None for staff, who log in otherwise."""
    try:
        with transaction.atomic():
            user = emails.owner(address) or _new(address)
            if is_staff(user) or not user.is_active:
                return None
            emails.prove(user, address)
            return user
    except IntegrityError:  # another browser proved the address just now
        return emails.owner(address)


def _new(address: str) -> User:
    user = User(username=f"p-{uuid.uuid4().hex}", email=address)
    user.set_unusable_password()
    user.save()
    audit.record(audit.Action.CREATE, f"user:{user.pk}", by=user)
    return user
