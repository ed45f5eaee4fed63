"""The kernel's price: one bare `socket.send` per delivery, nothing around it.

No queue, no partial write, no timeout: this is not a server that anyone could use, it is what is
left when a server written in Python does nothing but the system call. Usage: bare_send.py PORT
"""

import base64
import hashlib
import json
import select
import socket
import sys
import time

ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
RECEIVE_BYTES = 4096  # a request of the load generator, which sends one at a time, fits


def text_frame(text: str) -> bytes:
    payload = text.encode()
    if len(payload) < 126:
        return bytes([0x81, len(payload)]) + payload
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


def handshake_answer(request: bytes) -> bytes:
    headers = dict(line.split(b": ", 1) for line in request.strip().split(b"\r\n")[1:])
    digest = hashlib.sha1(headers[b"Sec-WebSocket-Key"] + ACCEPT_SUFFIX).digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


def unmasked_payload(frame: bytes) -> bytes:
    start = 8 if frame[1] & 0x7F == 126 else 6  # behind the four mask bytes
    mask = frame[start - 4 : start]
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(frame[start:]))


def main(port: int) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    users: dict[int, str] = {}
    last_id = 0
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                connection, _ = listener.accept()
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                poll.register(connection, select.EPOLLIN)
                continue
            connection = connections[descriptor]
            data = connection.recv(RECEIVE_BYTES)
            if not data:
                poll.unregister(descriptor)
                connections.pop(descriptor).close()
                users.pop(descriptor, None)
                continue
            if data.startswith(b"GET "):
                connection.send(handshake_answer(data))
                continue
            request = json.loads(unmasked_payload(data))
            if request["type"] == "join":
                users[descriptor] = request["user"]
                connection.send(text_frame(json.dumps({"type": "welcome"})))
                continue
            last_id += 1
            stamp = int(time.time() * 1000)
            event = {
                "id": last_id,
                "type": "chat",
                "user": users[descriptor],
                "text": request["text"],
                "time": stamp,
            }
            frame = text_frame(json.dumps(event, separators=(",", ":")))
            for descriptor in users:
                connections[descriptor].send(frame)


main(int(sys.argv[1]))
