"""Changes of slots to every open calendar. A push is a hint: losing one, or Redis, loses no booking (design §6).

Verbs `announce`; after commit one message for each clinic and day goes to Redis; in each process that serves sockets a
`Hub` with a single Redis connection hands it to the sockets (docs/adr/0007 says why not Channels' groups).
"""

import asyncio
import datetime as dt
import json
import logging
import random
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from django.conf import settings
from django.db import transaction
from prometheus_client import Counter, Gauge
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

# Clinic id, its date, slot id, version, status, held until (epoch ms).
Change = tuple[int, dt.date, int, int, str, int | None]
Row = list[int | str | None]

EVERYONE = "live:everyone"
REFETCH = '{"refetch":true}'
QUIET_SECONDS = 2.0  # a publisher that met a dead Redis does not ask again for so long
BURST_SECONDS = 0.05
BACKLOG = 100  # texts a socket may be behind: five seconds of bursts
SUBSCRIBE_SECONDS = 1.0
SILENCE_SECONDS = 10.0

unpublished = Counter("live_unpublished", "Changes that could not be sent to open calendars")
sockets = Gauge("live_sockets", "Open calendars", multiprocess_mode="livesum")


def channel(clinic_id: int, day: dt.date) -> str:
    return f"live:{clinic_id}:{day}"


# -- Publishing, in the process of the verb ------------------------------------------------------


def announce(changes: Iterable[Change]) -> None:
    """Push the changes when the caller's transaction commits. Never raises, never waits long."""
    messages: dict[str, list[Row]] = defaultdict(list)
    for clinic_id, day, slot_id, version, status, held_until in changes:
        state = status if held_until is None else "held"
        messages[channel(clinic_id, day)].append([slot_id, version, state, held_until])
    if messages:
        transaction.on_commit(lambda: _publisher.publish(messages))


def nudge(clinic_id: int, day: dt.date) -> None:
    """Something of the day changed that no slot shows: slot 0, which nobody knows, so that all look again."""
    announce([(clinic_id, day, 0, time.time_ns() // 1_000_000, "changed", None)])


@lru_cache
def _client(url: str) -> redis.Redis:
    # One retry at once, for a pooled connection that a restart of Redis has cut; none after a timeout.
    retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return redis.Redis.from_url(url, socket_connect_timeout=0.25, socket_timeout=0.25, retry=retry)


class _Publisher:
    def __init__(self) -> None:
        self.quiet_until = 0.0
        self.has_missed = False

    def publish(self, messages: dict[str, list[Row]]) -> None:
        if time.monotonic() < self.quiet_until:
            return self.miss(messages)
        try:
            with _client(settings.REDIS_URL).pipeline(transaction=False) as pipeline:
                for name, rows in messages.items():
                    pipeline.publish(name, json.dumps(rows, separators=(",", ":")))
                if self.has_missed:
                    pipeline.publish(EVERYONE, REFETCH)
                pipeline.execute()
        except redis.RedisError:
            self.quiet_until = time.monotonic() + QUIET_SECONDS
            logger.warning("Redis does not take live updates", exc_info=True)
            self.miss(messages)
        else:
            self.has_missed = False

    def miss(self, messages: dict[str, list[Row]]) -> None:
        self.has_missed = True
        unpublished.inc(sum(map(len, messages.values())))


_publisher = _Publisher()


# -- Listening, in the process of the sockets ----------------------------------------------------


class Listener:
    """What one socket is still to be sent. A socket that falls too far behind is ended: it connects and fetches anew."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.queue: asyncio.Queue[str | None] = asyncio.Queue(BACKLOG)

    def put(self, text: str) -> bool:
        if not self.queue.full():
            self.queue.put_nowait(text)
            return True
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)
        return False

    def __aiter__(self) -> "Listener":
        return self

    async def __anext__(self) -> str:
        text = await self.queue.get()
        if text is None:
            raise StopAsyncIteration
        return text


class Topic:
    """One clinic's day. The first change goes out at once; what follows within 50 ms becomes one message."""

    def __init__(self) -> None:
        self.listeners: set[Listener] = set()
        self.subscribed = asyncio.Event()
        self.has_missed = False
        self.waiting: dict[Any, Row] = {}
        self.timer: asyncio.TimerHandle | None = None

    def change(self, rows: list[Row]) -> None:
        for row in rows:
            known = self.waiting.get(row[0])
            if known is None or known[1] < row[1]:  # type: ignore[operator]
                self.waiting[row[0]] = row
        if self.timer is None:
            self.flush()

    def flush(self) -> None:
        self.timer = None
        if self.waiting:
            rows = json.dumps(list(self.waiting.values()), separators=(",", ":"))
            self.waiting.clear()
            self.send(f'{{"slots":{rows},"now":{time.time_ns() // 1_000_000}}}')
            self.timer = asyncio.get_running_loop().call_later(BURST_SECONDS, self.flush)

    def send(self, text: str) -> None:
        self.listeners = {listener for listener in self.listeners if listener.put(text)}

    def connected(self) -> None:
        self.subscribed.set()
        if self.has_missed:
            self.has_missed = False
            self.send(REFETCH)
            # A publisher may stay quiet for a while after Redis is back: what it does not send is fetched then.
            asyncio.get_running_loop().call_later(QUIET_SECONDS + 0.5, self.send, REFETCH)

    def disconnected(self) -> None:
        self.subscribed.clear()
        self.has_missed = True


class Hub:
    """All sockets of this process behind one connection to Redis."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.subscriptions: set[str] = set()
        self.lock = asyncio.Lock()
        self.pubsub: redis.asyncio.client.PubSub | None = None
        self.task: asyncio.Task[None] | None = None

    async def join(self, listener: Listener) -> None:
        """Returns when nothing published from now on is missed; where Redis is away, a refetch follows."""
        if self.task is None:
            self.task = asyncio.create_task(self._run())
        topic = self.topics.setdefault(listener.channel, Topic())
        topic.listeners.add(listener)
        sockets.inc()
        await self._subscribe()
        try:
            await asyncio.wait_for(topic.subscribed.wait(), SUBSCRIBE_SECONDS)
        except TimeoutError:
            topic.has_missed = True

    async def leave(self, listener: Listener) -> None:
        sockets.dec()
        if topic := self.topics.get(listener.channel):
            topic.listeners.discard(listener)
            if not topic.listeners:
                del self.topics[listener.channel]
                await self._subscribe()

    async def close(self) -> None:
        if self.task:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
            self.task = None

    async def _subscribe(self) -> None:
        """Make the subscriptions those of the topics. A lost connection is the business of `_run`."""
        async with self.lock:
            if self.pubsub is None:
                return
            wanted = set(self.topics)
            with suppress(redis.RedisError, OSError):
                if new := wanted - self.subscriptions:
                    await self.pubsub.subscribe(*new)
                if old := self.subscriptions - wanted:
                    await self.pubsub.unsubscribe(*old)
                self.subscriptions = wanted

    async def _run(self) -> None:
        delay = 0.1
        while True:
            try:
                async for message in self._messages():
                    delay = 0.1
                    self._hand_over(message)
            except (redis.RedisError, OSError) as error:
                logger.warning("live updates lost Redis: %s", type(error).__name__)
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311
            delay = min(delay * 2, 5)

    async def _messages(self) -> Any:
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=1, retry=AsyncRetry(NoBackoff(), 0)
        )
        async with client, client.pubsub() as pubsub:
            try:
                await pubsub.subscribe(EVERYONE)
                self.pubsub = pubsub
                await self._subscribe()
                is_asked = False
                while True:
                    if message := await pubsub.get_message(timeout=SILENCE_SECONDS):
                        is_asked = False
                        yield message
                    elif is_asked:
                        raise redis.ConnectionError("no answer to PING")
                    else:
                        is_asked = True
                        await pubsub.ping()
            finally:
                self.pubsub = None
                self.subscriptions = set()
                for topic in self.topics.values():
                    topic.disconnected()

    def _hand_over(self, message: dict[str, Any]) -> None:
        name = message["channel"].decode() if message["channel"] else ""
        if message["type"] == "message" and name == EVERYONE:
            for each in self.topics.values():
                each.send(REFETCH)
        elif topic := self.topics.get(name):
            if message["type"] == "message":
                topic.change(json.loads(message["data"]))
            elif message["type"] == "subscribe":
                topic.connected()


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop: one in a process, but for tests."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
