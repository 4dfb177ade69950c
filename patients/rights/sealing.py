"""Content that lies in the database for a while, unreadable without the keys of the vault (docs/vault.md)."""

from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from clinic_booking import crypto
from clinic_booking.reseal import Done
from patients.models import DataCopy, PrivacyRequest

Row = DataCopy | PrivacyRequest
COLUMNS: dict[type[Row], str] = {DataCopy: "content", PrivacyRequest: "preserved"}


def seal(row: Row, content: bytes) -> bytes:
    """For this row alone."""
    return crypto.seal_bytes(content, _place(row))


def unseal(row: Row) -> bytes:
    """Raises crypto.Unreadable."""
    sealed = bytes(getattr(row, COLUMNS[type(row)]))
    try:
        return crypto.opened_bytes(sealed, _place(row))
    except crypto.Unreadable:
        if (content := _of_before(row, sealed)) is not None:
            return content
        raise


def _place(row: Row) -> bytes:
    return crypto.place(row._meta.db_table, COLUMNS[type(row)], row.pk)


def _of_before(row: Row, sealed: bytes) -> bytes | None:
    """What was sealed by a key made from SECRET_KEY, as until November 2026."""
    of = f"{'copy' if isinstance(row, DataCopy) else 'request'}:{row.pk}".encode()
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        key = HKDF(hashes.SHA256(), 32, salt=None, info=b"patients.rights").derive(secret.encode())
        try:
            return AESGCM(key).decrypt(sealed[:12], sealed[12:], of)
        except (InvalidTag, ValueError):
            continue
    return None


# -- Rotation (manage.py rotate_keys) ------------------------------------------------------------


def _rows() -> Iterator[tuple[QuerySet[Row], str]]:
    for model, column in COLUMNS.items():
        yield model._default_manager.filter(**{f"{column}__isnull": False}).order_by("pk"), column


def counts() -> Iterator[tuple[str, dict[str, int]]]:
    """By key; "" for those of before."""
    for rows, column in _rows():
        found: dict[str, int] = {}
        for each in rows.iterator(chunk_size=20):
            key = crypto.key_of_bytes(bytes(getattr(each, column)))
            found[key] = found.get(key, 0) + 1
        yield f"{rows.model._meta.db_table}.{column}", found


def renew(*, told: Callable[[Done], None] = lambda done: None) -> Done:
    """By the current key. What was fetched or emptied meanwhile is left alone."""
    done = Done()
    for rows, column in _rows():
        for pk in list(rows.values_list("pk", flat=True)):
            with transaction.atomic():
                _renew(rows, column, pk, done)
        told(done)
    return done


def _renew(rows: QuerySet[Row], column: str, pk: object, done: Done) -> None:
    row = rows.filter(pk=pk).first()
    if row is None or crypto.key_of_bytes(bytes(getattr(row, column))) == crypto.field_keys().current:
        return
    try:
        content = unseal(row)
    except crypto.Unreadable:
        done.unreadable += 1
        return
    unchanged = rows.filter(**{"pk": pk, column: getattr(row, column)})
    done.changed += unchanged.update(**{column: seal(row, content)})
