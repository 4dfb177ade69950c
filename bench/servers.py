"""The product's two arrangements and pgbench, started and stopped on loopback."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from clinic_booking import local


@contextmanager
def granian() -> Iterator[int]:
    """Production's HTTP server (docker-compose.yml): two workers of two threads each."""
    port = free_port()
    with _process(
        port,
        "granian --interface wsgi --workers 2 --blocking-threads 2 --no-ws --log-level error "
        f"--host 127.0.0.1 --port {port} clinic_booking.wsgi:application",
    ):
        yield port


@contextmanager
def hybrid() -> Iterator[int]:
    """One process for everything, as in the demo and small clinics."""
    port = free_port()
    with _process(
        port,
        f"uvicorn --host 127.0.0.1 --port {port} --log-level error --no-access-log --ws-per-message-deflate false "
        "clinic_booking.asgi:application",
    ):
        yield port


def pgbench(
    script: str, *, clients: int = 32, seconds: int = 5, variables: dict[str, int] | None = None
) -> tuple[float, float]:
    """Transactions a second and mean latency in milliseconds of the script on the same server."""
    url = os.environ["DATABASE_URL"]
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        defined = [f"-D{name}={value}" for name, value in (variables or {}).items()]
        command = [
            local.PG_BIN / "pgbench",
            "-n",
            "-M",
            "prepared",
            "-c",
            clients,
            "-j",
            min(clients, 2),
            "-T",
            seconds,
        ]
        answer = subprocess.run(
            [*map(str, command), *defined, "-f", file.name, url], check=True, capture_output=True, text=True
        ).stdout
    rate = re.search(r"tps = ([\d.]+)", answer)
    latency = re.search(r"latency average = ([\d.]+)", answer)
    assert rate and latency, answer
    return float(rate[1]), float(latency[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _process(port: int, command: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", *command.split()])
    try:
        _wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit("The server did not start.")
