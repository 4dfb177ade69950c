"""A text column that holds nothing but ciphers: the model's attribute is the plain text, the column never is."""

import uuid
from collections.abc import Iterable
from typing import Any

from django.contrib.postgres.functions import RandomUUID
from django.core import checks
from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.query_utils import DeferredAttribute

from clinic_booking import crypto


class Sealed(str):
    """A cipher as it stands in the column. Tells what reads columns (`values()`) from what reads attributes."""

    __slots__ = ()


class _Opened(DeferredAttribute):
    """Opens the cipher when the attribute is read, so that pages that do not show it never open it."""

    field: "SealedTextField"

    def __get__(self, instance: models.Model | None, cls: type | None = None) -> Any:
        if instance is None:
            return self
        value = super().__get__(instance, cls)
        return self.field.opened(instance, value) if isinstance(value, Sealed) else value

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class SealedTextField(models.CharField):  # type: ignore[type-arg]
    """Free text that is sealed with its table, column and row (`row`: the field that names the row for ever, known
    before the row is written). The empty text stays empty, so that rows without a text are told from the others.

    Sealed by save(), create() and bulk_create(). `update()`, `bulk_update()` and plain SQL know no row: they get
    `sealed(…)` below or are refused, here and by the column's check constraint. It cannot be searched.
    """

    descriptor_class = _Opened

    def __init__(self, *args: Any, row: str = "cipher_id", **options: Any) -> None:
        self.row = row
        super().__init__(*args, **options)

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        return name, path, args, options | {"row": self.row}

    def check(self, **options: Any) -> list[checks.CheckMessage]:
        if not issubclass(self.model, SealedModel):
            return [checks.Error("Its model is no SealedModel.", obj=self)]
        return [*super().check(**options), *self._check_row()]

    def _check_row(self) -> list[checks.CheckMessage]:
        try:
            row = self.model._meta.get_field(self.row)
        except FieldDoesNotExist:
            row = None
        known = isinstance(row, models.Field) and row.unique and not row.null
        # A serial number is not known before the row is written.
        if known and not isinstance(row, models.AutoField):
            return []
        return [checks.Error("Its row needs a unique name that is known before it is written.", obj=self)]

    def get_internal_type(self) -> str:
        return "TextField"

    def db_check(self, connection: BaseDatabaseWrapper) -> str:
        column = connection.ops.quote_name(str(self.column))
        form = crypto.FORM.replace("%", "%%")
        return f"{column} = '' OR {column} ~ '{form}'"

    def get_lookup(self, lookup_name: str) -> Any:
        return super().get_lookup(lookup_name) if lookup_name in ("exact", "isnull") else None

    # -- One row ---------------------------------------------------------------------------------

    def place(self, row: object) -> bytes:
        return crypto.place(self.model._meta.db_table, str(self.column), row)

    def sealed(self, row: object, text: str) -> Sealed:
        return Sealed(crypto.seal(text, self.place(row)) if text else "")

    def opened(self, instance: models.Model, value: str) -> str:
        """Raises crypto.Unreadable."""
        return crypto.opened(value, self.place(getattr(instance, self.row))) if value else ""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = model_instance.__dict__.get(self.attname)
        if isinstance(value, Sealed):
            if add:
                self.opened(model_instance, value)  # or a copy of a row would take a cipher it cannot open
            return value
        if not value:
            return value
        sealed = self.sealed(getattr(model_instance, self.row), str(value))
        model_instance.__dict__[self.attname] = sealed
        return sealed

    # -- Columns ---------------------------------------------------------------------------------

    def from_db_value(self, value: str | None, *_args: object) -> str | None:
        return Sealed(value) if value else value

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        if not value or isinstance(value, Sealed):
            return value
        raise FieldError(f"{self.name} is not written or searched in plain text: save(), or sealed.sealed().")

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        value = super().get_db_prep_value(value, connection, prepared)
        return str(value) if isinstance(value, Sealed) else value

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, Sealed) else super().to_python(value)

    def value_to_string(self, obj: Any) -> str:
        return str(self.pre_save(obj, False) or "")  # never plain in a dump of `dumpdata`


def sealed(model: type[models.Model], name: str, *, row: object, text: str) -> Sealed:
    """What stands in the column `name` of that row: for `update()` and plain SQL."""
    field = model._meta.get_field(name)
    assert isinstance(field, SealedTextField)
    return field.sealed(row, text)


class SealedModel(models.Model):
    """With sealed columns."""

    class Meta:
        abstract = True

    def _get_field_expression_map(self, meta: Any, exclude: Iterable[str] | None = None) -> Any:
        # Django validates check constraints in the database, where no plain text may go.
        sealed = {field.name for field in meta.local_concrete_fields if isinstance(field, SealedTextField)}
        return super()._get_field_expression_map(meta, {*(exclude or ()), *sealed})  # type: ignore[misc]


class SealedRow(SealedModel):
    """With sealed columns, and a name for the row that is known before it is written and never changes."""

    cipher_id = models.UUIDField(default=uuid.uuid4, db_default=RandomUUID(), unique=True, editable=False)

    class Meta:
        abstract = True
