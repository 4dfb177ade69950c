"""A stream sealed in pieces (AES-256-GCM, one key for each file), so that no plain byte is ever on a disk, and a piece
that was changed, moved or left out is found. Layout: magic, salt, proof of the key, then length and cipher of each."""

import os
from collections.abc import Iterator
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.utils.translation import gettext_lazy as _

from clinic_booking.errors import NamedError

MAGIC = b"clinic-backup-1\n"
SALT_BYTES, TAG_BYTES, LENGTH_BYTES = 16, 16, 4
PIECE = 1 << 20
LEAST_KEY = 32


class NoKey(NamedError):
    status = 500
    sentence = _("Set BACKUP_KEY to at least 32 random characters, and keep it where the backups are not.")


class WrongKey(NamedError):
    status = 422
    sentence = _(
        "This is not the key that the backup was made with (BACKUP_KEY), or its beginning was changed."
    )


class Damaged(NamedError):
    status = 422
    sentence = _("The backup was changed or cut off. Nothing was restored: take another one, or its copy.")


def seal(source: IO[bytes], target: IO[bytes], secret: str) -> None:
    salt = os.urandom(SALT_BYTES)
    key = _key(secret, salt)
    target.write(MAGIC + salt + key.encrypt(_nonce(2**64 - 1), b"", MAGIC))
    number, piece = 0, source.read(PIECE)
    while True:
        following = source.read(PIECE)
        cipher = key.encrypt(_nonce(number), piece, _about(is_last=not following))
        target.write(len(cipher).to_bytes(LENGTH_BYTES, "big") + cipher)
        if not following:
            return
        number, piece = number + 1, following


def opened(source: IO[bytes], secret: str) -> Iterator[bytes]:
    """Raises NoKey, WrongKey, Damaged: what was yielded before is what was sealed, but not all of it."""
    if source.read(len(MAGIC)) != MAGIC:
        raise Damaged
    key = _key(secret, source.read(SALT_BYTES))
    try:
        key.decrypt(_nonce(2**64 - 1), source.read(TAG_BYTES), MAGIC)
    except (InvalidTag, ValueError) as trouble:
        raise WrongKey from trouble
    number, cipher = 0, _piece(source)
    while True:
        following = _piece(source)
        try:
            yield key.decrypt(_nonce(number), cipher, _about(is_last=not following))
        except (InvalidTag, ValueError) as trouble:
            raise Damaged from trouble
        if not following:
            return
        number, cipher = number + 1, following


def _piece(source: IO[bytes]) -> bytes:
    length = int.from_bytes(source.read(LENGTH_BYTES), "big")
    if length > PIECE + TAG_BYTES:
        raise Damaged
    cipher = source.read(length)
    if len(cipher) != length:
        raise Damaged
    return cipher


def _key(secret: str, salt: bytes) -> AESGCM:
    if len(secret) < LEAST_KEY:
        raise NoKey
    return AESGCM(HKDF(SHA256(), length=32, salt=salt, info=MAGIC).derive(secret.encode()))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _about(*, is_last: bool) -> bytes:
    return b"last" if is_last else b"more"
