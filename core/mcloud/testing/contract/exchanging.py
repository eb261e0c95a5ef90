"""Disks whose names change places, as at a boot: whoever takes disks leaves somebody's disk as it was."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from mcloud.claims import disks_in
from mcloud.errors import McloudError
from mcloud.testing.contract.misfortune import repair
from mcloud.testing.contract.resetting import Resetting
from mcloud.testing.contract.subject import seen_on
from mcloud.testing.disks import FakeDisk
from mcloud.testing.host import FakeHost
from mcloud.testing.walk import Walk

_OTHERS = "xyzuvw"
"""Last letters of the names of somebody's disks."""

_POINTS = 3
"""At how many uses of the machine a run is cut off before the names change places."""

State = tuple[str, str, str, bytes]


class Exchanging(Resetting):
    """A plugin that takes disks, on machines with as many disks of somebody's. One that takes none passes."""

    def test_disks_that_changed_names_after_the_plan(self) -> None:
        """Between plan and run: the disk of the plan is found or refused, and the other one is left alone."""
        for told in self._tellings():
            with self._beset(told=told) as (walk, somebodys, before):
                self._exchange(walk)
                failed = self._failure(walk)
                self._assert_untouched(somebodys, "a run after names had changed places")
                assert not (told and failed), f"a disk was not found by its serial number: {failed}"
                self._undo(walk)
                self._assert_free(before, "undo after names had changed places before the run")

    def test_disks_that_changed_names_before_a_run_goes_on(self) -> None:
        """A power cut, and a boot that exchanges names: the same command again touches no other disk."""
        for told in self._tellings():
            for point in self._some_points():
                with self._beset(told=told) as (walk, somebodys, before):
                    self._break(walk, point, power=True)
                    self._exchange(walk)
                    again, when = repair(walk), f"names that changed places after a power cut at use {point}"
                    failed = self._failure(again)
                    self._assert_untouched(somebodys, f"a run that went on after {when}")
                    assert not (told and failed), f"a run does not bear {when}: {failed}"
                    self._undo(again)
                    self._assert_free(before, f"undo after {when}")

    def test_disks_that_changed_names_before_undo(self) -> None:
        """Undo frees the disk it took, under the name it has now, and no other."""
        for told in self._tellings():
            with self._beset(told=told) as (walk, somebodys, before):
                walk.run()
                self._exchange(walk)
                undone = walk.undo()
                self._assert_untouched(somebodys, "undo after names had changed places")
                self._assert_undone(undone)
                self._assert_free(before, "undo after names had changed places")

    def test_disks_that_changed_names_before_reset(self) -> None:
        """Reset frees the disks that the service has, under the names they have now, and no other."""
        if not self._points_if_resettable(whole=True):
            return
        for told in self._tellings():
            for known in (True, False):
                with self._beset(told=told) as (walk, somebodys, before):
                    walk.run()
                    self._exchange(walk)
                    left = self._reset(walk, known=known)
                    self._assert_untouched(somebodys, "reset after names had changed places")
                    assert not left, f"reset after names had changed places left something: {left}"
                    self._assert_free(before, "reset after names had changed places")

    # ---- for the tests --------------------------------------------------------------------------------

    def _failure(self, walk: Walk) -> str:
        """Run, and return what it failed with, "" if it did not."""
        try:
            walk.run()
        except McloudError as error:
            inside = getattr(error, "exceptions", ())
            return "; ".join(map(str, (error, *inside)))
        return ""

    def _tellings(self) -> Sequence[bool]:
        """Return whether to try disks that have serial numbers, and such that only their content tells."""
        return (True, False) if self._taken() else ()

    def _taken(self) -> Sequence[str]:
        """Return the names of the disks that the settings give to this plugin."""
        manifest = self._manifest()
        if manifest.node_settings is None:
            return ()
        own = manifest.node_settings.model_validate(self.node_settings)
        return list(dict.fromkeys(choice.path for _place, choice in disks_in(own)))

    def _some_points(self) -> Sequence[int]:
        points = list(self._points())
        return points[:: max(1, len(points) // _POINTS)]

    @contextmanager
    def _beset(
        self, *, told: bool
    ) -> Iterator[tuple[Walk, Mapping[FakeDisk, State], Mapping[FakeDisk, State]]]:
        """Give a run planned on machines with somebody's disks, those disks, and all disks as they were."""
        with self._begun() as walk:
            somebodys: list[FakeDisk] = []
            for host in walk.hosts.values():
                somebodys += self._add_others(host, told=told)
            disks = {disk: disk.state for host in walk.hosts.values() for disk in host.disks.values()}
            others = {disk: state for disk, state in disks.items() if disk in somebodys}
            yield replace(walk, inputs=seen_on(walk.inputs, walk.hosts)), others, disks

    def _add_others(self, host: FakeHost, *, told: bool) -> Iterator[FakeDisk]:
        for number, path in enumerate(self._taken()):
            own = host.disk(path)
            assert own is not None, (
                f"the contract wants to exchange {path} with another disk, and the fake machine has none "
                f"of that name: give it `FakeHost(disks={{{path!r}: FakeDisk(serial='A')}})`"
            )
            own.serial = f"OWN-{number}" if told else ""
            own.wwn = ""
            other = FakeDisk(
                size=own.size,
                serial=f"SOMEBODYS-{number}" if told else "",
                content="ext4",
                id=f"somebodys-{number}",
                label="precious",
            )
            host.disks[f"/dev/sd{_OTHERS[number]}"] = other
            yield other

    def _exchange(self, walk: Walk) -> None:
        for host in walk.hosts.values():
            for number, path in enumerate(self._taken()):
                host.exchange(path, f"/dev/sd{_OTHERS[number]}")

    def _assert_untouched(self, somebodys: Mapping[FakeDisk, State], when: str) -> None:
        for disk, state in somebodys.items():
            assert disk.state == state, f"{when} touched somebody's disk ({state}, now {disk.state})"

    def _assert_free(self, before: Mapping[FakeDisk, State], when: str) -> None:
        for disk, state in before.items():
            assert disk.state == state, f"{when} did not leave a disk as it was ({state}, now {disk.state})"
