"""A demo of its own to scan: a server for each visitor, whose log says what was asked and how it was answered."""

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from clinic_booking import local
from clinic_booking.local import demo
from clinic_booking.local.keeper import free_port
from security.tools import LOCAL, ROOT, say
from security.visitors import Visitor, demo_patient, visitors

RUNNING: set[subprocess.Popen[bytes]] = set()
LINE = re.compile(r'"(?P<method>[A-Z]+) (?P<path>/[^ ?]*)(?:\?\S*)? HTTP/[\d.]+" (?P<status>\d{3})')


@dataclass(frozen=True)
class Served:
    visitor: Visitor
    port: int

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return LOCAL / f"web-{self.visitor.name}.log"

    def answers(self) -> Iterator[tuple[str, str, int]]:
        """Method, path and status of every request so far."""
        with self.log.open(errors="replace") as lines:
            for line in lines:
                if found := LINE.search(line):
                    yield found["method"], found["path"], int(found["status"])

    def is_still_in(self) -> bool:
        """What is asked after a logout is answered by the door alone."""
        if self.visitor.login == "anonymous":
            return True
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/me/", headers={"Cookie": self.visitor.cookie})
        return connection.getresponse().status == 200


@contextmanager
def system() -> Iterator[list[Served]]:
    """No limits: they would only hide what is behind them. No worker, so nothing runs out or is tidied up."""
    with ExitStack() as stack:
        addresses = stack.enter_context(local.services("security-data", durable=False))
        double = free_port()
        os.environ.update(addresses, DJANGO_SETTINGS_MODULE="clinic_booking.settings")
        os.environ.update(RATE_LIMITS="off", HOLDS_PER_ADDRESS="0", UNKNOWN_SHARE_PERCENT="100")
        os.environ.update(LOG_LEVEL="ERROR", STRIPE_API_BASE=f"http://127.0.0.1:{double}")
        LOCAL.mkdir(parents=True, exist_ok=True)
        for command in ("migrate", "seed_demo"):
            say(f"{command} …")
            made = [sys.executable, "manage.py", command]
            subprocess.run(made, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        served = [Served(who, free_port()) for who in people()]
        stripe = ["manage.py", "stripe_double", "--port", str(double)]
        stripe += ["--webhook", f"{served[0].site}/stripe/webhook/", "--state", str(LOCAL / "stripe.json")]
        stack.enter_context(process(LOCAL / "stripe.log", stripe))
        for each in served:
            web = [*demo.uvicorn(each.port), "--access-log", "--log-level", "info"]
            web += ["--workers", "1" if each.visitor.avoids else "2"]
            stack.enter_context(process(each.log, web, DATABASE_ROLE="clinic_app", SITE_URL=each.site))
        for each in served:
            wait_for(each.port)
        yield served


def people() -> list[Visitor]:
    import django

    django.setup()
    return visitors(demo_patient())


def wait_for(port: int) -> None:
    for _ in range(600):
        if demo.answers(port, "/healthz"):
            return
        time.sleep(0.1)
    raise SystemExit(f"The web server does not answer; its log is in {LOCAL}.")


@contextmanager
def process(log: Path, arguments: list[str], **more: str) -> Iterator[None]:
    with log.open("w") as file:
        environment = {**os.environ, **more}
        running = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=file, stderr=file
        )
        try:
            yield
        finally:
            running.terminate()
            running.wait(20)


def with_limit(command: list[str], log: Path, seconds: float) -> bool:
    """Whether it ended by itself, and well."""
    with log.open("a") as file:
        running = subprocess.Popen(command, cwd=LOCAL, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        RUNNING.add(running)
        try:
            return running.wait(max(1, seconds)) == 0
        except subprocess.TimeoutExpired:
            running.terminate()
            running.wait(20)
            return False
        finally:
            RUNNING.discard(running)


@contextmanager
def side_by_side(several: int) -> Iterator[ThreadPoolExecutor]:
    """Whoever is stopped does not wait for what was still to come."""
    with ThreadPoolExecutor(several) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for each in list(RUNNING):
                each.terminate()
            raise
