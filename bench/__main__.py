"""`make bench`: the product's rates beside those of the bare database, in one run on one machine. Read the ratios."""

import argparse
import os
import subprocess
import sys

from clinic_booking import local


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="43,200 slots only, short runs")
    names = [
        "supply",
        "holds",
        "reads",
        "live",
        "matching",
        "replan",
        "patients",
        "desk",
        "report",
        "events",
        "books",
    ]
    parser.add_argument("--only", choices=names, help="one part")
    options = parser.parse_args()
    with local.services("bench", durable=True) as addresses:
        os.environ.update(addresses, DJANGO_SETTINGS_MODULE="clinic_booking.settings", LOG_LEVEL="ERROR")
        # All come from one address.
        os.environ.update(RATE_LIMITS="off", HOLDS_PER_ADDRESS="0", UNKNOWN_SHARE_PERCENT="100")
        fresh_database(addresses["DATABASE_URL"])
        import django

        django.setup()
        from bench import parts

        for name, part in parts.PARTS.items():
            if options.only in (None, name):
                part(quick=options.quick)


def fresh_database(url: str) -> None:
    import psycopg

    server, name = url.rsplit("/", 1)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], check=True)


if __name__ == "__main__":
    main()
