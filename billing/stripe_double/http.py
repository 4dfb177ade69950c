"""Face B: the engine on a loopback port, with the script and frames a browser needs, and levers for tests."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from billing.stripe_double import cards
from billing.stripe_double.engine import Engine
from billing.stripe_double.form import ApiError
from billing.stripe_double.store import Row
from billing.stripe_double.webhooks import Sender

BROWSER = Path(__file__).parent / "browser"
FILES = {
    "/endive/stripe.js": "stripe.js",
    "/element": "element.html",
    "/challenge": "challenge.html",
    "/paynow": "paynow.html",
    "/double/frame.css": "frame.css",
    "/double/element.js": "element.js",
    "/double/dialogue.js": "dialogue.js",
}
TYPES = {".js": "text/javascript", ".html": "text/html; charset=utf-8", ".css": "text/css"}
FRAME_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors http://127.0.0.1:* http://localhost:*"
)
LOOPBACK_NAMES = ("127.0.0.1", "localhost")
BODY_LIMIT = 64 * 1024
# What the browser may know of an intent.
PUBLISHED = (
    *("id", "object", "amount", "client_secret", "created", "currency", "livemode", "status"),
    *("next_action", "last_payment_error"),
)


class DoubleServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    # A second double on a busy port must fail, not share it.
    allow_reuse_port = False

    def __init__(
        self, *, port: int = 0, webhook: str = "", secret: str = "", state: Path | None = None
    ) -> None:
        if os.environ.get("ENVIRONMENT") == "production":
            raise RuntimeError("The Stripe double refuses to run in production.")
        self.engine = Engine(path=state)
        self.sender = Sender(self.engine, webhook, secret) if webhook else None
        super().__init__(("127.0.0.1", port), Handler)
        if self.sender:
            self.sender.redeliver()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def server_close(self) -> None:
        super().server_close()
        if self.sender:
            self.sender.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no news."""


@contextmanager
def running(
    *, port: int = 0, webhook: str = "", secret: str = "", state: Path | None = None
) -> Iterator[DoubleServer]:
    """A double in a thread of this process."""
    server = DoubleServer(port=port, webhook=webhook, secret=secret, state=state)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class Handler(BaseHTTPRequestHandler):
    server: DoubleServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()

    def respond(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_LIMIT:
            self.close_connection = True
            return self.answer(413, error("The request is too large."))
        body = self.rfile.read(length).decode(errors="replace")
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        if (self.headers.get("Host") or "").rsplit(":", 1)[0] not in LOOPBACK_NAMES:
            return self.answer(403, error("The double answers on loopback only."))
        if self.command == "GET" and url.path in FILES:
            return self.send_file(FILES[url.path])
        if url.path.startswith("/v1/"):
            status, row = self.server.engine.handle(self.command, self.path, dict(self.headers), body)
            return self.answer(status, row)
        try:
            if url.path.startswith("/js/"):
                return self.answer(200, self.browser(url.path, query, body))
            return self.answer(200, self.lever(url.path, query))
        except ApiError as failure:
            return self.answer(failure.status, failure.body)
        except (KeyError, ValueError) as failure:
            return self.answer(400, error(f"The double does not understand: {failure}"))

    # -- For the script in the page ----------------------------------------------------------------

    def browser(self, path: str, query: dict[str, str], body: str) -> Row:
        if not query.get("key", "").startswith("pk_test_"):
            raise ApiError(401, "Invalid API Key provided: this double takes pk_test_ keys only.")
        engine = self.server.engine
        match self.command, path.strip("/").split("/"):
            case "POST", ["js", "confirmation_tokens"]:
                form = json.loads(body)
                outcome = cards.outcome_of(form["number"]) if form["kind"] == "card" else "success"
                token = engine.confirmation_token(form["kind"], outcome)
                return {"confirmationToken": {"id": token, "object": "confirmation_token", "livemode": False}}
            case "GET", ["js", "payment_intents", ref]:
                return {"paymentIntent": published(self.own_intent(ref, query))}
            case "POST", ["js", "payment_intents", ref, ("complete" | "fail" | "scan") as act]:
                self.own_intent(ref, query)
                # Somebody was faster: the script finds out by the status, as it would at Stripe.
                with suppress(ApiError):
                    engine.scan(ref) if act == "scan" else engine.authenticate(ref, passed=act == "complete")
                return {"paymentIntent": published(engine.intent(ref))}
        raise ApiError(404, "No such page.")

    def own_intent(self, ref: str, query: dict[str, str]) -> Row:
        intent = self.server.engine.intent(ref)
        if intent["client_secret"] != query.get("client_secret"):
            raise ApiError(401, "The client secret does not belong to this PaymentIntent.")
        return intent

    # -- For tests ---------------------------------------------------------------------------------

    def lever(self, path: str, query: dict[str, str]) -> Row:
        if self.headers.get("Origin") not in (None, self.server.url):
            raise ApiError(403, "The levers are not for web pages.")
        engine, sender = self.server.engine, self.server.sender
        match self.command, path.strip("/").split("/"):
            case "GET", ["double", "state"]:
                with engine.lock:
                    names = ("intents", "refunds", "disputes", "events")
                    return {name: dict(engine.store.tables[name]) for name in names}
            case "POST", ["double", "confirmation_tokens"]:
                kind, outcome = query.get("kind", "card"), query.get("outcome", "success")
                return {"id": engine.confirmation_token(kind, outcome)}
            case "POST", ["double", "webhooks"] if sender:
                sender.paused = query.get("paused", "false") == "true"
                sender.copies = int(query.get("copies", "1"))
                return {"paused": sender.paused, "copies": sender.copies}
            case "POST", ["double", "redeliver"] if sender:
                return {"sent": sender.redeliver()}
            case "POST", ["double", verb, ref]:
                return self.levers(verb)(ref, query) or {}
        raise ApiError(404, "No such page.")

    def levers(self, verb: str) -> Callable[[str, dict[str, str]], Row | None]:
        engine = self.server.engine
        return {
            "scan": lambda ref, q: engine.scan(ref, q.get("outcome", "succeeded")),
            "authenticate": lambda ref, q: engine.authenticate(ref, passed=q.get("passed", "true") == "true"),
            "pay_before_cancel": lambda ref, q: engine.pay_before_cancel(ref),
            "next_refund": lambda ref, q: engine.next_refund(ref, q["status"]),
            "settle_refund": lambda ref, q: engine.settle_refund(ref, q["status"]),
            "dispute": lambda ref, q: engine.dispute(ref),
            "close_dispute": lambda ref, q: engine.close_dispute(ref, q.get("status", "lost")),
        }[verb]

    # -- Answers -----------------------------------------------------------------------------------

    def send_file(self, name: str) -> None:
        path = BROWSER / name
        self.send_body(200, path.read_bytes(), TYPES[path.suffix])

    def answer(self, status: int, row: Row) -> None:
        self.send_body(status, json.dumps(row).encode(), "application/json")

    def send_body(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "cross-origin")
        if self.path.startswith("/js/"):
            self.send_header("Access-Control-Allow-Origin", "*")
        if kind.startswith("text/html"):
            self.send_header("Content-Security-Policy", FRAME_POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is inherited
        """Nothing: request lines hold client secrets."""


def published(intent: Row) -> Row:
    return {name: intent[name] for name in PUBLISHED}


def error(message: str) -> Row:
    return {"error": {"type": "invalid_request_error", "message": message}}
