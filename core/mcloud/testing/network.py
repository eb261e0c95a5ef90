"""Relay: the wire between two machines, which can be broken and cut."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Literal, Self

_CHUNK = 65536
_HEAD = 5
"""Bytes of a TLS record's head; the last two are its length (RFC 8446, section 5.1)."""

Way = Literal["to", "from"]
"""Towards the initiator, or from it."""


class Relay:
    """Passes bytes on from a port of its own on loopback to where `target` is at the moment."""

    def __init__(self) -> None:
        """Listen, with nowhere to pass anything to yet."""
        self.target: tuple[str, int] | None = None
        self.on_record: Callable[[Way, bool], None] | None = None
        """Told of every TLS record, as it comes (False) and when it was passed on (True)."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._cut = False
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listening.getsockname()[1]
        return port

    def drop(self) -> None:
        """Break what is open, as a restarted switch does; new connections come through."""
        with self._lock:
            broken, self._open = self._open, set()
        for end in broken:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Break what is open and let nothing through until `mend`."""
        self._cut = True
        self.drop()

    def mend(self) -> None:
        """Let connections through again."""
        self._cut = False

    def close(self) -> None:
        """End, with all that is open."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(5)
        self._listening.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _address = self._listening.accept()
            except OSError:
                return
            far = self._reach()
            if far is None:
                near.close()
                continue
            for end in (near, far):  # else the kernel waits for more to send, 40 ms each time
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            left = [2]
            self._spawn(lambda near=near, far=far, left=left: self._pass_on(near, far, left, "to"))
            self._spawn(lambda near=near, far=far, left=left: self._pass_on(far, near, left, "from"))

    def _reach(self) -> socket.socket | None:
        if self._cut or self.target is None:
            return None
        try:
            return socket.create_connection(self.target, timeout=5)
        except OSError:
            return None

    def _pass_on(self, source: socket.socket, sink: socket.socket, left: list[int], way: Way) -> None:
        with self._lock:
            self._open |= {source, sink}
        source.settimeout(None)
        with contextlib.suppress(OSError):
            for data in _pieces(source) if self.on_record is None else _records(source):
                self._tell(way, passed=False)
                if self._cut:
                    break
                sink.sendall(data)
                self._tell(way, passed=True)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with self._lock:
            left[0] -= 1
            if left[0] == 0:
                self._open -= {source, sink}
                source.close()
                sink.close()

    def _tell(self, way: Way, *, passed: bool) -> None:
        if self.on_record is not None:
            self.on_record(way, passed)

    def _spawn(self, work: "threading.Thread | object") -> None:
        thread = threading.Thread(target=work, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


def _pieces(source: socket.socket) -> Iterator[bytes]:
    while data := source.recv(_CHUNK):
        yield data


def _records(source: socket.socket) -> Iterator[bytes]:
    """Yield whole TLS records; what is left at the end comes as it is."""
    pending = b""
    for data in _pieces(source):
        pending += data
        while len(pending) >= (size := _HEAD + int.from_bytes(pending[_HEAD - 2 : _HEAD], "big")) > _HEAD:
            yield pending[:size]
            pending = pending[size:]
    if pending:
        yield pending
