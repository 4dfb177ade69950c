"""Production settings, loaded in a process of their own."""

import base64
import os
import re
import runpy
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection


def key():
    return base64.b64encode(os.urandom(32)).decode()


NAME = "booking.clinic.example"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "9cf4a3b7e1d84f0d92c6b5a7f3e2d1c09cf4a3b7e1d84f0d92c6b5a7f3e2d1c0",
    "SECRET_KEY_FALLBACKS": "",
    "SECOND_FACTOR_KEYS": "b7a1d0c94ef24c0f8f0d6d1a6a1f3b1e",
    "ALLOWED_HOSTS": NAME,
    "SITE_URL": f"https://{NAME}",
    "EMAIL_URL": "smtp+tls://user:password@mail.example:587",
    "STRIPE_SECRET_KEY": "rk_live_x",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_x",
    "STRIPE_WEBHOOK_SECRET": "whsec_old,whsec_new",
    "METRICS_TOKEN": "t",
    "DPO_EMAIL": f"dpo@{NAME}",
    "BACKUP_KEY": "8f14e45fceea167a5a36dedd4bea2543",
    "AUDIT_KEYS": "d41d8cd98f00b204e9800998ecf8427e",
    "FIELD_KEYS": f"k2:{key()},k1:{key()}",
    "BLIND_INDEX_KEYS": f"b1:{key()}",
}
NEAR = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
OF_TESTS = ("STRIPE_API_BASE", "DJANGO_ALLOW_ASYNC_UNSAFE", "RATE_LIMITS")


def python(*arguments, **changed):
    environment = {name: value for name, value in os.environ.items() if name not in OF_TESTS}
    environment |= NEAR | PRODUCTION | {"DJANGO_SETTINGS_MODULE": "clinic_booking.settings"} | changed
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_deploy_check_is_clean():
    done = python("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0
    # It says what is off, and nothing else.
    assert set(re.findall(r"\((\w+\.\w+)\)", done.stderr)) == {"messages.I001", "singpass.I001"}


@pytest.mark.parametrize(
    "name",
    [
        "SECRET_KEY",
        "SECOND_FACTOR_KEYS",
        "AUDIT_KEYS",
        "STRIPE_SECRET_KEY",
        "STRIPE_PUBLISHABLE_KEY",
        "STRIPE_WEBHOOK_SECRET",
        "FIELD_KEYS",
        "BLIND_INDEX_KEYS",
    ],
)
def test_missing_secret_stops_the_start(monkeypatch, name):
    for key, value in (PRODUCTION | {name: ""}).items():
        monkeypatch.setenv(key, value)
    with pytest.raises(ImproperlyConfigured, match=f"Set the environment variable {name}"):
        runpy.run_path("clinic_booking/settings.py")


def test_code_of_the_demo_stops_the_start(monkeypatch):
    for key, value in (PRODUCTION | {"MFA_TOTP_INSECURE_BYPASS_CODE": "123456"}).items():
        monkeypatch.setenv(key, value)
    with pytest.raises(ImproperlyConfigured, match="MFA_TOTP_INSECURE_BYPASS_CODE"):
        runpy.run_path("clinic_booking/settings.py")


@pytest.mark.parametrize("name", ["FIELD_KEYS", "BLIND_INDEX_KEYS"])
@pytest.mark.parametrize("wrong", ["no colon", "a:short", "of development", "the same twice", ""])
def test_wrong_keys_stop_the_start(monkeypatch, name, wrong):
    same = key()
    wrong = {
        "of development": f"a:{key()},{settings.FIELD_KEYS},{settings.BLIND_INDEX_KEYS.replace('dev', 'dev2')}",
        "the same twice": f"a:{same},b:{same}",
    }.get(wrong, wrong)
    for variable, value in (PRODUCTION | {name: wrong}).items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ImproperlyConfigured, match=name) as stopped:
        runpy.run_path("clinic_booking/settings.py")
    assert same not in str(stopped.value)


INSECURE = {
    "DEBUG": ("1", "DEBUG is on"),
    "SECRET_KEY": ("short", "SECRET_KEY is short"),
    "SECRET_KEY_FALLBACKS": ("development-only-key-x", "SECRET_KEY_FALLBACKS is the one for development"),
    "STRIPE_SECRET_KEY": ("sk_test_local", "STRIPE_SECRET_KEY is the one for development"),
    "STRIPE_PUBLISHABLE_KEY": ("pk_test_local", "STRIPE_PUBLISHABLE_KEY is the one for development"),
    "STRIPE_WEBHOOK_SECRET": ("whsec_new,whsec_local", "STRIPE_WEBHOOK_SECRET is the one for development"),
    "MESSAGE_REPORT_SECRETS": ("report_local", "MESSAGE_REPORT_SECRETS is the one for development"),
    "AUDIT_KEYS": (f"{'a' * 32},development-only-audit-key", "AUDIT_KEYS is the one for development"),
    "SECOND_FACTOR_KEYS": (f"{'a' * 32},short", "SECOND_FACTOR_KEYS is short"),
    "BACKUP_KEY": ("development-only-backup-key-of-32-characters", "BACKUP_KEY is the one for development"),
    "DPO_EMAIL": ("dpo@harbour-clinics.example", "DPO_EMAIL is the one for development"),
    "BLIND_INDEX_KEYS": (PRODUCTION["FIELD_KEYS"], "BLIND_INDEX_KEYS holds a key of FIELD_KEYS"),
    "SINGPASS_ISSUER": ("http://id.example/fapi", "SINGPASS_ISSUER is not https"),
    "STAFF_IDLE_SECONDS": ("86400", "STAFF_IDLE_SECONDS is no time within an hour"),
    "PATIENT_IDLE_SECONDS": ("0", "PATIENT_IDLE_SECONDS is no time within an hour"),
    "SECURE_HSTS_SECONDS": ("0", "SECURE_HSTS_SECONDS is 0"),
    "EMAIL_URL": (
        "smtp://user:password@mail.example.com:25",
        "EMAIL_URL goes to another network without TLS",
    ),
    "SITE_URL": (f"http://{NAME}", "SITE_URL is not https"),
    "ALLOWED_HOSTS": ("*", "ALLOWED_HOSTS has a pattern"),
    "CSRF_TRUSTED_ORIGINS": (f"http://{NAME}", "CSRF_TRUSTED_ORIGINS has one that is not https"),
    "TRUSTED_PROXIES": ("0.0.0.0/0", "TRUSTED_PROXIES is everybody"),
    "RATE_LIMITS": ("off", "RATE_LIMITS is off"),
    "METRICS_TOKEN": ("", "METRICS_TOKEN is empty"),
    "DATABASE_URL": (
        "postgres://u@db.example.com/x?sslmode=require",
        "DATABASE_URL goes to another network without TLS that is verified",
    ),
    "REDIS_URL": ("redis://cache.example.com/0", "REDIS_URL goes to another network without TLS"),
    "MFA_TOTP_INSECURE_BYPASS_CODE": ("000000", "MFA_TOTP_INSECURE_BYPASS_CODE"),
}


def load(monkeypatch, **changed):
    monkeypatch.delenv("STRIPE_API_BASE", raising=False)
    monkeypatch.delenv("RATE_LIMITS", raising=False)
    for key, value in (PRODUCTION | NEAR | changed).items():
        monkeypatch.setenv(key, value)
    return runpy.run_path("clinic_booking/settings.py")


@pytest.mark.parametrize("name", INSECURE)
def test_insecure_setting_stops_the_start(monkeypatch, name):
    value, sentence = INSECURE[name]
    with pytest.raises(ImproperlyConfigured, match=sentence):
        load(monkeypatch, **{name: value})


def test_all_reasons_are_named_at_once(monkeypatch):
    with pytest.raises(ImproperlyConfigured) as refusal:
        load(monkeypatch, DEBUG="1", SITE_URL="http://x")
    assert str(refusal.value).count("\n- ") == 2


@pytest.mark.parametrize(
    "addresses",
    [
        {"DATABASE_URL": "postgres://u:p@postgres:5432/x", "REDIS_URL": "redis://redis:6379/0"},
        {"DATABASE_URL": "postgres://u:p@10.0.0.7/x", "REDIS_URL": "redis://127.0.0.1/0"},
        {
            "DATABASE_URL": "postgres://u:p@db.example.com/x?sslmode=verify-full",
            "REDIS_URL": "rediss://cache.example.com/0",
        },
    ],
)
def test_near_or_encrypted_servers_are_fine(monkeypatch, addresses):
    assert load(monkeypatch, **addresses)["PRODUCTION"]


def test_database_of_another_network_wants_tls(monkeypatch):
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL goes"):
        load(monkeypatch, DATABASE_URL="postgres://u@db.example.com/x")


def test_provider_is_asked_by_tls(monkeypatch):
    with pytest.raises(ImproperlyConfigured, match="STRIPE_API_BASE is not https"):
        load(monkeypatch, STRIPE_API_BASE="http://stripe.example.com")


@pytest.mark.parametrize(
    "process", [["-c", "import clinic_booking.asgi"], ["manage.py", "procrastinate", "worker"]]
)
def test_what_serves_is_not_the_owner_of_the_tables(process):
    done = python(*process, DATABASE_ROLE="")
    assert done.returncode == 1
    assert "DATABASE_ROLE is not clinic_app" in done.stderr


def test_what_serves_starts_in_its_role(tmp_path):
    done = python("-c", "import clinic_booking.asgi", DATABASE_ROLE="clinic_app", STATIC_ROOT=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_answers_are_guarded(tmp_path):
    collected = python(
        "manage.py", "collectstatic", "--no-input", "--verbosity", "0", STATIC_ROOT=str(tmp_path)
    )
    assert (collected.returncode, collected.stderr) == (0, "")
    ask = f"""
import django; django.setup()
from django.conf import settings
from django.test import Client
client = Client(SERVER_NAME="{NAME}", headers={{"X-Forwarded-Proto": "https"}})
print(dict(client.get("/healthz").headers))
print(Client(SERVER_NAME="{NAME}").get("/login/").status_code)
print(Client(SERVER_NAME="{NAME}").get("/healthz").status_code)
print(client.get("/healthz", headers={{"Host": "evil.example"}}).status_code)
page = client.get("/login/")
style = page.text.split('rel="stylesheet" href="')[1].split('"')[0]
print(page.cookies.output(header=""), client.get(style)["Cache-Control"])
print(settings.SESSION_COOKIE_NAME, settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE)
"""
    done = python("-c", ask, STATIC_ROOT=str(tmp_path))
    assert done.returncode == 0, done.stderr
    headers, plain, health, foreign, page, cookies = done.stdout.splitlines()
    assert "'Strict-Transport-Security': 'max-age=63072000; includeSubDomains; preload'" in headers
    assert "default-src 'none'" in headers
    assert "'X-Frame-Options': 'DENY'" in headers
    assert (plain, health, foreign) == ("301", "200", "400")
    assert "__Host-csrf=" in page
    assert "Secure" in page
    assert "immutable" in page
    assert cookies == "__Host-session True True"


@pytest.fixture
def of_the_test(transactional_db):
    parameters = {"password": ""} | connection.get_connection_params()
    return "postgres://{user}:{password}@{host}:{port}/{dbname}".format(**parameters)


def test_migrations_are_complete(of_the_test):
    done = python("manage.py", "makemigrations", "--check", "--dry-run", DATABASE_URL=of_the_test)
    assert done.returncode == 0, done.stdout + done.stderr
