"""Dockerfile, docker-compose.yml, .env.example and docs/ops.md say the same as settings.py: no test can run compose."""

import ast
import re
import subprocess
import sys

import pytest
import yaml

from tests.test_repository import ROOT

READS = re.compile(r"^(env\.\w+|required_\w+)$")
# What is for development or for tests, and what differs by the service.
NOT_OF_COMPOSE = {"DEBUG", "MESSAGE_FILES", "MFA_TOTP_INSECURE_BYPASS_CODE", "STATIC_ROOT", "STRIPE_API_BASE"}
NOT_IN_OPS = {"DEBUG", "MESSAGE_FILES", "MFA_TOTP_INSECURE_BYPASS_CODE", "STRIPE_API_BASE"}
OF_ONE_SERVICE = {
    "APPLICATION_NAME",
    "BACKUP_DATABASE_URL",
    "BACKUP_KEY",
    "STATEMENT_TIMEOUT_MS",
    "WSGI_THREADS",
}


def text(name):
    return (ROOT / name).read_text()


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(text("docker-compose.yml"))


@pytest.fixture(scope="module")
def read_by_settings():
    calls = (
        node for node in ast.walk(ast.parse(text("clinic_booking/settings.py"))) if isinstance(node, ast.Call)
    )
    named = (call for call in calls if READS.match(ast.unparse(call.func)) and call.args)
    names = {call.args[0].value for call in named if isinstance(call.args[0], ast.Constant)}
    assert {"SECRET_KEY", "PROXY_MINOR_UNTIL_AGE", "LOCK_TIMEOUT_MS"} <= names
    return names


def test_compose_hands_every_setting_on(compose, read_by_settings):
    web = compose["services"]["web"]["environment"]
    assert read_by_settings - set(web) - NOT_OF_COMPOSE - OF_ONE_SERVICE == set()
    everywhere = {name for service in compose["services"].values() for name in service.get("environment", ())}
    assert everywhere >= OF_ONE_SERVICE


def test_example_names_what_compose_asks_for(compose):
    services = compose["services"].values()
    handed_on = {
        name for each in services for name, value in each.get("environment", {}).items() if value is None
    }
    asked_for = handed_on | set(re.findall(r"\$\{(\w+)", text("docker-compose.yml")))
    assert set(re.findall(r"^#?(\w+)=", text(".env.example"), re.MULTILINE)) == asked_for


def test_operations_name_every_setting(read_by_settings):
    assert read_by_settings - NOT_IN_OPS - set(re.findall(r"\w+", text("docs/ops.md"))) == set()


def test_image_can_be_built_without_secrets():
    """The settings load with what the Dockerfile gives them."""
    given = re.search(
        r"^RUN (SECRET_KEY=.*?) python manage.py collectstatic", text("Dockerfile"), re.M | re.S
    )
    command = (
        given[1].replace("\\\n", " ") + f" {sys.executable} -W error -c 'import clinic_booking.settings'"
    )
    environment = {"ENVIRONMENT": "production", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_image_has_the_tools_of_the_servers_version(compose):
    server = compose["services"]["postgres"]["image"].partition(":")[2]
    assert f"FROM postgres:{server}-" in text("Dockerfile")
    assert f"postgresql-client-{server} " in text("Dockerfile")
    assert f"/usr/lib/postgresql/{server}/bin" in text("Dockerfile")
    # The archive's packages are those of one Debian.
    bases = re.findall(r"^FROM (?:python|postgres):(\S+)", text("Dockerfile"), re.M)
    assert len({base.rpartition("-")[2] for base in bases}) == 1


def test_what_deletes_writes_the_list_of_deletions(compose):
    for name, mode in (("worker", ""), ("backup", ""), ("web", ":ro")):
        service = compose["services"][name]
        assert service["environment"]["BACKUP_DIR"] == "/backups"
        assert f"backups:/backups{mode}" in service["volumes"]
