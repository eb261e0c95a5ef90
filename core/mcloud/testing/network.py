"""Relay: the wire between two machines, which can be broken and cut."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

_CHUNK = 65536


class Relay:
    """Passes bytes on from a port of its own on loopback to where `target` is at the moment."""

    def __init__(self) -> None:
        """Listen, with nowhere to pass anything to yet."""
        self.target: tuple[str, int] | None = None
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
            self._spawn(lambda near=near, far=far, left=left: self._pass_on(near, far, left))
            self._spawn(lambda near=near, far=far, left=left: self._pass_on(far, near, left))

    def _reach(self) -> socket.socket | None:
        if self._cut or self.target is None:
            return None
        try:
            return socket.create_connection(self.target, timeout=5)
        except OSError:
            return None

    def _pass_on(self, source: socket.socket, sink: socket.socket, left: list[int]) -> None:
        with self._lock:
            self._open |= {source, sink}
        source.settimeout(None)
        with contextlib.suppress(OSError):
            while not self._cut and (data := source.recv(_CHUNK)):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with self._lock:
            left[0] -= 1
            if left[0] == 0:
                self._open -= {source, sink}
                source.close()
                sink.close()

    def _spawn(self, work: "threading.Thread | object") -> None:
        thread = threading.Thread(target=work, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
