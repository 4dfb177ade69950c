"""How often one may ask, and whose address it is."""

import pytest
import redis
from django.test import RequestFactory

from clinic_booking import addresses, limits
from clinic_booking.errors import TooManyRequests
from tests.access.table import TABLE
from tests.access.test_table import rows
from tests.factories import PASSWORD
from tests.servers import RedisServer

FEW = {"login": (3, 300), "account": (2, 300), "search": (3, 60), "webhook": (2, 60), "report": (2, 60)}
FEW |= {"hold": (2, 60), "feed": (2, 60), "secret": (2, 60), "code": (2, 300), "complaint": (1, 3600)}
# What a stranger may send as often as nginx lets through, and why.
UNCOUNTED = {
    "logout": "ends a session",
    "session": "says that somebody is there",
    "set_language": "a cookie",
}


@pytest.fixture(autouse=True)
def few(settings, monkeypatch):
    """In a window of its own: nothing that other tests counted, and its end is far."""
    settings.RATE_LIMITS = FEW
    monkeypatch.setattr(limits.time, "time", lambda: 3e9 + 30)
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        if left := client.keys("limit:*"):
            client.delete(*left)
    limits._own.clear()
    monkeypatch.setattr(limits, "_away_until", 0.0)
    yield
    if limits._redis:
        limits._redis.close()
        limits._redis = None


def ask(client, times, path, *, method="get", **options):
    return [getattr(client, method)(path, **options).status_code for _ in range(times)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("get", "/book/?service=none", 3),
        ("get", "/plan/", 3),
        ("post", "/holds/", 2),
        ("post", "/stripe/webhook/", 2),
        ("post", "/messages/reports/sms/", 2),
        ("get", "/feeds/guessed.ics", 2),
        ("get", "/pay/guessed/", 2),
        ("get", "/bookings/GUESSED1/", 2),
        ("post", "/login/", 3),
        ("post", "/login/code/", 2),
        ("post", "/login/second/", 3),
        ("post", "/login/switch/", 3),
        ("post", "/passkey/options/", 3),
        ("get", "/oidc/authenticate/", 3),
        ("get", "/oidc/callback/", 3),
        ("get", "/privacy/copies/guessed/", 2),
        ("post", "/privacy/complaint/", 1),
        ("post", "/waitlist/join/", 2),
    ],
)
def test_too_often_is_refused(client, method, path, allowed):
    codes = ask(client, allowed + 2, path, method=method)
    assert 429 not in codes[:allowed]
    assert codes[allowed:] == [429, 429]


def test_all_that_a_stranger_may_send_is_counted():
    strangers = {
        name for part in rows(TABLE).values() for name, (_get, post) in part.items() if post[0] in "+x"
    }
    counted = {name for name in strangers if limits.scope_of(name, "POST")}
    assert strangers - counted - set(UNCOUNTED) == set(), "name a scope in clinic_booking/limits.py"
    assert {"login", "holds", "join_waitlist", "privacy_complaint", "stripe_webhook"} <= counted
    doors = {
        "code_login",
        "login_second",
        "login_setup",
        "login_switch",
        "step_up",
        "step_up_send",
        "claim_booking",
    }
    assert {limits.scope_of(door, "POST") for door in doors} == {"login", "code"}


@pytest.mark.django_db
def test_refusal_says_when_and_in_the_callers_form(client):
    ask(client, 3, "/plan/")
    page = client.get("/plan/")
    assert page["Retry-After"] == "30"
    assert str(TooManyRequests.sentence) in page.text
    assert "<html" not in client.get("/plan/", headers={"HX-Request": "true"}).text
    assert client.get("/plan/", headers={"Accept": "application/json"}).json() == {
        "error": str(TooManyRequests.sentence)
    }


@pytest.mark.django_db
def test_other_addresses_and_windows_are_free(client, monkeypatch):
    assert ask(client, 4, "/plan/")[-1] == 429
    assert client.get("/plan/", REMOTE_ADDR="203.0.113.9").status_code == 200
    monkeypatch.setattr(limits.time, "time", lambda: 3e9 + 61)
    assert client.get("/plan/").status_code == 200


@pytest.mark.django_db
def test_the_64_of_an_ipv6_address_is_one(client):
    tries = [client.get("/plan/", REMOTE_ADDR=f"2001:db8:1:2::{n}").status_code for n in range(4)]
    assert tries == [200, 200, 200, 429]
    assert client.get("/plan/", REMOTE_ADDR="2001:db8:1:3::1").status_code == 200


def test_staff_behind_one_address_are_counted_alone(client, receptionist, other_patient):
    assert ask(client, 4, "/plan/")[-1] == 429
    for user in (receptionist, other_patient.user):
        client.force_login(user)
        assert ask(client, 4, "/plan/") == [200, 200, 200, 429]


def test_one_account_is_guarded_from_many_addresses(client, patient):
    tries = [
        client.post(
            "/login/",
            {"username": patient.user.username, "password": "x"},
            REMOTE_ADDR=f"203.0.113.{n}",
        )
        for n in range(3)
    ]
    assert [answer.status_code for answer in tries] == [200, 200, 429]
    other = {"username": "somebody@example.com", "password": PASSWORD}
    assert client.post("/login/", other, REMOTE_ADDR="203.0.113.1").status_code == 200


@pytest.mark.django_db
def test_without_redis_each_process_counts(client, monkeypatch):
    """Nobody is locked out, and the door is not open."""
    gone = RedisServer()
    monkeypatch.setattr(limits, "_redis", redis.Redis.from_url(gone.url))
    assert ask(client, 4, "/plan/") == [200, 200, 200, 429]
    assert limits._own


@pytest.mark.django_db
def test_own_counts_do_not_grow_for_ever(monkeypatch):
    monkeypatch.setattr(limits, "MOST_KEYS", 3)
    for n in range(10):
        limits._count_here(f"k{n}")
    assert len(limits._own) <= 3


# -- Whose address it is -------------------------------------------------------------------------


def seen(settings, trusted, **meta):
    settings.TRUSTED_PROXIES = trusted
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    found = []
    addresses.behind_proxy(
        lambda request: found.append((request.META["REMOTE_ADDR"], request.is_secure(), dict(request.META)))
    )(RequestFactory().get("/", **meta))
    return found[0]


def test_our_proxy_is_believed(settings):
    said = {"HTTP_X_FORWARDED_FOR": "1.2.3.4, 203.0.113.9", "HTTP_X_FORWARDED_PROTO": "https"}
    address, secure, _meta = seen(settings, ["10.0.0.0/8"], REMOTE_ADDR="10.1.2.3", **said)
    # The first is what the client itself sent.
    assert (address, secure) == ("203.0.113.9", True)


def test_nobody_else_is(settings):
    said = {
        "HTTP_X_FORWARDED_FOR": "203.0.113.9",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "evil.example",
    }
    address, secure, meta = seen(settings, ["10.0.0.0/8"], REMOTE_ADDR="198.51.100.7", **said)
    assert (address, secure) == ("198.51.100.7", False)
    assert not [name for name in meta if "FORWARDED" in name]


@pytest.mark.parametrize("said", ["", "unknown", "1.2.3.4:80", "<script>", "203.0.113.9,"])
def test_what_is_no_address_is_not_taken(settings, said):
    address, _secure, _meta = seen(
        settings, ["10.0.0.0/8"], REMOTE_ADDR="10.1.2.3", HTTP_X_FORWARDED_FOR=said
    )
    assert address == "10.1.2.3"
