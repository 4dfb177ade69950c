import pytest
from django.core import serializers
from django.core.exceptions import FieldError
from django.db import IntegrityError, connection, transaction

from clinic_booking import crypto, reseal
from clinic_booking.sealed import Sealed, sealed
from scheduling.models import Booking, DeskNote
from tests import factories

TEXT = "cannot sleep since the operation, 手术"


@pytest.fixture
def visit(slots, service):
    return factories.book(slots[:1], service=service, note=TEXT)


@pytest.fixture
def other(slots, service):
    return factories.book(slots[2:3], service=service, note="asthma")


@pytest.fixture
def note(visit, receptionist):
    return DeskNote.objects.create(booking=visit, text=TEXT, written_by=receptionist)


def column(model, name, pk):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name} FROM {model._meta.db_table} WHERE id = %s", [pk])
        return cursor.fetchone()[0]


def write(model, name, pk, value):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {model._meta.db_table} SET {name} = %s WHERE id = %s", [value, pk])


def test_column_holds_a_cipher_and_the_attribute_the_text(visit):
    assert crypto.is_sealed(column(Booking, "note", visit.pk))
    assert Booking.objects.get(pk=visit.pk).note == TEXT
    assert Booking.objects.only("id", "reference").get(pk=visit.pk).note == TEXT
    assert Booking.objects.select_related("visit").defer("note").get(pk=visit.pk).note == TEXT


def test_change_is_sealed_and_what_did_not_change_stays(note):
    before = column(DeskNote, "text", note.pk)
    stored = DeskNote.objects.get(pk=note.pk)
    stored.save()
    assert column(DeskNote, "text", note.pk) == before
    stored.text = "better"
    stored.save(update_fields=["text"])
    assert column(DeskNote, "text", note.pk) != before
    assert (stored.text, DeskNote.objects.get(pk=note.pk).text) == ("better", "better")


def test_empty_text_stays_empty_and_can_be_asked_for(visit, other):
    Booking.objects.filter(pk=visit.pk).update(note="")
    assert (column(Booking, "note", visit.pk), Booking.objects.get(pk=visit.pk).note) == ("", "")
    assert Booking.objects.get(note="") == visit
    assert Booking.objects.exclude(note="").get() == other


def test_bulk_create_seals(visit, receptionist):
    notes = [DeskNote(booking=visit, text=text, written_by=receptionist) for text in ("one", "two")]
    made = DeskNote.objects.bulk_create(notes)
    assert all(crypto.is_sealed(column(DeskNote, "text", each.pk)) for each in made)
    assert [each.text for each in DeskNote.objects.order_by("pk")] == ["one", "two"]


def test_what_knows_no_row_cannot_write_plain_text(note):
    before = column(DeskNote, "text", note.pk)
    note.text = "plain"
    for write_plain in (
        lambda: DeskNote.objects.filter(pk=note.pk).update(text="plain"),
        lambda: DeskNote.objects.bulk_update([note], ["text"]),
        lambda: note.save_base(raw=True),
        lambda: DeskNote.objects.filter(text="plain").exists(),
        lambda: DeskNote.objects.filter(text__icontains="plain").exists(),
    ):
        with pytest.raises(FieldError), transaction.atomic():
            write_plain()
    with pytest.raises(IntegrityError, match="_sealed"):
        write(DeskNote, "text", note.pk, "plain")
    assert column(DeskNote, "text", note.pk) == before


def test_update_takes_what_was_sealed_for_the_row(visit, other):
    mine = sealed(Booking, "note", row=visit.reference, text="fine again")
    Booking.objects.filter(pk=visit.pk).update(note=mine)
    assert Booking.objects.get(pk=visit.pk).note == "fine again"
    Booking.objects.filter(pk=other.pk).update(note=mine)
    with pytest.raises(crypto.Unreadable):
        _ = Booking.objects.get(pk=other.pk).note


def test_ciphers_moved_by_sql_are_refused(visit, other):
    first, second = (column(Booking, "note", each.pk) for each in (visit, other))
    write(Booking, "note", visit.pk, second)
    write(Booking, "note", other.pk, first)
    for each in (visit, other):
        with pytest.raises(crypto.Unreadable):
            _ = Booking.objects.get(pk=each.pk).note


def test_copy_of_a_row_does_not_take_its_cipher(note):
    copy = DeskNote.objects.get(pk=note.pk)
    copy.pk, copy.cipher_id = None, DeskNote().cipher_id
    copy._state.adding = True
    with pytest.raises(crypto.Unreadable):
        copy.save()


def test_columns_and_dumps_show_ciphers(note):
    value = DeskNote.objects.values_list("text", flat=True).get()
    assert isinstance(value, Sealed)
    assert TEXT not in serializers.serialize("json", DeskNote.objects.all())


def test_validation_sends_no_plain_text(note):
    note.text = "plain"
    with connection.execute_wrapper(refuse_plain):
        note.full_clean()


def refuse_plain(execute, sql, params, many, context):
    assert "plain" not in str(params)
    return execute(sql, params, many, context)


@pytest.mark.django_db
def test_every_sealed_column_takes_nothing_but_ciphers():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c'"
        )
        checks = cursor.fetchall()
    columns = list(reseal.columns())
    assert len(columns) >= 9
    for column in columns:
        assert any(table == column.table and column.name in text and "v1" in text for table, text in checks)
