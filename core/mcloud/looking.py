"""Looking for initiators with all discovery plugins side by side, as long as the patience lasts."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from mcloud.errors import McloudError, PluginError
from mcloud.finding import Found, Sightings
from mcloud.model import Beacon, Search
from mcloud.plugins import Plugins

ROUND = 20.0
"""Seconds a plugin looks before it is called anew: what is not heard in two rounds is not there any more."""
EARLY = 2.0
"""A plugin that fails with more seconds than these to spare broke; else its time was up."""
GRACE = 2.0
"""Seconds for a plugin to say what it has to say when its time is up."""
PAUSE = 3.0
"""Seconds before a plugin that ended early, without an error, is called anew."""


@dataclass
class Looking:
    """One search, over as many calls of the plugins as it takes; open it with `with`. Thread-safe.

    The patience does not run out while a person is asked (`standing_still`).
    """

    plugins: Plugins
    names: Sequence[str]
    """Discovery plugins to ask."""
    search: Search
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of these plugins; those that are not named have their defaults."""
    round: float = ROUND
    said: dict[str, McloudError] = field(default_factory=dict)
    """What each plugin said at the end of its last round, if it found nothing."""
    failed: dict[str, McloudError] = field(default_factory=dict)
    """Plugins that broke, and are not asked any more."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    clock: Callable[[], float] = time.monotonic
    _troubles: dict[str, str] = field(default_factory=dict)
    _refused: list[str] = field(default_factory=list)
    _running: set[str] = field(default_factory=set)
    _over: bool = False
    _still_since: float | None = None
    _until: float = 0.0

    def __post_init__(self) -> None:
        self._sightings = Sightings(given=self.search.initiators, clock=self.clock)

    def __enter__(self) -> Self:
        self.go_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self.changed:
            self._over = True
            self.changed.notify_all()

    # ---- what is there --------------------------------------------------------------------------------

    def found(self) -> tuple[Found, ...]:
        """Return the initiators that were heard, in the order in which they came."""
        with self.changed:
            return self._sightings.found()

    def still(self, before: Found) -> Found | None:
        """Return what is known now of one that was found; None if it is gone or was started anew."""
        return next((one for one in self.found() if one.is_still(before)), None)

    def trouble(self, found: Found) -> str:
        """Why it could not be reached when it was tried; "" if it was not tried, or could."""
        return self._troubles.get(found.key, "")

    @property
    def left(self) -> float:
        """Seconds until the patience ends, 0 if it has."""
        with self.changed:
            now = self.clock() if self._still_since is None else self._still_since
            return max(0.0, self._until - now)

    @property
    def over(self) -> bool:
        """Whether no plugin looks any more; one that does not keep to its time is not waited for."""
        with self.changed:
            return not self._running or (self._still_since is None and self.clock() > self._until + GRACE)

    @property
    def refused(self) -> str:
        """The last beacon that was found out to lie about its certificate; "" if none was."""
        return self._refused[-1] if self._refused else ""

    # ---- what becomes of it ---------------------------------------------------------------------------

    def go_on(self) -> None:
        """Look on, for the whole patience again."""
        with self.changed:
            self._until = self.clock() + self.search.seconds
            for name in dict.fromkeys(self.names):
                if name not in self._running and name not in self.failed:
                    self._running.add(name)
                    threading.Thread(
                        target=self._look, args=(name,), name=f"find-{name}", daemon=True
                    ).start()

    def wait(self, seconds: float) -> None:
        """Return when the first initiator was heard or a plugin ended, or after so many seconds."""
        with self.changed:
            self.changed.wait(seconds)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """While open a person is asked, and the patience does not run."""
        began = self.clock()
        with self.changed:
            self._still_since = began
        try:
            yield
        finally:
            with self.changed:
                self._still_since = None
                self._until += self.clock() - began

    def note_trouble(self, found: Found, reason: str) -> None:
        """Remember that it could not be reached, and why ("": it could); it may come back."""
        self._troubles[found.key] = reason

    def refuse(self, address: str, port: int, claim: str, why: str) -> None:
        """Forget those who announced another certificate than the one that is shown there."""
        with self.changed:
            self._refused[:] = [why]
            self._sightings.refuse(address, port, claim)

    # ---- one plugin, in a thread of its own -----------------------------------------------------------

    def _look(self, name: str) -> None:
        last, looked = self.clock(), False
        try:
            while (seconds := min(self.left, self.round)) > 0 and not self._over:
                began = self.clock()
                error = self._ask(name, seconds)
                spare = began + seconds - self.clock()
                with self.changed:
                    # What fails later, and not at first, may work again: an interface that is down, say.
                    if isinstance(error, PluginError) or (error and spare > EARLY and not looked):
                        self.failed[name] = error
                        return
                    self.said.pop(name, None)
                    if error is not None:
                        self.said[name] = error
                    self._sightings.forget(name, before=last)
                    last, looked = began, True
                    self.changed.wait_for(lambda: self._over, min(PAUSE, max(0.0, spare)))
        finally:
            with self.changed:
                self._running.discard(name)
                self.changed.notify_all()

    def _ask(self, name: str, seconds: float) -> McloudError | None:
        """Let a plugin look for so long; return what it said if it failed."""
        model = self.plugins.manifests[name].settings
        settings = self.settings.get(name) or (model and model())
        search = self.search.model_copy(update={"seconds": seconds})
        try:
            for beacon in self.plugins.discover(name, search=search, settings=settings):
                if not isinstance(beacon, Beacon):
                    raise PluginError(
                        f"plugin {name} yielded {type(beacon).__name__}, no Beacon", plugin=name
                    )
                with self.changed:
                    if self._over:
                        return None
                    if self._sightings.hear(name, beacon) == 1:
                        self.changed.notify_all()  # not at each: a flood would keep us busy
        except McloudError as error:
            return error
        return None
