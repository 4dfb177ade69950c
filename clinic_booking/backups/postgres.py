"""pg_dump and pg_restore: from the wheel on a laptop, of the system in production."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import environ
from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_lazy as _

from clinic_booking import local
from clinic_booking.errors import NamedError


class ToolFailed(NamedError):
    """`said` is the tool's last line."""

    status = 500

    def __init__(self, tool: str, said: str) -> None:
        super().__init__(tool)
        self.sentence = _("%(tool)s failed: %(said)s") % {"tool": tool, "said": said}


def database() -> dict[str, Any]:
    """The one of the settings; to read it all another role may be needed."""
    if settings.BACKUP_DATABASE_URL:
        return dict(environ.Env.db_url_config(settings.BACKUP_DATABASE_URL))
    return connection.settings_dict


@contextmanager
def dumped() -> Iterator[IO[bytes]]:
    """What pg_dump writes. Raises ToolFailed at the end, so whoever reads keeps nothing before."""
    command = [_tool("pg_dump"), "--format=custom", "--no-owner"]
    with _started(command, database(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout


@contextmanager
def restoring() -> Iterator[IO[bytes]]:
    """What is written is restored into the database of the settings, all or nothing."""
    target = connection.settings_dict
    command = [_tool("pg_restore"), "--no-owner", "--exit-on-error", "--single-transaction"]
    command += ["--dbname", str(target["NAME"])]
    with _started(command, target, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        yield process.stdin


@contextmanager
def _started(command: list[str], of: dict[str, Any], **pipes: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, env=_env(of), stderr=subprocess.PIPE, **pipes) as process:  # type: ignore[call-overload]  # noqa: S603
        try:
            yield process
        except BrokenPipeError:  # its own words say why
            pass
        except BaseException:
            process.kill()
            raise
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    _close(pipe)
        said = process.stderr.read().decode(errors="replace").strip().splitlines()
        if process.wait():
            raise ToolFailed(os.path.basename(command[0]), said[-1] if said else "no word")


def _close(pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        pipe.close()


def _env(of: dict[str, Any]) -> dict[str, str]:
    """The password goes by the environment: arguments can be read by everybody on the machine."""
    options = of.get("OPTIONS", {})
    said = {
        "PGHOST": of.get("HOST"),
        "PGPORT": of.get("PORT"),
        "PGUSER": of.get("USER"),
        "PGPASSWORD": of.get("PASSWORD"),
        "PGDATABASE": of.get("NAME"),
        "PGSSLMODE": options.get("sslmode"),
        "PGSSLROOTCERT": options.get("sslrootcert"),
    }
    return {**os.environ, **{name: str(value) for name, value in said.items() if value}}


def _tool(name: str) -> str:
    here = local.PG_BIN / name
    found = None if settings.PRODUCTION or not here.exists() else str(here)
    found = found or shutil.which(name)
    if not found:
        raise ToolFailed(name, str(_("it is not installed (package postgresql-client)")))
    return found
