"""Single values sealed by AES-256-GCM, and keyed indexes of them by HMAC-SHA-256. The keys are outside the database.

A sealed value is `v1.<key id>.<nonce and cipher, base64url>`. It opens only in its own place: table, column and row are
its associated data, so that a cipher which somebody copies to another row or column is refused (docs/vault.md).
"""

import base64
import binascii
import functools
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

VERSION = "v1"
KEY_BYTES = 32
NONCE_BYTES = 12
# Of the database's check constraints too. 39 characters: a nonce, a tag and one byte of text.
FORM = r"^v1\.[a-z0-9]{1,12}\.[A-Za-z0-9_-]{39,}$"
is_sealed = re.compile(FORM).fullmatch
is_sealed_bytes = re.compile(rb"v1\.([a-z0-9]{1,12})\.", re.ASCII).match
is_key_id = re.compile(r"[a-z0-9]{1,12}", re.ASCII).fullmatch


class Unreadable(Exception):
    """The key is not known, or the value was changed or stood somewhere else. Says neither value nor text."""


class BadKeys(ValueError):
    """What is in the environment is no set of keys; the sentence says why, and no key."""


@dataclass(frozen=True, repr=False)
class Keys:
    """By id, the current one first."""

    by_id: Mapping[str, bytes]

    @property
    def current(self) -> str:
        return next(iter(self.by_id))

    @classmethod
    def of(cls, text: str) -> "Keys":
        """`id:base64,id:base64`, each 32 bytes; the first is the current one. Raises BadKeys."""
        keys: dict[str, bytes] = {}
        for part in filter(None, (each.strip() for each in text.split(","))):
            key_id, _colon, encoded = part.partition(":")
            if not is_key_id(key_id) or key_id in keys:
                raise BadKeys(
                    "Each key needs an id of its own: up to 12 small letters and digits, then a colon."
                )
            keys[key_id] = _decoded(encoded)
        if not keys:
            raise BadKeys("There is no key.")
        if len(set(keys.values())) < len(keys):
            raise BadKeys("Two ids have the same key.")
        return cls(keys)


def _decoded(encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        key = b""
    if len(key) != KEY_BYTES:
        raise BadKeys("Each key is 32 random bytes in base64: `openssl rand -base64 32` prints one.")
    return key


@functools.lru_cache
def _keys(text: str) -> Keys:
    return Keys.of(text)


@functools.lru_cache
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


def field_keys() -> Keys:
    return _keys(settings.FIELD_KEYS)


def index_keys() -> Keys:
    return _keys(settings.BLIND_INDEX_KEYS)


def place(table: str, column: str, row: object) -> bytes:
    return "\0".join((VERSION, table, column, str(row))).encode()


def seal(text: str, at: bytes) -> str:
    """For this `place` only. With the current key."""
    key_id, sealed = _sealed(text.encode(), at)
    return f"{VERSION}.{key_id}.{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}"


def seal_bytes(content: bytes, at: bytes) -> bytes:
    """As `seal`, for what is no text: `v1.<key id>.` and the bytes."""
    key_id, sealed = _sealed(content, at)
    return f"{VERSION}.{key_id}.".encode() + sealed


def _sealed(content: bytes, at: bytes) -> tuple[str, bytes]:
    keys = field_keys()
    nonce = os.urandom(NONCE_BYTES)
    return keys.current, nonce + _cipher(keys.by_id[keys.current]).encrypt(nonce, content, at)


def opened(sealed: str, at: bytes) -> str:
    """Raises Unreadable."""
    if not is_sealed(sealed):
        raise Unreadable("not sealed")
    _version, key_id, encoded = sealed.split(".")
    try:
        return _opened(key_id, base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)), at).decode()
    except ValueError:
        raise Unreadable(f"changed (key {key_id})") from None


def opened_bytes(sealed: bytes, at: bytes) -> bytes:
    """Raises Unreadable."""
    if not (key_id := key_of_bytes(sealed)):
        raise Unreadable("not sealed")
    return _opened(key_id, sealed.split(b".", 2)[2], at)


def _opened(key_id: str, raw: bytes, at: bytes) -> bytes:
    if (key := field_keys().by_id.get(key_id)) is None:
        raise Unreadable(f"no key {key_id}")
    try:
        return _cipher(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], at)
    except (InvalidTag, ValueError):
        # Without its cause: a traceback in a log names no value.
        raise Unreadable(f"changed, or of another place (key {key_id})") from None


def key_of_bytes(sealed: bytes) -> str:
    """The id of its key; "" where none made it."""
    found = is_sealed_bytes(sealed)
    return found[1].decode() if found else ""


def key_of(sealed: str) -> str:
    """The id of its key, also of an index."""
    return sealed.split(".")[-2]


def index(value: str, key_id: str | None = None) -> str:
    """To find a value without opening anything. By the current key, or this one."""
    keys = index_keys()
    key_id = key_id or keys.current
    digest = hmac.new(keys.by_id[key_id], value.encode(), hashlib.sha256).digest()
    return f"{key_id}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def indexes(value: str) -> list[str]:
    """By each key: while one is replaced, rows have the index of either."""
    return [index(value, key_id) for key_id in index_keys().by_id]
