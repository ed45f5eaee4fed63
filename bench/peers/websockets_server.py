"""Peer: the `websockets` package on uvloop, fanning out with `websockets.broadcast`.

Written after the package's "Broadcasting messages" page. Usage: websockets_server.py PORT
"""

import json
import sys
import time

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

members: set[ServerConnection] = set()
last_id = 0


def event(user: str, text: str) -> str:
    """One chat event as JSON, numbered."""
    global last_id
    last_id += 1
    stamp = int(time.time() * 1000)
    return json.dumps(
        {"id": last_id, "type": "chat", "user": user, "text": text, "time": stamp},
        separators=(",", ":"),
    )


async def handler(connection: ServerConnection) -> None:
    user = ""
    try:
        async for message in connection:
            request = json.loads(message)
            if request["type"] == "join":
                user = request["user"]
                members.add(connection)
                await connection.send(json.dumps({"type": "welcome"}))
            else:
                broadcast(members, event(user, request["text"]))
    finally:
        members.discard(connection)


async def main(port: int) -> None:
    async with serve(handler, "127.0.0.1", port, compression=None) as server:
        await server.serve_forever()


uvloop.run(main(int(sys.argv[1])))
