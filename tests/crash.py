"""A web process that can be killed at any moment, and patients who press again when the answer is lost."""

import http.client
import http.cookiejar
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from email.message import Message
from pathlib import Path

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 30
Answer = tuple[int, Message, bytes]
NEVER_CAME = (OSError, http.client.HTTPException)


def environment(**more: str) -> dict[str, str]:
    """For processes of the application that work on the database of this test."""
    place = connection.settings_dict
    user = f"{place['USER']}:{urllib.parse.quote(place['PASSWORD'])}" if place["PASSWORD"] else place["USER"]
    url = f"postgres://{user}@{place['HOST']}:{place['PORT']}/{place['NAME']}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return {**inherited, "DATABASE_URL": url, "PYTHONWARNINGS": "ignore", "LOG_LEVEL": "ERROR", **more}


class Web:
    """uvicorn on a socket of ours: while it is dead, requests wait in the backlog for its successor."""

    def __init__(self, log: Path, **settings: str) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.environment = environment(SITE_URL=self.address, **settings)
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["-m", "uvicorn", "clinic_booking.asgi:application", "--fd", str(self.listening.fileno())]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command, "--log-level", "error", "--no-access-log"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                pass_fds=[self.listening.fileno()],
            )

    def wait(self) -> None:
        """A request made before the server is up waits in the backlog."""
        with urllib.request.urlopen(f"{self.address}/healthz", timeout=SECONDS) as response:  # noqa: S310
            assert response.status == 200

    def kill(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(SECONDS)

    def close(self) -> None:
        self.kill()
        self.listening.close()


def manage(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`manage.py` as an operator runs it."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=SECONDS * 2,
    )


class StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


class Left(Exception):
    """The patient closed the tab instead of pressing again."""


class Patient:
    """A browser with its cookies. An answer that does not come is asked for again by whoever is patient."""

    def __init__(self, address: str, *, is_patient: bool = True) -> None:
        self.address, self.is_patient = address, is_patient
        self.cookies = http.cookiejar.CookieJar()
        jar = urllib.request.HTTPCookieProcessor(self.cookies)
        self.opener = urllib.request.build_opener(jar, StayHere, urllib.request.ProxyHandler({}))
        self.lost = 0

    def ask(self, path: str, fields: dict[str, object] | None = None) -> Answer:
        """Status, headers and body of the answer; presses again while the server is busy or away."""
        for _ in range(20):
            with suppress(*NEVER_CAME):
                answer = self.once(path, fields)
                if answer[0] != 503:
                    return answer
            self.lost += 1
            if not self.is_patient:
                raise Left
        raise AssertionError(f"no answer from {path}")

    def once(self, path: str, fields: dict[str, object] | None = None) -> Answer:
        request = urllib.request.Request(f"{self.address}{path}", headers={"Accept": "application/json"})  # noqa: S310
        if fields is not None:
            token = next(cookie.value for cookie in self.cookies if cookie.name == "csrftoken")
            request.data = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token}).encode()
        try:
            with self.opener.open(request, timeout=SECONDS) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.headers, answer.read()

    def arrive(self) -> None:
        assert self.ask("/")[0] == 200

    def hold(self, slot: int, service: int) -> str | None:
        """The path of the checkout; None where somebody else was faster."""
        status, headers, _body = self.ask("/holds/", {"slot": slot, "service": service})
        assert status in (303, 409), status
        return headers.get("Location")

    def pay(self, checkout: str, **fields: object) -> dict[str, str]:
        details = {
            "name": "Siti Rahmah",
            "email": "siti@example.com",
            "phone": "+6591234567",
            "consent": "on",
        }
        return self.facts(self.ask(f"{checkout}payment/", details | fields))

    def standing(self, checkout: str) -> dict[str, str]:
        return self.facts(self.ask(f"{checkout}status/"))

    def facts(self, answer: Answer) -> dict[str, str]:
        status, _headers, body = answer
        assert status < 500, (status, body[:300])
        return json.loads(body)
