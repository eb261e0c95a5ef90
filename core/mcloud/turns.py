"""Whose turn it is to join a service that admits only so many machines at once."""

from collections import deque
from collections.abc import Mapping
from threading import Lock


class Turns:
    """Hands out turns by plugin, in the order of asking; thread-safe. The token is the turn."""

    def __init__(self, limits: Mapping[str, int | None]) -> None:
        """Take `Manifest.joins_at_once` by plugin; None: no limit."""
        self._limits = limits
        self._joining: dict[str, set[str]] = {}
        self._waiting: dict[str, deque[str]] = {}
        self._lock = Lock()

    def ask(self, plugin: str, machine: str) -> bool:
        """Return whether it is this machine's turn now; else it waits for `leave` of another."""
        with self._lock:
            joining, waiting = self._of(plugin)
            limit = self._limits.get(plugin)
            if machine in joining:
                return True
            if limit is not None and len(joining) >= limit:
                if machine not in waiting:
                    waiting.append(machine)
                return False
            joining.add(machine)
            return True

    def leave(self, machine: str, only: str | None = None) -> tuple[tuple[str, str], ...]:
        """End all turns of a machine, or that of one plugin; return whose turn it is now: plugin, machine."""
        with self._lock:
            now: list[tuple[str, str]] = []
            for plugin in self._joining if only is None else {only} & set(self._joining):
                joining, waiting = self._of(plugin)
                if machine in waiting:
                    waiting.remove(machine)
                if machine in joining:
                    joining.remove(machine)
                    if waiting:
                        joining.add(waiting[0])
                        now.append((plugin, waiting.popleft()))
            return tuple(now)

    def near(self, plugin: str) -> tuple[str, ...]:
        """Return whose tokens are wanted by now: those whose turn it is, and the next one's, made ahead."""
        with self._lock:
            joining, waiting = self._of(plugin)
            return (*joining, *tuple(waiting)[:1])

    def _of(self, plugin: str) -> tuple[set[str], deque[str]]:
        return self._joining.setdefault(plugin, set()), self._waiting.setdefault(plugin, deque())
