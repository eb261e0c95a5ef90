"""The time in which one call of a plugin may use a machine: once it is over, every use is refused.

A thread cannot be killed. One that hangs in a plugin's code is left behind, and may wake up in an hour, in
the middle of an undo: what it holds is a door that is locked by then.
"""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Condition
from typing import Any, cast

import requests
from requests.adapters import BaseAdapter

from mcloud.errors import Overdue
from mcloud.host import Host


class Tenure:
    """One call's time, and what it does with the machine just now. Thread-safe."""

    def __init__(self, who: str, *, plugin: str, seconds: float = math.inf, stretch: float = 1.0) -> None:
        """Begin now; `who` names machine, plugin, hook and step, `seconds` are stretched here."""
        self.who = who
        self.plugin = plugin
        self.seconds = seconds * stretch
        self.stretch = stretch
        self._since = time.monotonic()
        self._over = False
        self._uses: dict[object, str] = {}
        self._changed = Condition()

    @property
    def spent(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._since

    @property
    def left(self) -> float:
        """Seconds until it ends; 0 if it has ended."""
        return 0.0 if self._over else max(0.0, self.seconds - self.spent)

    def end(self) -> None:
        """Refuse every use of the machine that begins from now on."""
        with self._changed:
            self._over = True

    def check(self, what: str) -> None:
        """Raise Overdue if it has ended; `what` was about to be done."""
        if not self.left:
            raise Overdue(
                f"{self.who}: its time is over, and it may not {what} any more",
                plugin=self.plugin,
                hint="this is said to a plugin that goes on after its deadline",
            )

    @contextmanager
    def using(self, what: str) -> Iterator[float]:
        """Use the machine, and be waited for; yields the seconds that are left. Raises Overdue."""
        mark = object()
        with self._changed:
            self.check(what)
            self._uses[mark] = what
            left = self.left
        try:
            yield left
        finally:
            with self._changed:
                del self._uses[mark]
                self._changed.notify_all()

    def rest(self, seconds: float) -> str:
        """Wait until the machine is not used any more; return in what use it still is then, "" if in none."""
        with self._changed:
            self._changed.wait_for(lambda: not self._uses, timeout=seconds)
            return next(iter(self._uses.values()), "")

    @property
    def use(self) -> str:
        """What it does with the machine just now, "" if nothing."""
        return self.rest(0)


def tenured(host: Host, tenure: Tenure) -> Host:
    """Return a host that can be used as long as a tenure lasts; commands and requests end with it, too."""
    return cast("Host", _Tenured(host, tenure))


class _Uses:
    """Anything that acts on a machine, whatever it can do: each call is a use of it."""

    def __init__(self, of: Any, tenure: Tenure, name: str = "") -> None:
        self.__dict__.update(_of=of, _tenure=tenure, _name=name)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        return partial(self._used, name, found) if callable(found) else found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._of, name, value)

    def _used(self, name: str, method: Any, *given: Any, **named: Any) -> Any:
        with self._tenure.using(" ".join([name, *(_first_word(given) or [self._name])]).strip()):
            return method(*given, **named)


class _Tenured(_Uses):
    """A host; what it opens, and what is asked of that, are uses of it, too."""

    def run(self, argv: Any, *, seconds: float = 60, **how: Any) -> Any:
        with self._tenure.using(f"run {argv[0]}") as left:
            return self._of.run(argv, seconds=min(seconds, left / self._of.stretch), **how)

    @contextmanager
    def device(self, path: str, *, seconds: float = 30) -> Iterator[Any]:
        with ExitStack() as held:
            with self._tenure.using(f"open {path}") as left:
                opened = self._of.device(path, seconds=min(seconds, left / self._of.stretch))
                device = held.enter_context(opened)
            yield _Uses(device, self._tenure, path)

    def http(self, socket_path: str) -> requests.Session:
        with self._tenure.using(f"http {socket_path}"):
            session: requests.Session = self._of.http(socket_path)
        for prefix, adapter in tuple(session.adapters.items()):
            session.mount(prefix, _TenuredAdapter(adapter, self._tenure, self._of.stretch))
        return session


class _TenuredAdapter(BaseAdapter):
    """Sends requests, and reads each answer to its end, within a tenure."""

    def __init__(self, adapter: BaseAdapter, tenure: Tenure, stretch: float) -> None:
        super().__init__()
        self._adapter, self._tenure, self._stretch = adapter, tenure, stretch

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 - as `requests` calls it
        timeout: Any = None,
        *rest: Any,
        **more: Any,
    ) -> requests.Response:
        """Send one request; `timeout` is not stretched yet."""
        with self._tenure.using(f"{request.method} {request.path_url}") as left:
            bounded = _bounded(timeout, left / self._stretch)
            reply: requests.Response = self._adapter.send(request, stream, bounded, *rest, **more)
            if not stream:
                _ = reply.content
            return reply

    def close(self) -> None:
        """Close what is open."""
        self._adapter.close()


def _bounded(timeout: Any, left: float) -> Any:
    """Return a request's time-out, or pair of them, cut to what is left; without one it gets that."""
    most = left if math.isfinite(left) else None
    if isinstance(timeout, tuple):
        return tuple(_bounded(one, left) for one in timeout)
    return most if timeout is None else min(timeout, left)


def _first_word(given: tuple[Any, ...]) -> tuple[str, ...]:
    return (given[0],) if given and isinstance(given[0], str) else ()
