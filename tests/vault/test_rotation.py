import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from billing import bills
from billing.models import CreditNote
from clinic_booking import crypto, reseal
from patients import vault
from patients.identity import parse
from patients.models import Identifier
from scheduling.models import Booking, DeskNote
from tests import factories
from tests.vault.finding import find_patients
from tests.vault.keys import key, number

NUMBERS = [number("S", f"80{n:05d}") for n in range(6)]


@pytest.fixture
def old(settings):
    settings.FIELD_KEYS, settings.BLIND_INDEX_KEYS = f"old:{key()}", f"old:{key()}"
    return settings.FIELD_KEYS, settings.BLIND_INDEX_KEYS


@pytest.fixture
def kept(old, slots, service, receptionist):
    visits = [factories.book(slots[i : i + 1], service=service, note=f"note {i}") for i in range(3)]
    for text, visit in zip(NUMBERS, visits, strict=False):
        vault.record(
            patient_id=visit.patient_id, number=parse("nric", text), source=vault.Source.DESK, by=receptionist
        )
        DeskNote.objects.create(booking=visit, text="call back", written_by=receptionist)
    return visits


@pytest.fixture
def new(kept, old, settings):
    """The current key is another; the old one still opens."""
    settings.FIELD_KEYS, settings.BLIND_INDEX_KEYS = (f"new:{key()},{each}" for each in old)


def columns():
    notes = Booking.objects.exclude(note="").values_list("note", flat=True)
    return [*notes, *DeskNote.objects.values_list("text", flat=True), *indexes()]


def indexes():
    return list(Identifier.objects.values_list("blind_index", flat=True))


def everything_reads(visits):
    assert [Booking.objects.get(pk=v.pk).note for v in visits] == ["note 0", "note 1", "note 2"]
    assert [find_patients(text) for text in NUMBERS[:3]] == [[v.patient] for v in visits]
    assert sorted(i.value for i in Identifier.objects.all()) == sorted(NUMBERS[:3])


def test_all_is_brought_to_the_current_keys(kept, new, settings, capsys):
    everything_reads(kept)
    call_command("rotate_keys", "--dry-run")
    assert "3 by old" in capsys.readouterr().out
    call_command("rotate_keys", "--dry-run", "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["columns"]["index of identity numbers"] == {"current": "new", "by_key": {"old": 3}}
    assert said["left"] > 3
    assert {crypto.key_of(each) for each in columns()} == {"old"}
    call_command("rotate_keys", "--batch", "2")
    assert "the old ones may go" in capsys.readouterr().out
    assert {crypto.key_of(each) for each in columns()} == {"new"}
    settings.FIELD_KEYS = settings.FIELD_KEYS.split(",")[0]
    settings.BLIND_INDEX_KEYS = settings.BLIND_INDEX_KEYS.split(",")[0]
    everything_reads(kept)


def test_second_run_changes_nothing(kept, new):
    call_command("rotate_keys")
    before = columns()
    call_command("rotate_keys")
    assert columns() == before


class Killed(BaseException):
    pass


@pytest.mark.django_db(transaction=True)
def test_killed_run_is_taken_up_where_it_stopped(kept, new):
    def kill(_done):
        raise Killed

    column = reseal.Column.of(Booking, "note", row="reference")
    with pytest.raises(Killed):
        reseal.reseal(column, batch=1, told=kill)
    with pytest.raises(Killed):
        vault.reindex(batch=1, told=kill)
    assert reseal.left(column) == {"new": 1, "old": 2}
    assert vault.indexed_by() == {"new": 1, "old": 2}
    everything_reads(kept)
    done = columns()
    call_command("rotate_keys", "--batch", "1")
    assert len(set(done) & set(columns())) == 2  # what was done stays as it is
    assert (reseal.left(column), vault.indexed_by()) == ({"new": 3}, {"new": 3})


def test_row_that_is_written_meanwhile_is_left_alone(kept, new, monkeypatch):
    column = reseal.Column.of(Booking, "note", row="reference")
    read = reseal._next

    def then_somebody_writes(*asked):
        rows = read(*asked)
        if rows:
            first = Booking.objects.get(pk=rows[0][0])
            first.note = "newer"
            first.save(update_fields=["note"])
        return rows

    monkeypatch.setattr(reseal, "_next", then_somebody_writes)
    assert reseal.reseal(column).changed == 2
    assert Booking.objects.get(pk=kept[0].pk).note == "newer"


def test_lost_key_fails_and_changes_nothing_of_it(kept, settings, capsys):
    settings.FIELD_KEYS, settings.BLIND_INDEX_KEYS = f"new:{key()}", f"new:{key()}"
    before = columns()
    with pytest.raises(CommandError, match="keep the old keys"):
        call_command("rotate_keys")
    assert "cannot be read" in capsys.readouterr().err
    assert columns() == before


def test_notes_of_what_never_changes_are_sealed_anew(kept, new, bill_of, receptionist):
    with transaction.atomic():
        made = bills.credit(
            bill_of, cents=100, reason=CreditNote.Reason.GOODWILL, note="waited", by=receptionist
        )
    call_command("rotate_keys")
    assert CreditNote.objects.get(pk=made.pk).note == "waited"
    with pytest.raises(Exception, match="append-only|never|change"), transaction.atomic():
        CreditNote.objects.filter(pk=made.pk).update(amount_cents=200)


@pytest.fixture
def bill_of(kept):
    return bills.keep_bill(kept[0].pk)


def test_plain_text_of_before_is_sealed(kept, capsys):
    """As a restore from before would bring it."""
    table, column = "scheduling_desknote", "text"
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_sealed")
        cursor.execute(f"UPDATE {table} SET {column} = 'asthma since ' || id")
    call_command("encrypt_fields", "--dry-run")
    assert f"{table}.{column}: 3 in plain text" in capsys.readouterr().out
    assert not [text for text in DeskNote.objects.values_list("text", flat=True) if crypto.is_sealed(text)]
    call_command("encrypt_fields", "--batch", "2")
    texts = {note.text for note in DeskNote.objects.all()}
    assert texts == {f"asthma since {note.pk}" for note in DeskNote.objects.all()}
    call_command("encrypt_fields")
    assert "Everything is sealed" in capsys.readouterr().out
