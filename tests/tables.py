"""After a test with real transactions: empties the tables that have rows, where Django's flush truncates all and lets
permissions and content types be made again. What the migrations left is put back, with the same keys.
"""

from django.db import connection, transaction

TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"

_kept: dict[str, bytes] = {}


def keep() -> None:
    with connection.cursor() as cursor:
        for name in _with_rows(cursor):
            with cursor.copy(f'COPY "{name}" TO STDOUT') as copy:
                _kept[name] = b"".join(copy)


def restore() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no trigger, no look at foreign keys
        for name in _with_rows(cursor):
            cursor.execute(f'DELETE FROM "{name}"')
        for name, rows in _kept.items():
            with cursor.copy(f'COPY "{name}" FROM STDIN') as copy:
                copy.write(rows)


def _with_rows(cursor) -> list[str]:
    cursor.execute(TABLES)
    each = [f"SELECT '{name}' WHERE EXISTS (SELECT FROM \"{name}\")" for (name,) in cursor.fetchall()]
    cursor.execute(" UNION ALL ".join(each))
    return [name for (name,) in cursor.fetchall()]
