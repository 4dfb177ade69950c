"""Content that lies in the database for a while, unreadable without the key that is kept elsewhere."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

NONCE_BYTES = 12


class Unreadable(Exception):
    """Sealed under another key, or for another row."""


def seal(content: bytes, *, of: str) -> bytes:
    """`of` names the row, so that what is sealed cannot be put into another."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(_key(settings.SECRET_KEY)).encrypt(nonce, content, of.encode())


def unseal(sealed: bytes, *, of: str) -> bytes:
    """Raises Unreadable."""
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            return AESGCM(_key(secret)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], of.encode())
        except InvalidTag:
            continue
    raise Unreadable


def _key(secret: str) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"patients.rights").derive(secret.encode())
