"""Many sockets in one process of their own: python -m bench.listen PORT PATH COUNT, ends when stdin says so."""

import asyncio
import json
import resource
import sys
import time

import uvloop
from websockets.asyncio.client import connect

seen: list[tuple[int, int]] = []


async def main(port: str, path: str, count: str) -> None:
    uri = f"ws://127.0.0.1:{port}{path}"
    sockets = []
    for _ in range(int(count)):
        sockets.append(
            await connect(uri, origin=f"http://127.0.0.1:{port}", compression=None, ping_interval=None)
        )  # noqa: PERF401
    tasks = [asyncio.create_task(_listen(socket)) for socket in sockets]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.sleep(2)
    for task in tasks:
        task.cancel()
    print(json.dumps(seen), flush=True)


async def _listen(socket) -> None:
    async for text in socket:
        at = time.monotonic_ns()
        seen.extend((row[0], at) for row in json.loads(text).get("slots", []))


resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
uvloop.run(main(*sys.argv[1:]))
