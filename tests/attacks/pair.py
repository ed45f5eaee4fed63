"""The bystanders: one says something twenty times a second, the other notes how late it arrives.

    python -m tests.attacks.pair URL

prints a line for each message: the moment at which it was sent (`time.monotonic`, the same clock in
all processes of a machine) and the seconds until it was heard. It ends with its standard input.
"""

from __future__ import annotations

import json
import select
import sys
import threading
import time

from tests.attacks.socket_client import SocketClient, call, message

SPEAKER, LISTENER = "Bystander", "Neighbour"
MESSAGES_PER_SECOND = 20


def listen(listener: SocketClient) -> None:
    """Print how late each message is, which nobody asks an answer for."""
    for said in listener.messages():
        if said[0] != "push":
            continue
        event = said[1][3][0]
        if event["type"] == "chat" and event["user"] == SPEAKER:
            at = float(event["text"])
            print(json.dumps([at, time.monotonic() - at]), flush=True)


def main(url: str) -> None:
    """Talk until standard input ends."""
    listener = SocketClient(url)
    listener.join(LISTENER)
    threading.Thread(target=listen, args=(listener,), daemon=True).start()
    speaker = SocketClient(url)
    speaker.join(SPEAKER)
    threading.Thread(target=lambda: list(speaker.frames()), daemon=True).start()
    next_at = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, next_at - time.monotonic()))[0]:
        next_at += 1 / MESSAGES_PER_SECOND
        speaker.pushes += 1
        said = call("sendMessage", SPEAKER, repr(time.monotonic()))
        speaker.send(said + message("release", speaker.pushes, 1))


if __name__ == "__main__":
    main(sys.argv[1])
