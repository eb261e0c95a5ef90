"""HTTP over a local socket, for `requests`.

Of our own because `requests_unixsocket` names the socket in every URL and leaves it open when nobody listens.
"""

import socket
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool


def unix_session(path: str, *, stretch: float = 1.0) -> requests.Session:
    """Return a session whose URLs begin with `http://localhost/` and which reaches this socket alone.

    It heeds no proxy, netrc or other variable of ours. For one thread. Each request's `timeout` is stretched.
    """
    session = requests.Session()
    session.trust_env = False
    session.adapters.clear()
    session.mount("http://localhost/", _OneSocket(path, stretch=stretch))
    return session


class _Patient(socket.socket):
    """A socket whose time-out is that of a whole answer: it does not begin anew with every byte."""

    _until: float | None = None

    def settimeout(self, value: float | None, /) -> None:
        """Begin to wait: urllib3 says this before each answer, and once for each connection."""
        self._until = None if value is None else time.monotonic() + value
        super().settimeout(value)

    def recv_into(self, *given: Any, **named: Any) -> int:
        """Receive, in what is left of the time. TimeoutError if that is nothing."""
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            super().settimeout(left)
        return super().recv_into(*given, **named)


class _Connection(HTTPConnection):
    def __init__(self, host: str, *, path: str, **given: Any) -> None:
        super().__init__(host, **given)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket; raises OSError, which `requests` turns into its ConnectionError."""
        dialled = _Patient(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            dialled.settimeout(self.timeout)
            dialled.connect(self._path)
        except BaseException:
            dialled.close()
            raise
        self.sock = dialled


class _Connections(HTTPConnectionPool):
    # Its declared type is a protocol that urllib3's own HTTPConnection does not fit either.
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType]


class _OneSocket(HTTPAdapter):
    def __init__(self, path: str, *, stretch: float) -> None:
        super().__init__()
        self._connections = _Connections("localhost", path=path)
        self._stretch = stretch

    def send(self, request: requests.PreparedRequest, *how: Any, **options: Any) -> requests.Response:
        """Send a request; `timeout` is one for all, or a pair for connecting and for each answer."""
        match options.get("timeout"):
            case (connecting, answering):
                options["timeout"] = (self._longer(connecting), self._longer(answering))
            case int() | float() as seconds:
                options["timeout"] = self._longer(seconds)
        return super().send(request, *how, **options)

    def get_connection_with_tls_context(self, *_args: object, **_kwargs: object) -> HTTPConnectionPool:
        """Return the connections to the socket, whatever the URL."""
        return self._connections

    def close(self) -> None:
        """Close what is open."""
        self._connections.close()
        super().close()

    def _longer(self, seconds: float | None) -> float | None:
        return None if seconds is None else seconds * self._stretch
