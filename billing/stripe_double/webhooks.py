"""Stripe's signature scheme, and a background sender with a few tries."""

import hashlib
import hmac
import json
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from billing.stripe_double.engine import Engine
from billing.stripe_double.store import Row

TRIES_AFTER_SECONDS = (0, 0.5, 2, 5)


def signed(event: Row, secret: str, *, at: float | None = None) -> tuple[bytes, str]:
    """Body and `Stripe-Signature` header of one delivery."""
    body = json.dumps(event).encode()
    stamp = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
    return body, f"t={stamp},v1={mac.hexdigest()}"


class Sender:
    """Posts each new event to one URL. What cannot be delivered stays listable as undelivered."""

    def __init__(self, engine: Engine, url: str, secret: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"not a web address: {url}")
        self.engine, self.url, self.secret = engine, url, secret
        self.paused = False
        self.copies = 1
        self.closed = threading.Event()
        self.pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="stripe-double-webhook")
        engine.store.listeners.append(self.hear)

    def hear(self, event: Row) -> None:
        if not self.paused:
            self.enqueue(event)

    def enqueue(self, event: Row) -> None:
        for _ in range(self.copies):
            self.pool.submit(self.deliver, event)

    def redeliver(self) -> int:
        events = self.engine.undelivered()
        for event in events:
            self.enqueue(event)
        return len(events)

    def deliver(self, event: Row) -> bool:
        for pause in TRIES_AFTER_SECONDS:
            if self.closed.wait(pause):
                return False
            if self.posted(event):
                self.engine.mark_delivered(event["id"])
                return True
        return False

    def posted(self, event: Row) -> bool:
        body, signature = signed(event, self.secret)
        headers = {"Content-Type": "application/json", "Stripe-Signature": signature}
        request = urllib.request.Request(self.url, body, headers)  # noqa: S310 - scheme checked above
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return bool(200 <= answer.status < 300)
        except (urllib.error.URLError, OSError):
            return False

    def close(self) -> None:
        self.closed.set()
        self.pool.shutdown(wait=False, cancel_futures=True)
