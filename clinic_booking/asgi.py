"""One process, one port: HTTP to Django's WSGI handler, sockets to Channels (docs/adr/0006)."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinic_booking.settings")

from clinic_booking.wsgi import application as wsgi_application  # isort: skip  (sets Django up)

import asyncio
from typing import Any

from channels.db import database_sync_to_async
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.db import connections

from clinic_booking.bridge import Receive, Send, WsgiBridge
from scheduling import live
from scheduling.consumers import websocket_urlpatterns

http = WsgiBridge(wsgi_application, threads=settings.WSGI_THREADS)


async def lifespan(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Without these answers Granian's ASGI server does not stop on SIGTERM."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await live.hub().close()
    await database_sync_to_async(connections.close_all)()
    await asyncio.to_thread(http.close_connections)
    await send({"type": "lifespan.shutdown.complete"})


application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(URLRouter(websocket_urlpatterns)),
        "lifespan": lifespan,
    }
)
