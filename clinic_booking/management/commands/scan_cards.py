"""Looks for card numbers in everything that is kept: each column of each table, and files that are named.

To be run as the owner of the tables: row-level security hides rows from others.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from psycopg import sql

from clinic_booking import pan

TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1, 2
"""


class Command(BaseCommand):
    help = (
        "Look for card numbers in the database, or in files and directories. Ends with 1 when it finds one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="*", type=Path, help="instead of the database")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, paths: list[Path], **options: Any) -> None:
        found: Counter[str] = Counter()
        for place, lines in _files(paths) if paths else _tables():
            hits = Counter(_hits(place, lines))
            found += hits
            if not options["json"]:
                self.stderr.write(f"{place}: {hits.total() or 'none'}")
        if options["json"]:
            self.stdout.write(json.dumps({"found": found}))
        if found:
            places = ", ".join(f"{place} ({n})" for place, n in found.most_common())
            raise CommandError(f"Card numbers are kept in {places}.")
        if not options["json"]:
            self.stdout.write("No card number was found.")


def _hits(place: str, lines: Iterable[str]) -> Iterator[str]:
    """Where, never what."""
    for line in lines:
        if view := pan.hidden_in(line):
            yield f"{place} as {view}"


def _tables() -> Iterator[tuple[str, Iterator[str]]]:
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        tables = cursor.fetchall()
    for schema, table in tables:
        yield f"{schema}.{table}", _rows(schema, table)


def _rows(schema: str, table: str) -> Iterator[str]:
    """As COPY writes them: a line each, the columns apart by tabs."""
    query = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(sql.Identifier(schema, table))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        rest = b""
        for chunk in copy:
            *lines, rest = (rest + bytes(chunk)).split(b"\n")
            for line in lines:
                yield line.decode()


def _files(paths: list[Path]) -> Iterator[tuple[str, Iterator[str]]]:
    for path in paths:
        if not path.exists():
            raise CommandError(f"There is no {path}.")
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                yield str(file), iter(file.read_text("latin-1").splitlines())
