"""Brings sealed columns to the current key, and plain ones to ciphers, in batches that stay: a run that was cut off is
begun again and goes on. Values are read and written meanwhile: a row that changed is left alone."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connection, models, transaction

from clinic_booking import crypto
from clinic_booking.sealed import SealedTextField

BATCH = 500


@dataclass(frozen=True)
class Column:
    table: str
    name: str
    key: str  # of the table
    row: str  # names the row for ever

    @classmethod
    def of(cls, model: type[models.Model], name: str, *, row: str) -> "Column":
        names = {field.name: str(field.column) for field in model._meta.local_concrete_fields}
        return cls(model._meta.db_table, names[name], names[model._meta.pk.name], names[row])

    def check(self) -> str:
        """The statement that keeps all but ciphers out."""
        name, q = f"{self.table}_{self.name}_sealed", connection.ops.quote_name
        form = f"{q(self.name)} = '' OR {q(self.name)} ~ '{crypto.FORM}'"
        return f"ALTER TABLE {q(self.table)} ADD CONSTRAINT {q(name)} CHECK ({form})"

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


@dataclass
class Done:
    changed: int = 0
    unreadable: int = 0


def columns() -> Iterator[Column]:
    """Of all apps."""
    for model in apps.get_models():
        for field in model._meta.local_concrete_fields:
            if isinstance(field, SealedTextField):
                yield Column.of(model, field.name, row=field.row)


def left(column: Column) -> dict[str, int]:
    """How many rows each key has; "" for those in plain text."""
    q = connection.ops.quote_name
    counted = f"""SELECT CASE WHEN {q(column.name)} ~ %s THEN split_part({q(column.name)}, '.', 2) ELSE '' END AS key,
        count(*) FROM {q(column.table)} WHERE {q(column.name)} <> '' GROUP BY 1 ORDER BY 1"""  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(counted, [crypto.FORM])
        return dict(cursor.fetchall())


def reseal(
    column: Column,
    *,
    batch: int = BATCH,
    plain: bool = False,
    told: Callable[[Done], None] = lambda done: None,
) -> Done:
    """All rows whose key is not the current one; with `plain` also those in plain text, which else are unreadable."""
    done = Done()
    last: Any = None
    while rows := _next(column, last, batch):
        last = rows[-1][0]
        with transaction.atomic(), connection.cursor() as cursor:
            for key, row, old in rows:
                if (new := _renewed(column, row, old, plain)) is None:
                    done.unreadable += 1
                else:
                    cursor.execute(_update(column), [new, key, old])
                    done.changed += cursor.rowcount
        told(done)
    return done


def _next(column: Column, last: Any, batch: int) -> list[tuple[Any, Any, str]]:
    q = connection.ops.quote_name
    after = f"AND {q(column.key)} > %s" if last is not None else ""
    find = f"""SELECT {q(column.key)}, {q(column.row)}, {q(column.name)} FROM {q(column.table)}
        WHERE {q(column.name)} <> '' AND NOT starts_with({q(column.name)}, %s) {after}
        ORDER BY {q(column.key)} LIMIT %s"""  # noqa: S608
    current = f"{crypto.VERSION}.{crypto.field_keys().current}."
    with connection.cursor() as cursor:
        cursor.execute(find, [current, *([last] if last is not None else []), batch])
        return [(key, row, old) for key, row, old in cursor.fetchall()]


def _renewed(column: Column, row: object, old: str, plain: bool) -> str | None:
    at = crypto.place(column.table, column.name, row)
    if plain and not crypto.is_sealed(old):
        return crypto.seal(old, at)
    try:
        return crypto.seal(crypto.opened(old, at), at)
    except crypto.Unreadable:
        return None


def _update(column: Column) -> str:
    q = connection.ops.quote_name
    # Only while it is still what was read: whoever wrote it since used the current key.
    return f"""UPDATE {q(column.table)} SET {q(column.name)} = %s
        WHERE {q(column.key)} = %s AND {q(column.name)} = %s"""  # noqa: S608


def sealing(columns: Iterable[Column]) -> Callable[[object, object], None]:
    """For migrations: seals what is in plain text."""

    def seal_all(_apps: object, _schema_editor: object) -> None:
        for column in columns:
            if (done := reseal(column, plain=True)).unreadable:
                raise crypto.Unreadable(f"{done.unreadable} in {column}")

    return seal_all
