import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clinic_booking import health


@pytest.fixture
def worker(db):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")


def test_alive_touches_nothing(client, db):
    with CaptureQueriesContext(connection) as queries:
        response = client.get("/healthz")
    assert response.text == "ok"
    assert not queries.captured_queries


def test_ready_names_each_part(client, worker):
    response = client.get("/readyz")
    assert response.status_code == 200
    answer = response.json()
    assert answer.pop("status") == "ok"
    assert set(answer) == {"database", "redis", "worker", "events"}
    assert all(part["ok"] and part["ms"] >= 0 for part in answer.values())
    assert "no-store" in response["Cache-Control"]


def test_redis_away_is_named_and_bearable(client, worker, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert "Redis does not answer" in response.json()["redis"]["sentence"]


def test_missing_worker_is_named(client, db):
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "down"
    assert "No worker is running" in response.json()["worker"]["sentence"]


def test_silent_worker_is_named(client, worker):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '5 minutes'")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "last seen 30" in response.json()["worker"]["sentence"]


def test_database_away_is_named(client, monkeypatch, db):
    def refuse(*args, **kwargs):
        raise health.DatabaseError("no")

    with monkeypatch.context() as patch:
        patch.setattr(health.connection, "cursor", refuse)
        response = client.get("/readyz")
    assert response.status_code == 503
    assert not response.json()["database"]["ok"]
    assert response.json()["redis"]["ok"]
    assert "not known" in response.json()["worker"]["sentence"]
