"""`make demo`: services, migrations, demo data, then web server, worker and Stripe double until Ctrl-C."""

import ctypes
import hashlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from clinic_booking import local
from clinic_booking.local import singpass
from clinic_booking.local.keeper import free_port

HOME = local.LOCAL / "demo"
URL = HOME / "url"
STRIPE_URL = HOME / "stripe_url"
SECOND_FACTOR = "MFA_TOTP_INSECURE_BYPASS_CODE"
DEMO_CODE = "246810"  # of every second factor; production refuses to start with it
RESTARTS = 5
READY_SECONDS = 60
STOP_SECONDS = 8
SINGPASS_SECONDS = 10
PR_SET_PDEATHSIG = 1
signals = local.Signals()


class Child:
    """A process of the demo, with its log; ends with the supervisor, even when that is killed."""

    is_optional = False

    def __init__(
        self, name: str, arguments: list[str], environment: Mapping[str, str], program: str = sys.executable
    ) -> None:
        self.name, self.arguments, self.environment, self.program = name, arguments, environment, program
        self.log = HOME / f"{name}.log"
        self.log.unlink(missing_ok=True)
        self.deaths = 0
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*die_with_supervisor(), self.program, *self.arguments],
                cwd=local.ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the supervisor, which stops the children in order
            )
        self.restart_at: float | None = None

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def look_after(self) -> None:
        """Reports a death with the end of the log, and starts again with growing pauses."""
        code = self.process.poll()
        if code is None:
            return
        if self.restart_at is None:
            self.deaths += 1
            say(f"\n{self.name} ended by itself (exit code {code}). The end of {shown(self.log)}:")
            say(local.tail(self.log))
            if self.deaths > RESTARTS and self.is_optional:
                self.restart_at = float("inf")
                return
            if self.deaths > RESTARTS:
                raise local.LocalServiceError(f"{self.name} ended {self.deaths} times: giving up.")
            pause = 2 ** (self.deaths - 1)
            say(f"{self.name} is started again in {pause} s.")
            self.restart_at = time.monotonic() + pause
        elif time.monotonic() >= self.restart_at:
            self.start()

    def wait_until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            self.look_after()
            if time.monotonic() > deadline:
                raise local.LocalServiceError(
                    f"{self.name} is not ready after {READY_SECONDS} s. The end of {shown(self.log)}:\n"
                    + local.tail(self.log)
                )
            pause(0.05)


def die_with_supervisor() -> list[str]:
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def main() -> int:
    signals.listen(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    if "MAKELEVEL" in os.environ and sys.platform == "linux":
        # A killed make would leave the demo running without a terminal to stop it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
        with only_demo_here():
            run(wanted)
    except local.LocalServiceError as error:
        say(f"\n{error}")
        return 1
    except ValueError:
        say(f"PORT must be a number, not {sys.argv[1]}.")
        return 2
    except KeyboardInterrupt:
        say("Everything is stopped.")
        return 0
    return 1


def run(wanted: int) -> None:
    children: list[Child] = []
    missing = [
        s for s, key in (("postgres", "DATABASE_URL"), ("redis", "REDIS_URL")) if not os.environ.get(key)
    ]
    with ExitStack() as stack:
        with step("PostgreSQL and Redis"):
            addresses = stack.enter_context(local.services("demo", durable=True, only=missing))
        stack.callback(stop, children)
        start(wanted, {**os.environ, **addresses}, children)
        while True:
            for child in children:
                child.look_after()
            if missing and not local.is_running("demo"):
                raise local.LocalServiceError(f"The local servers were killed. {shown(HOME)} has their logs.")
            pause(0.3)


def stop(children: list[Child]) -> None:
    """The web server first; the databases last, by the caller."""
    say("\nStopping.")
    forget()
    for child in reversed(children):
        child.stop()


def start(wanted: int, environment: dict[str, str], children: list[Child]) -> None:
    port = port_from(wanted)
    site = f"http://127.0.0.1:{port}"
    environment = {**environment, "SITE_URL": environment.get("SITE_URL", site), "PYTHONUNBUFFERED": "1"}
    environment.setdefault(SECOND_FACTOR, DEMO_CODE)
    double_port = free_port()
    real_stripe = bool(environment.get("STRIPE_API_BASE"))
    if not real_stripe:
        environment["STRIPE_DOUBLE_STATE"] = str(HOME / "stripe.json")
        environment["STRIPE_API_BASE"] = f"http://127.0.0.1:{double_port}"
        local.write_atomically(STRIPE_URL, environment["STRIPE_API_BASE"])

    singpass_port = start_singpass(environment, children)
    once("Migrations", environment, fingerprint("*/migrations/*.py", "requirements.txt"), "migrate")
    # Once a day, because the 30 days of slots begin today.
    today = datetime.now(UTC).date().isoformat()
    mark = today + environment.get("SINGPASS_ISSUER", "") + fingerprint("*/management/commands/seed_demo.py")
    once("Demo data", environment, mark, "seed_demo")
    logins = once(
        "Logins", environment, fingerprint("*/management/commands/seed_demo.py"), "seed_demo", "--logins"
    )
    if singpass_port and not is_up(children[0], singpass_port):
        environment = without_singpass(environment, children)
    # The seed makes tables and rows as their owner; what serves people may not change tables.
    serving = {**environment, "DATABASE_ROLE": "clinic_app"}
    with step("Web server, worker, Stripe double"):
        if not real_stripe:
            webhook = f"{site}/stripe/webhook/"
            double = ["manage.py", "stripe_double", "--port", str(double_port), "--webhook", webhook]
            double += ["--state", environment["STRIPE_DOUBLE_STATE"]]
            stripe = Child("stripe", double, environment)
            children.append(stripe)
        children.append(Child("worker", ["manage.py", "procrastinate", "worker"], serving))
        web = Child("web", uvicorn(port), serving)
        children.append(web)
        web.wait_until(lambda: answers(port, "/healthz"))
        if not real_stripe:
            stripe.wait_until(lambda: listens(double_port))
    local.write_atomically(URL, site)
    mail, messages = shown(local.LOCAL / "mail"), shown(local.LOCAL / "messages")
    say(f"\nOpen {site}\n\n{logins}")
    say(f"Staff are asked for a second factor too: the code {environment[SECOND_FACTOR]} passes.\n")
    say(f"E-mails go to {mail}, SMS and WhatsApp to {messages}.")
    if "SINGPASS_ISSUER" in serving and singpass_port:
        say("“Log in with Singpass” leads to a stand-in on this machine, where you choose who to be.")
    say(f"Ctrl-C stops everything. The logs are in {shown(HOME)}.")


def start_singpass(environment: dict[str, str], children: list[Child]) -> int | None:
    """Its port. It starts while the database is made ready. Without Node the demo has no such login."""
    node = None if environment.get("SINGPASS_CLIENT_ID") else singpass.node()
    if node is None:
        return None
    port = same_port(HOME / "singpass_port")
    environment |= singpass.our_settings(port, environment["SITE_URL"], HOME / "singpass_keys.json")
    server = singpass.demo_server(port, environment)
    children.append(Child("singpass", [str(singpass.SERVER)], {**environment, **server}, node))
    children[-1].is_optional = True
    return port


def is_up(child: Child, port: int) -> bool:
    deadline = time.monotonic() + SINGPASS_SECONDS
    while child.process.poll() is None and time.monotonic() < deadline:
        if listens(port):
            return True
        pause(0.05)
    return False


def without_singpass(environment: dict[str, str], children: list[Child]) -> dict[str, str]:
    child = children.pop(0)
    child.stop()
    say(f"The stand-in for Singpass does not start: no login with it. The end of {shown(child.log)}:")
    say(local.tail(child.log))
    return {name: value for name, value in environment.items() if not name.startswith("SINGPASS_")}


def same_port(note: Path) -> int:
    """That of last time, if it is free: who logged in with Singpass is known by its address."""
    with suppress(OSError, ValueError), socket.create_server(("127.0.0.1", int(note.read_text()))) as probe:
        return int(probe.getsockname()[1])
    port = free_port()
    local.write_atomically(note, str(port))
    return port


def once(title: str, environment: Mapping[str, str], mark: str, *command: str) -> str:
    """Its output; from last time when nothing changed, because each start of Django costs a second."""
    stamp = HOME / f"{'_'.join(command)}.done"
    embedded = not os.environ.get("DATABASE_URL")
    if embedded and stamp.exists():
        before, _, output = stamp.read_text().partition("\n")
        if before == mark:
            return output
    with step(title):
        output = output_of(environment, *command)
    if embedded:
        local.write_atomically(stamp, f"{mark}\n{output}")
    return output


def fingerprint(*patterns: str) -> str:
    paths = sorted(path for pattern in patterns for path in local.ROOT.glob(pattern))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def uvicorn(port: int) -> list[str]:
    options = ["--host", "127.0.0.1", "--port", str(port), "--ws-per-message-deflate", "false"]
    options += ["--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "3"]
    return ["-m", "uvicorn", "clinic_booking.asgi:application", *options]


def output_of(environment: Mapping[str, str], *arguments: str) -> str:
    log, output = HOME / f"{arguments[0]}.log", HOME / f"{arguments[0]}.out"
    command = [*die_with_supervisor(), sys.executable, "manage.py", *arguments]
    with log.open("wb") as errors, output.open("wb") as answer:
        process = subprocess.Popen(
            command,
            cwd=local.ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=errors,
            start_new_session=True,
        )
    try:
        while process.poll() is None:
            pause(0.02)
    finally:
        process.kill()
        process.wait()
    text = output.read_text(errors="replace")
    output.unlink()
    if process.returncode:
        raise local.LocalServiceError(f"`manage.py {arguments[0]}` failed:\n{text}{local.tail(log, 30)}")
    return text


@contextmanager
def only_demo_here() -> Iterator[None]:
    """One demo for each clone. A killed one may need some seconds to end."""
    deadline = time.monotonic() + STOP_SECONDS + 2
    while True:
        with local.lock(HOME / "demo.lock", wait=False) as obtained:
            if obtained:
                forget()
                yield
                return
        with suppress(OSError):
            raise local.LocalServiceError(f"The demo of this clone runs already: {URL.read_text()}")
        if time.monotonic() > deadline:
            raise local.LocalServiceError(
                "Another `make demo` of this clone is starting or stopping; try again."
            )
        pause(0.1)


def forget() -> None:
    for path in (URL, STRIPE_URL):
        path.unlink(missing_ok=True)


def port_from(wanted: int) -> int:
    for port in range(wanted, min(wanted + 100, 65536)):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            if port != wanted:
                say(f"Port {wanted} is taken by another program: using {port}.")
            return port
    raise local.LocalServiceError(f"No free port from {wanted} on; choose another: make demo PORT=8100")


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextmanager
def step(title: str) -> Iterator[None]:
    sys.stdout.write(f"{title + ' ':.<36} ")
    sys.stdout.flush()
    started = time.monotonic()
    try:
        yield
    except BaseException:
        say("not done")
        raise
    say(f"{time.monotonic() - started:.1f} s")


def say(text: str) -> None:
    with suppress(OSError):  # the terminal may be gone
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def shown(path: Path) -> str:
    return str(path.relative_to(local.ROOT))


def pause(seconds: float) -> None:
    if signals.wait(seconds):
        raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
