"""ASGI to Django's WSGI handler in one hop to a thread (docs/adr/0006).

Bodies and answers are small here, so both pass whole: a slow client holds memory, never a thread, and a body that
was cut off never reaches a view.
"""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.db import connections

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
CLOSE_SECONDS = 5


class WsgiBridge:
    def __init__(self, application: WsgiApplication, *, threads: int) -> None:
        self.application = application
        self.threads = threads
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="wsgi")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        if body is None:
            return
        loop = asyncio.get_running_loop()
        status, headers, content = await loop.run_in_executor(
            self.executor, self.answer, environ(scope, body)
        )
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def answer(self, environ: dict[str, Any]) -> Answer:
        started: list[Any] = []
        chunks = self.application(environ, lambda *arguments: started.extend(arguments))
        try:
            content = b"".join(chunks)
        finally:
            if close := getattr(chunks, "close", None):
                close()  # tells Django that the request is over
        status, headers = started[:2]
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return int(status[:3]), encoded, content

    def close_connections(self) -> None:
        """Close each thread's database connection in its own thread; the barrier gives every thread one turn."""
        everyone = Barrier(self.threads)

        def close() -> None:
            connections.close_all()
            everyone.wait(CLOSE_SECONDS)

        wait([self.executor.submit(close) for _ in range(self.threads)], CLOSE_SECONDS)


async def whole_body(receive: Receive) -> bytes | None:
    """The body, or enough of it to be refused as too large, or None when the client has left."""
    body, more = bytearray(), True
    while more and len(body) <= (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or sys.maxsize):
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


def environ(scope: Scope, body: bytes) -> dict[str, Any]:
    server, port = scope.get("server") or ("localhost", 80)
    values = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        # The bytes as sent: the server has already replaced in scope["path"] what is not UTF-8.
        "PATH_INFO": unquote_to_bytes(scope.get("raw_path") or scope["path"].encode()).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server,
        "SERVER_PORT": str(port or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope.get("client") or [""])[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        # "x_forwarded_proto" would pass for "x-forwarded-proto", which only the proxy may set.
        if b"_" not in name:
            key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
            text = value.decode("latin-1")
            joint = "; " if key == "HTTP_COOKIE" else ","
            values[key] = f"{values[key]}{joint}{text}" if key in values else text
    values["CONTENT_TYPE"] = values.pop("HTTP_CONTENT_TYPE", "")
    values.pop("HTTP_CONTENT_LENGTH", None)
    values["CONTENT_LENGTH"] = str(len(body))
    return values
