"""Hooks that plan: they return steps, the same ones for the same inputs, and do nothing."""

from pathlib import Path

from mcloud.model import Check
from mcloud.preview import preview
from mcloud.testing.contract.subject import Subject
from mcloud.testing.stillness import still
from mcloud.testing.trial import described


class Planning(Subject):
    """The hooks that plan, and the probes of their steps."""

    def test_planning_does_nothing(self) -> None:
        """Open no file, no socket and no process."""
        trial = self._trial()
        source = getattr(self.plugin, "__file__", None)
        with still(beside=Path(source).parent if source else None) as seen:
            trial.plans()
        assert not seen, f"a hook that plans only returns steps; one of these did: {'; '.join(seen[:5])}"

    def test_checking_does_nothing(self) -> None:
        """`preflight` sees the surveys, no machine."""
        trial = self._trial()
        if self.name not in trial.plugins.having("preflight"):
            return
        asked = trial.inputs.asked_of_all(self.name, trial.plugins.manifests[self.name])
        with still() as seen:
            checks = trial.plugins.preflight(self.name, **asked)
        assert not seen, f"preflight only thinks; this one did: {'; '.join(seen[:5])}"
        assert all(isinstance(check, Check) for check in checks), "preflight yields Checks"

    def test_the_same_inputs_give_the_same_plan(self) -> None:
        """Every machine has to make the same plan from the same inputs."""
        trial = self._trial()
        for one, other in zip(trial.plans(), trial.plans(), strict=True):
            assert described(one) == described(other), f"two plans for {one.machine} differ"

    def test_looking_changes_nothing(self) -> None:
        """A plan can be shown: on a fresh machine no probe fails hard, and none changes anything."""
        with self._begun() as walk:
            before = self._worlds(walk)
            for machine in walk.hosts:
                preview(walk.surroundings(machine))
            assert self._worlds(walk) == before, "a probe changed the machine"
