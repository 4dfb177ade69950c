"""There and back on a real PostgreSQL: what was deleted since the backup is deleted again."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from clinic_booking import backups as backup_files
from clinic_booking.backups import crypt
from clinic_booking.retention import deletions
from patients.models import Patient
from tests import factories
from tests.retention.lives import someone

KEY = "a key of the test, of more than 32 characters"


@pytest.fixture(autouse=True)
def key(settings):
    settings.BACKUP_KEY = KEY


def sealed(plain, key=KEY):
    target = io.BytesIO()
    crypt.seal(io.BytesIO(plain), target, key)
    return target.getvalue()


def opened(cipher, key=KEY):
    return b"".join(crypt.opened(io.BytesIO(cipher), key))


PLAIN = [b"", b"x", b"y" * crypt.PIECE, b"z" * (2 * crypt.PIECE + 1)]


@pytest.mark.parametrize("plain", PLAIN, ids=len)
def test_opened_is_what_was_sealed(plain):
    assert opened(sealed(plain)) == plain


def test_nothing_of_it_is_plain():
    assert b"Zubaidah" not in sealed(b"Zubaidah" * 100)


def test_short_key_is_none():
    with pytest.raises(crypt.NoKey):
        sealed(b"x", "short")


def test_wrong_key_is_said():
    with pytest.raises(crypt.WrongKey):
        opened(sealed(b"x"), "another key of more than 32 characters")


HEAD = len(crypt.MAGIC) + crypt.SALT_BYTES + crypt.TAG_BYTES


@pytest.mark.parametrize("cut", [0, 5, HEAD, HEAD + 2, HEAD + 100, -1])
def test_cut_off_anywhere_is_refused(cut):
    whole = sealed(b"z" * (crypt.PIECE + 1))
    with pytest.raises((crypt.Damaged, crypt.WrongKey)):
        opened(whole[:cut])


def test_whole_last_piece_left_out_is_refused():
    whole = sealed(b"z" * (crypt.PIECE + 1))
    first = HEAD + crypt.LENGTH_BYTES + crypt.PIECE + crypt.TAG_BYTES
    with pytest.raises(crypt.Damaged):
        opened(whole[:first])


@pytest.mark.parametrize("place", [3, HEAD - 40, HEAD - 1, HEAD + 1, HEAD + 20, -1])
def test_changed_anywhere_is_refused(place):
    changed = bytearray(sealed(b"some words"))
    changed[place] ^= 1
    with pytest.raises((crypt.Damaged, crypt.WrongKey)):
        opened(bytes(changed))


@pytest.fixture
def empty_database(transactional_db):
    """Another database of the cluster; within the test `use()` makes it that of the settings."""
    ours, name = connection.settings_dict["NAME"], f"{connection.settings_dict['NAME']}_restored"

    def run(sql):
        with connection._nodb_cursor() as cursor:
            cursor.execute(sql)

    def use(other=name):
        connection.close()
        connection.settings_dict["NAME"] = other

    run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    run(f'CREATE DATABASE "{name}" TEMPLATE template0')
    yield use
    use(ours)
    run(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.django_db(transaction=True)
def test_who_was_anonymised_stays_so_after_a_restore(empty_database, backups, capsys):
    gone, kept = someone(1), factories.PatientFactory(name="Kept Person")
    call_command("backup")
    call_command("anonymise", "--class", "inactive_account")
    assert Patient.objects.get(pk=gone.pk).anonymised_at
    [path] = backups.glob("*.backup")
    assert gone.name.encode() not in path.read_bytes()
    assert is_refused("is not empty", path)

    empty_database()
    call_command("restore", path)
    restored = Patient.objects.get(pk=gone.pk)
    assert (restored.name, restored.email, restored.birth_date.day) == ("(anonymised)", "", 1)
    assert Patient.objects.get(pk=kept.pk).name == "Kept Person"
    said = capsys.readouterr().out
    assert "deletions replayed: 1 done, 0 left" in said
    assert "all agrees" in said
    [drill] = [json.loads(line) for line in (backups / "restores.jsonl").read_text().splitlines()]
    assert (drill["replayed"], drill["left"], drill["is_consistent"]) == (1, 0, True)
    assert is_refused("is not empty", path)


def is_refused(why, path):
    with pytest.raises(CommandError, match=why):
        call_command("restore", path)
    return True


@pytest.fixture
def made(db, backups):
    """A backup whose dump is a few bytes: what is looked at before anything is restored."""
    return _made(backups)


def _made(place):
    place.mkdir(exist_ok=True)
    path = place / "clinic-1.backup"
    path.write_bytes(sealed(b"PGDMP and so on"))
    said = {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": backup_files._sha256(path),
        "roles": [],
    }
    said |= {"made_at": "2026-01-01T00:00:00+00:00", "expires_at": "2026-02-05T00:00:00+00:00"}
    path.with_suffix(".json").write_text(json.dumps(said))
    return path


def test_changed_file_is_refused_by_its_checksum(made):
    made.write_bytes(made.read_bytes()[:-1] + b"x")
    assert is_refused("changed or cut off", made)


def test_wrong_key_restores_nothing(made, settings):
    settings.BACKUP_KEY = "b" * 32
    assert is_refused("not the key", made)


def test_backup_without_its_manifest_is_refused(made):
    made.with_suffix(".json").unlink()
    assert is_refused("no manifest", made)


def test_other_databases_are_not_overwritten(made):
    assert is_refused("is not empty", made)


def test_backups_expire_in_both_places(made, settings, tmp_path):
    _made(tmp_path / "elsewhere")
    assert backup_files.expire() == ["clinic-1"]
    assert not list(tmp_path.rglob("clinic-*"))


@pytest.mark.django_db
def test_failed_dump_leaves_nothing(settings, backups):
    settings.BACKUP_DATABASE_URL = "postgres://nobody@127.0.0.1:1/nowhere"
    with pytest.raises(CommandError, match="pg_dump failed"):
        call_command("backup")
    assert [each.name for each in backups.iterdir()] == [deletions.NAME]
