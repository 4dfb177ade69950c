"""Sockets of the open calendars: authorise once from the database, then forward what the hub hands over."""

import asyncio
import datetime as dt
import random
from contextlib import suppress
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import HASH_SESSION_KEY
from django.db import OperationalError
from django.urls import path, re_path

from clinic_booking.accounts import sessions
from clinic_booking.models import User
from clinic_booking.roles import Can, may
from scheduling import live
from scheduling.models import Clinic

FORBIDDEN, NOT_FOUND, TRY_AGAIN = 4403, 4404, 1013
RECHECK_SECONDS = 30.0


class Availability(AsyncWebsocketConsumer):
    """A clinic's day for anyone: ids and statuses, no personal data."""

    listener: live.Listener | None = None
    sender: asyncio.Task[None] | None = None

    def may_listen(self, clinic: Clinic) -> bool:
        return clinic.is_active

    def find_channel(self, clinic: str, date: str) -> str | int:
        """The channel of the clinic's day, or the code with which the socket is refused."""
        try:
            day = dt.date.fromisoformat(date)
            found = Clinic.objects.get(slug=clinic)
            return live.channel(found.pk, day) if self.may_listen(found) else FORBIDDEN
        except (ValueError, Clinic.DoesNotExist):
            return NOT_FOUND
        except OperationalError:
            return TRY_AGAIN

    async def connect(self) -> None:
        channel = await database_sync_to_async(self.find_channel)(**self.scope["url_route"]["kwargs"])
        if isinstance(channel, int):
            await self.close(channel)
            return
        # Subscribed first, accepted then: what the browser fetches once it is connected misses nothing.
        self.listener = live.Listener(channel)
        await live.hub().join(self.listener)
        await self.accept()
        self.sender = asyncio.create_task(self.forward(self.listener))

    async def forward(self, listener: live.Listener) -> None:
        with suppress(OSError):  # the client has left
            async for text in listener:
                await self.send(text)
            await self.close(TRY_AGAIN)

    async def __call__(self, *args: Any) -> None:
        try:
            await super().__call__(*args)
        finally:
            if self.sender:
                self.sender.cancel()
            if self.listener:
                await live.hub().leave(self.listener)


class ClinicDay(Availability):
    """The same for staff of the clinic, as long as they are: who leaves or logs out is looked at again."""

    watcher: asyncio.Task[None] | None = None

    def may_listen(self, clinic: Clinic) -> bool:
        user: User = self.scope["user"]
        if user.is_authenticated and sessions.is_over(self.scope["session"]):
            return False
        return may(user, Can.SEE_DESK, clinic)

    async def connect(self) -> None:
        await super().connect()
        if self.sender:
            self.watcher = asyncio.create_task(self.watch())

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_SECONDS * random.uniform(0.75, 1.25))  # noqa: S311  (spread, no secret)
            if not await database_sync_to_async(self.may_still_listen)():
                await self.close(FORBIDDEN)
                return

    def may_still_listen(self) -> bool:
        session = self.scope["session"]
        try:
            user = User.objects.filter(pk=self.scope["user"].pk, is_active=True).first()
            kept = session.__class__(
                session.session_key
            )  # as it is by now: idle, ended, or logged out everywhere
            if user is None or sessions.is_over(kept) or not _is_of_generation(kept, user):
                return False
            self.scope["user"] = user
            return self.find_channel(**self.scope["url_route"]["kwargs"]) != FORBIDDEN
        except OperationalError:
            return True  # nobody is shut out because the database is away

    async def __call__(self, *args: Any) -> None:
        try:
            await super().__call__(*args)
        finally:
            if self.watcher:
                self.watcher.cancel()


def _is_of_generation(session: Any, user: User) -> bool:
    """Not logged out everywhere since, nor with another password."""
    good = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return session.get(HASH_SESSION_KEY) in good


class Nowhere(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.close(NOT_FOUND)


# Only staff are asked who they are: the session would cost each text to a patient's socket a tenth.
websocket_urlpatterns = [
    path("ws/availability/<slug:clinic>/<str:date>/", Availability.as_asgi()),
    path("ws/clinics/<slug:clinic>/<str:date>/", AuthMiddlewareStack(ClinicDay.as_asgi())),
    re_path("", Nowhere.as_asgi()),
]
