"""Every write to our tables is written down by a trigger, so that SQL and the admin are covered (docs/adr/0021).

A new table is watched by itself: which columns changed, by whom, of whose record. An app says on its AppConfig where
it wants another thing: `audit_keeps` names columns of a table whose values are kept ("*": all), `audit_unwatched`
tables that have a reason not to be watched. The triggers are made after each `migrate`.
"""

from typing import Any, NamedTuple

from django.apps import AppConfig, apps
from django.db import connection, transaction

# Not ours, but they say who may do what.
ALSO = ["auth_group", "auth_group_permissions", "account_emailaddress", "mfa_authenticator"]
NOISE = {"clinic_booking_user": "last_login"}  # changes of these columns alone are none

EXISTING = """
SELECT c.relname, encode(t.tgargs, 'escape') FROM pg_class c LEFT JOIN pg_trigger t
    ON t.tgrelid = c.oid AND t.tgname = 'audit_change'
WHERE c.relkind = 'r' AND c.relname = ANY(%s) AND c.relnamespace = current_schema()::regnamespace
"""
OFF = """
SELECT c.relname FROM pg_class c LEFT JOIN pg_trigger t
    ON t.tgrelid = c.oid AND t.tgname = 'audit_change' AND t.tgenabled IN ('O', 'A')
WHERE c.relkind = 'r' AND c.relname = ANY(%s) AND c.relnamespace = current_schema()::regnamespace AND t.oid IS NULL
"""


class Watched(NamedTuple):
    patient: str
    clinic: str
    keeps: str
    noise: str
    key: str


def watched() -> dict[str, Watched]:
    """The tables, with the arguments of their triggers."""
    found = dict.fromkeys(ALSO, Watched("", "", "", "", "id"))
    for config in apps.get_app_configs():
        keeps: dict[str, list[str]] | None = getattr(config, "audit_keeps", None)
        if keeps is None:
            continue
        unwatched: set[str] = getattr(config, "audit_unwatched", set())
        for model in config.get_models(include_auto_created=True):
            table, columns = model._meta.db_table, {f.column for f in model._meta.concrete_fields}
            if table not in unwatched:
                found[table] = Watched(
                    "id" if table == "patients_patient" else "patient_id" if "patient_id" in columns else "",
                    "id" if table == "scheduling_clinic" else "clinic_id" if "clinic_id" in columns else "",
                    ",".join(keeps.get(table, [])),
                    NOISE.get(table, ""),
                    model._meta.pk.column or "",
                )
    return found


def watch(sender: AppConfig, **kwargs: Any) -> None:
    """Receiver of `post_migrate`; after a flush, which has no plan, there is nothing to do."""
    if kwargs.get("plan") is None:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT to_regprocedure('audit_change()') IS NOT NULL")
        if cursor.fetchone() != (True,):  # migrated to a time before it
            return
        wanted = watched()
        cursor.execute(EXISTING, [list(wanted)])
        for table, args in cursor.fetchall():
            if args != "".join(f"{word}\\000" for word in wanted[table]):
                words = ", ".join(f"'{word}'" for word in wanted[table])
                cursor.execute(
                    f'CREATE OR REPLACE TRIGGER audit_change AFTER INSERT OR UPDATE OR DELETE ON "{table}" '
                    f"FOR EACH ROW EXECUTE FUNCTION audit_change({words})"
                )


def unwatched_tables() -> list[str]:
    """Tables that ought to be watched, but whose trigger is away or switched off."""
    with connection.cursor() as cursor:
        cursor.execute(OFF, [list(watched())])
        return [table for (table,) in cursor.fetchall()]
