"""Steps that go wrong: the power fails or the machine says no, at any of their uses of it."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

from mcloud.errors import McloudError, ServiceError
from mcloud.testing.contract.subject import Subject
from mcloud.testing.host import FakeHost, PowerLost
from mcloud.testing.trial import all_text
from mcloud.testing.walk import Walk

_POINTS = 12
"""How many of a run's uses of the machine are tried as the one at which it goes wrong."""


class Misfortune(Subject):
    """A run in which something goes wrong."""

    def test_it_goes_on_after_a_power_cut(self) -> None:
        """Whenever the power fails: the same command again comes to the end, and undo still restores."""
        for point in self._points():
            with self._begun() as walk:
                before = self._worlds(walk)
                self._break(walk, point, power=True)
                again = repair(walk)
                again.run()
                self._undo(again)
                assert self._worlds(walk) == before, f"undo after a power cut at use {point} left something"

    def test_half_done_can_be_taken_back(self) -> None:
        """Whatever fails: undo restores what was there."""
        for point in self._points():
            with self._begun() as walk:
                before = self._worlds(walk)
                self._break(walk, point, power=False)
                self._undo(repair(walk))
                assert self._worlds(walk) == before, f"undo after use {point} failed left something"

    def test_failures_tell_no_secret(self) -> None:
        """Whatever fails: no secret is in the error, its hints, its traceback or the journal."""
        for point in (0, *self._points()):  # 0: the run as it is, which may fail by itself
            with self._begun() as walk:
                failure = self._break(walk, point, power=False)
                told = failure is not None and walk.known.found_in(all_text(failure))
                assert not told, f"a secret is in what is said when use {point} of the machine fails"
                self._refuse_secrets_in_journals(walk)

    def _points(self) -> Iterator[int]:
        """Yield which uses of the machine to try: all of them, or evenly some."""
        with self._begun() as walk:
            counted = watched(walk.hosts.values(), point=0, power=False)
            with suppress(McloudError):  # told by another test
                walk.run()
        yield from sorted({1 + counted[0] * number // _POINTS for number in range(_POINTS) if counted[0]})

    def _break(self, walk: Walk, point: int, *, power: bool) -> McloudError | None:
        """Run until the point-th use of a machine goes wrong; return what the run ended with."""
        watched(walk.hosts.values(), point=point, power=power)
        try:
            walk.run()
        except McloudError as failure:
            return failure
        return None


def watched(hosts: Iterable[FakeHost], *, point: int, power: bool) -> list[int]:
    """Count the uses of some machines from now on; let one of them fail."""
    counted, lock = [0], threading.Lock()

    def watch(host: FakeHost, what: str) -> None:
        with lock:
            counted[0] += 1
            fatal = counted[0] == point
        if fatal and power:
            host.off = True
            raise PowerLost
        if fatal:
            raise ServiceError(f"the machine said no to {what}")

    for host in hosts:
        host.before = partial(watch, host)
    return counted


def repair(walk: Walk) -> Walk:
    """Return the same run on the same machines, with their power back and nothing going wrong."""
    hosts = {name: replace(host, off=False, before=lambda _what: None) for name, host in walk.hosts.items()}
    return replace(walk, hosts=hosts)
