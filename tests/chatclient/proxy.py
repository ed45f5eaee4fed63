"""A TCP proxy between client and server that can be told to fail."""

import socket
import threading
from types import TracebackType

from tests.processes import DEADLINE

Address = tuple[str, int]


class Proxy:
    """Forwards connections to `target` until told otherwise.

    Attributes:
        target: where new connections lead; may be changed.
        url: where clients connect to.
        deaf: drop what clients send, for the rest of the connection, which stays open.
        mute: drop what the server sends, for the rest of the connection, which stays open.
        mute_after_handshake: drop what the server sends on new connections after its handshake.
        accepted: how many connections there were, refused ones included.
    """

    def __init__(self, target: Address) -> None:
        self.target = target
        self.deaf = False
        self.mute = False
        self.mute_after_handshake = False
        self.accepted = 0
        self._down = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/rpc/ws"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """Cut all connections; new ones can be made."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for sock in pair:
                shut_down(sock)

    def go_down(self) -> None:
        """Cut all connections, and new ones as soon as they are made."""
        self._down = True
        self.cut()

    def come_up(self) -> None:
        """Let connections be made again."""
        self._down = False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # The test is over.
            self.accepted += 1
            try:
                if self._down:
                    raise ConnectionRefusedError
                server = socket.create_connection(self.target, DEADLINE)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._pairs.append((client, server))
            for source, sink, fault in ((client, server, "deaf"), (server, client, "mute")):
                thread = threading.Thread(target=self._forward, args=(source, sink, fault))
                self._threads.append(thread)
                thread.start()

    def _forward(self, source: socket.socket, sink: socket.socket, fault: str) -> None:
        lossy = False
        try:
            # The handshake is the first that the server sends, and the client waits for it.
            if fault == "mute" and not self.mute and self.mute_after_handshake:
                sink.sendall(source.recv(65536))
                lossy = True
            while data := source.recv(65536):
                # A stream that has lost something never goes on: TCP knows no gaps.
                lossy = lossy or getattr(self, fault)
                if not lossy:
                    sink.sendall(data)
        except OSError:
            pass  # Cut, or broken by an end.
        shut_down(source)
        shut_down(sink)
        source.close()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shut_down(self._listener)
        self._listener.close()
        self._threads[0].join(DEADLINE)
        self.cut()
        for thread in self._threads:
            thread.join(DEADLINE)


def shut_down(sock: socket.socket) -> None:
    """End a connection in both directions, and wake whoever waits for it."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # It has ended already.
