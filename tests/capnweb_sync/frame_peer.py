"""A WebSocket server without manners: it does on its socket exactly what a test says."""

import socket
import ssl
from types import TracebackType

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from tests.processes import DEADLINE


class FramePeer:
    """Listens at once; `accept` answers one handshake, and from then on frames are the test's.

    Attributes:
        url: where to connect.
        sock: the accepted connection.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        """With `context` it speaks TLS, and `url` begins with wss:."""
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(DEADLINE)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'wss' if context else 'ws'}://localhost:{self.port}/rpc"
        self._protocol = ServerProtocol(max_size=None)
        self._frames: list[Frame] = []

    def accept_tcp(self) -> None:
        """Accept the connection and say nothing."""
        sock, _ = self._listener.accept()
        sock.settimeout(DEADLINE)
        self.sock = self._context.wrap_socket(sock, server_side=True) if self._context else sock

    def read_request(self) -> bytes:
        """The handshake's request, up to its empty line."""
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += self.sock.recv(1)
        return request

    def refuse(self, answer: bytes) -> None:
        """Accept the connection and answer the handshake with these bytes."""
        self.accept_tcp()
        self.read_request()
        self.sock.sendall(answer)

    def accept(self) -> None:
        """Accept the connection and shake hands."""
        self.accept_tcp()
        self.shake_hands()

    def shake_hands(self) -> None:
        """Answer the handshake that comes on the connection."""
        self._protocol.receive_data(self.read_request())
        (request,) = self._protocol.events_received()
        assert isinstance(request, Request)
        self._protocol.send_response(self._protocol.accept(request))
        assert self._protocol.state is OPEN
        self.sock.sendall(b"".join(self._protocol.data_to_send()))

    def send(self, opcode: int, data: bytes, *, fin: bool = True, length: int = -1) -> None:
        """Send one frame, right or wrong; `length` is announced instead of that of `data`."""
        length = len(data) if length < 0 else length
        if length < 126:
            size = bytes([length])
        elif length < 2**16:
            size = b"\x7e" + length.to_bytes(2, "big")
        else:
            size = b"\x7f" + length.to_bytes(8, "big")
        self.sock.sendall(bytes([fin << 7 | opcode]) + size + data)

    def receive(self) -> tuple[Opcode, bytes]:
        """The next frame from the client. Nothing is answered by itself."""
        while not self._frames:
            data = self.sock.recv(65536)
            assert data, "the client ended its stream"
            self._protocol.receive_data(data)
            events = self._protocol.events_received()
            self._frames += [event for event in events if isinstance(event, Frame)]
        frame = self._frames.pop(0)
        return frame.opcode, bytes(frame.data)

    def receive_close(self) -> int:
        """The code of the close frame, which must come next."""
        opcode, data = self.receive()
        assert opcode is Opcode.CLOSE
        return int.from_bytes(data[:2], "big")

    def end(self) -> None:
        """End the connection and stop listening."""
        self._listener.close()
        if hasattr(self, "sock"):
            self.sock.close()

    def __enter__(self) -> "FramePeer":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()
