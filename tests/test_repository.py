"""Rules about the code itself that no other tool checks."""

import ast
import functools
import re
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parent.parent
APPS = ["clinic_booking", "patients", "scheduling", "billing"]  # each imports only from those before it
PUTS_TOGETHER = {"clinic_booking/asgi.py", "clinic_booking/wsgi.py", "clinic_booking/urls.py"}
MAY_LOCK = {
    *(
        f"scheduling/{name}.py"
        for name in ("locks", "equipment", "parts", "holds", "placing", "inventory", "changes")
    ),
    *(f"scheduling/{name}.py" for name in ("arrivals", "walk_ins")),
    *(f"scheduling/{name}.py" for name in ("waitlist", "waitlist_offers")),
    "billing/locks.py",
    "billing/bills.py",
}
MAY_PUBLISH_TO_REDIS = {"scheduling/live.py"}
MAY_IMPORT_STRIPE = {"billing/gateway.py", "billing/stripe_double/client.py"}

LOCK = re.compile(r"\bFOR\s+(NO\s+KEY\s+)?UPDATE\b|\bFOR\s+(KEY\s+)?SHARE\b|\bLOCK\s+TABLE\b")
UNOWNED = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\([\w.@-]+\))")
PLACES = re.compile(
    r"/home/\w|/root/|/Users/\w|pypi\.org|pythonhosted|npmjs\.|yarnpkg\.|--(extra-)?index-url"
)
IDENTITY_NUMBER = re.compile(r"(?<![0-9a-z])([stfgm])(\d{7})([a-z])(?![0-9a-z])", re.IGNORECASE)


@functools.cache
def texts():
    """Path and text of every file that is or would be committed, but for this one, which names what it forbids."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = {}
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and ROOT / name != Path(__file__).resolve():
            found[name] = (ROOT / name).read_bytes().decode(errors="replace")
    return found


@functools.cache
def modules():
    """Path and syntax tree of our apps' own modules."""
    return {
        name: ast.parse(text)
        for name, text in texts().items()
        if name.endswith(".py") and name.split("/")[0] in APPS and "/migrations/" not in name
    }


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def statements(tree):
    """All strings that are no docstring."""
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.value


def attributes(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield getattr(node.value, "id", ""), node.attr


@pytest.mark.parametrize("app", APPS)
def test_apps_import_only_to_their_left(app):
    forbidden = set(APPS[APPS.index(app) + 1 :])
    wrong = {
        (name, imported)
        for name, tree in modules().items()
        if name.split("/")[0] == app and name not in PUTS_TOGETHER
        for imported in imports(tree)
        if imported.split(".")[0] in forbidden
    }
    assert not wrong


def test_apps_import_no_tests_and_no_benchmark():
    assert not {
        n for n, tree in modules().items() for i in imports(tree) if i.split(".")[0] in {"tests", "bench"}
    }


def test_locks_are_taken_in_few_places():
    lockers = {
        name
        for name, tree in modules().items()
        if any(attribute == "select_for_update" for _, attribute in attributes(tree))
        or any(LOCK.search(text) for text in statements(tree))
    }
    assert lockers <= MAY_LOCK
    assert "scheduling/locks.py" in lockers


def test_only_live_publishes_to_redis():
    publishers = {
        name
        for name, tree in modules().items()
        for owner, attribute in attributes(tree)
        if attribute == "group_send" or (attribute == "publish" and owner not in {"events", "_publisher"})
    }
    assert publishers == MAY_PUBLISH_TO_REDIS


def test_only_the_gateway_imports_stripe():
    importers = {n for n, tree in modules().items() for i in imports(tree) if i.split(".")[0] == "stripe"}
    assert importers == MAY_IMPORT_STRIPE


def test_what_is_left_to_do_has_an_owner():
    assert not {(name, hit[0]) for name, text in texts().items() if (hit := UNOWNED.search(text))}


def test_no_file_names_a_registry_or_somebodys_directory():
    assert not {(name, hit[0]) for name, text in texts().items() if (hit := PLACES.search(text))}


@pytest.mark.django_db
def test_migrations_are_complete(capsys):
    call_command("makemigrations", check=True, dry_run=True, verbosity=3)
    assert "No changes" in capsys.readouterr().out


def is_valid_identity_number(series, digits, letter):
    """The check letter of Singapore's NRIC and FIN numbers."""
    series = series.upper()
    total = sum(int(d) * w for d, w in zip(digits, (2, 7, 6, 5, 4, 3, 2), strict=True))
    total += {"T": 4, "G": 4, "M": 3}.get(series, 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "XWUTRQPNJLK"}.get(series, "XWUTRQPNMLK")
    return letters[total % 11] == letter.upper()


@pytest.mark.parametrize("letter", ["D", "d"])
def test_valid_identity_number_is_recognised(letter):
    found = IDENTITY_NUMBER.search("number S1234567" + letter)
    assert is_valid_identity_number(*found.groups())
    assert not is_valid_identity_number(*found.groups()[:2], "E")


def test_no_file_holds_a_valid_identity_number():
    valid = {
        (name, hit[0])
        for name, text in texts().items()
        if not name.endswith((".lock", "package-lock.json"))
        for hit in IDENTITY_NUMBER.finditer(text)
        if is_valid_identity_number(*hit.groups())
    }
    assert not valid
