"""The hook `reset`: from any state a machine comes to be as it was, and is found clean then."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from mcloud.errors import McloudError
from mcloud.remains import Remains
from mcloud.reset import HOOK, Left, Reset, reset_plan
from mcloud.steps import Step
from mcloud.testing.contract.misfortune import Misfortune, repair, watched
from mcloud.testing.host import PowerLost
from mcloud.testing.stillness import still
from mcloud.testing.walk import Walk

_FORGET = Step(name="cloud", run=lambda _ctx: None, probe=lambda _ctx: ())


class Resetting(Misfortune):
    """Machines that are reset, disks and all. A plugin without `reset` passes."""

    def test_planning_a_reset_does_nothing(self) -> None:
        """Open no file, no socket and no process, whether settings are known or not."""
        with self._begun() as walk:
            for known in (True, False):
                with still() as seen:
                    self._resets(walk, known=known)
                assert not seen, f"`reset` only returns steps; it did: {'; '.join(seen[:5])}"

    def test_a_fresh_machine_has_nothing_to_reset(self) -> None:
        """Where the service was never used all probes say so, and change nothing."""
        with self._begun() as walk:
            before = self._worlds(walk)
            self._assert_clean(walk, known=True, when="on a fresh machine")
            assert self._worlds(walk) == before, "a probe changed the machine"

    def test_reset_restores_what_was_there(self) -> None:
        """After a whole run, and wherever a run was cut off by a power cut: one reset leaves nothing."""
        for point in self._points_if_resettable(whole=True):
            when = f"after a power cut at use {point}" if point else "after a run"
            with self._begun() as walk:
                before = self._worlds(walk)
                self._break(walk, point, power=True)
                mended = repair(walk)
                left = self._reset(mended)
                assert not left, f"reset {when} left something: {left}"
                assert self._worlds(walk) == before, f"reset {when} does not restore what was there"
                self._assert_clean(mended, known=True, when=f"in a second reset {when}")

    def test_reset_needs_no_settings(self) -> None:
        """With no record and no journal left, the service is ended all the same."""
        with self._begun() as walk:
            self._break(walk, 0, power=False)
            assert not self._reset(walk, known=False)
            self._assert_clean(walk, known=False, when="in a second reset")

    def test_reset_goes_on_after_a_power_cut(self) -> None:
        """Whenever the power fails in a reset: the next one comes to the end."""
        for point in self._points_if_resettable():
            with self._begun() as walk:
                before = self._worlds(walk)
                self._break(walk, 0, power=False)
                watched(walk.hosts.values(), point=point, power=True)
                with suppress(PowerLost):
                    self._reset(walk)
                left = self._reset(repair(walk))
                assert not left, f"reset after one that was cut at its use {point} left something: {left}"
                assert self._worlds(walk) == before, f"reset after one cut at use {point} is not clean"

    def test_what_cannot_be_reset_is_named(self) -> None:
        """Whatever fails in a reset: it says what is left, and never raises."""
        for point in self._points_if_resettable():
            with self._begun() as walk:
                self._break(walk, 0, power=False)
                watched(walk.hosts.values(), point=point, power=False)
                with suppress(McloudError):
                    left = self._reset(walk)
                    assert all(one.reason for one in left)
                assert not self._reset(repair(walk))

    def _points_if_resettable(self, *, whole: bool = False) -> Sequence[int]:
        """Return at which uses to break a run; `whole`: also as 0 the run that is not broken."""
        if self.name not in self._plugins().having(HOOK):
            return ()
        return (*((0,) if whole else ()), *self._points())

    def _resets(self, walk: Walk, *, known: bool = True) -> Mapping[str, Reset]:
        """Return a reset of each machine; `known`: with the settings that its run was given."""
        inputs = walk.inputs
        settings: dict[str, Any] = {"settings": inputs.settings, "node_settings": inputs.node_settings}
        remains = Remains(frozenset(inputs.services), **settings) if known else Remains()
        return {
            node.name: Reset(
                walk.hosts[node.name], reset_plan(walk.plugins, node, remains, disks="wipe", own=_FORGET)
            )
            for node in inputs.nodes
        }

    def _reset(self, walk: Walk, *, known: bool = True) -> list[Left]:
        """Reset all machines; return what could not be removed."""
        resets = self._resets(walk, known=known).values()
        return [one for reset in resets for one in reset.carry_out(reset.look())]

    def _assert_clean(self, walk: Walk, *, known: bool, when: str) -> None:
        for machine, reset in self._resets(walk, known=known).items():
            for one in reset.look():
                assert not one.to_do, f"{one.key} finds something {when} on {machine}: {one.lines}"
