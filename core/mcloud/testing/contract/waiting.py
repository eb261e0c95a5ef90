"""Waits that end: a service stops answering, and every step comes to an end by itself."""

from collections.abc import Iterator
from contextlib import suppress

from mcloud.errors import McloudError, Overdue, ServiceError
from mcloud.testing.contract.misfortune import watched
from mcloud.testing.contract.subject import Subject
from mcloud.testing.host import FakeHost
from mcloud.testing.walk import Walk

_HURRY = 0.01
"""Factor of all deadlines: patiences of a minute are 0.6 s."""
_LATE = ("did not come back within", "was not done after")
"""What is said of an undo that had to be left behind."""
_MOMENTS = 6
"""How many moments are tried at which nothing answers any more."""


class Waiting(Subject):
    """A run in which, from some moment on, the machine says no to everything."""

    def test_its_waits_end(self) -> None:
        """No step has to be left behind: each gives up by itself, in its `run`, its probe and its `undo`."""
        for point in self._moments():
            with self._begun() as walk:
                for host in walk.hosts.values():
                    host.stretch = _HURRY
                _silence(walk, point)
                try:
                    walk.run()
                except McloudError as failure:
                    for part in getattr(failure, "exceptions", (failure,)):
                        assert not isinstance(part, Overdue), f"a wait has no end of its own: {part}"
                for undone in walk.undo().values():
                    for reason in undone.left.values():
                        late = any(words in reason for words in _LATE)
                        assert not late, f"a wait has no end of its own: {reason}"

    def _moments(self) -> Iterator[int]:
        with self._begun() as walk:
            counted = watched(walk.hosts.values(), point=0, power=False)
            with suppress(McloudError):  # told by another test
                walk.run()
        yield from sorted({1 + counted[0] * number // _MOMENTS for number in range(_MOMENTS) if counted[0]})


def _silence(walk: Walk, point: int) -> None:
    """Have the machines say no from their point-th use on."""
    counted = watched(walk.hosts.values(), point=0, power=False)

    def silent(host: FakeHost) -> None:
        count = host.before

        def before(what: str) -> None:
            count(what)
            if counted[0] >= point:
                raise ServiceError(f"the machine does not answer to {what}")

        host.before = before

    for host in walk.hosts.values():
        silent(host)
