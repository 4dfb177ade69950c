"""What django-allauth asks us: how secrets are kept, and under which name passkeys are made."""

import base64
import hashlib
from functools import cache
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.http import HttpRequest

from clinic_booking.models import User


class AccountAdapter(DefaultAccountAdapter):
    """Nothing is signed up through allauth's own pages, none of which has an address here."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False


class MFAAdapter(DefaultMFAAdapter):
    def get_totp_issuer(self) -> str:
        return str(settings.BRAND)

    def encrypt(self, text: str) -> str:
        return _box(tuple(settings.SECOND_FACTOR_KEYS)).encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _box(tuple(settings.SECOND_FACTOR_KEYS)).decrypt(encrypted_text.encode()).decode()

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {"id": context.request.get_host().partition(":")[0], "name": settings.BRAND}

    def get_public_key_credential_user_entity(self, user: User) -> dict[str, Any]:
        shown = user.email or user.username
        return dict(super().get_public_key_credential_user_entity(user), display_name=shown, name=shown)


@cache
def _box(keys: tuple[str, ...]) -> MultiFernet:
    """The first key writes, all read: a new one is put before the old."""
    made = (
        base64.urlsafe_b64encode(hashlib.sha256(f"second-factor:{key}".encode()).digest()) for key in keys
    )
    return MultiFernet([Fernet(key) for key in made])
