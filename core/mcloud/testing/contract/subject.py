"""Subject: the plugin that is put to the test, and how it is put there."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mcloud.inputs import Inputs
from mcloud.model import Manifest, Survey
from mcloud.offers import Offer
from mcloud.plugins import Plugins
from mcloud.steps import Step
from mcloud.testing.disks import FakeDisk
from mcloud.testing.folder import memory_folder
from mcloud.testing.host import FakeHost
from mcloud.testing.trial import Trial
from mcloud.testing.walk import Walk
from mcloud.undo import Undone


class Subject:
    """What a test file says of its plugin."""

    name: str
    """Of the entry point."""
    plugin: object
    """The module (or object) that the entry point names."""
    settings: Mapping[str, Any] = {}
    """The plugin's section of the file; give secrets, too, if it has any."""
    node_settings: Mapping[str, Any] = {}
    """What one machine sets."""
    machines: int = 1
    offered: Sequence[Offer] = ()
    """What other plugins offer, where this one wants or needs something."""
    adopts: Collection[str] = ()
    """Names of steps that may find on a fresh machine that there is nothing to do."""
    stays: Collection[str] = ()
    """Names of steps whose work an undo leaves where it is."""

    def host(self) -> FakeHost:
        """Return a fresh machine, on which the service is installed and not in use."""
        return FakeHost()

    def survey(self) -> Survey:
        """Return what each machine is made of; without disks, it is those of the fake machine."""
        return Survey()

    def world(self, host: FakeHost) -> object:
        """Return a copy of all that undo has to restore on a machine, beside its folders; here its files."""
        return dict(host.files)

    # ---- for the tests --------------------------------------------------------------------------------

    def _plugins(self) -> Plugins:
        return Plugins.of(**{self.name: self.plugin})

    def _manifest(self) -> Manifest:
        return self._plugins().manifests[self.name]

    def _trial(self) -> Trial:
        return Trial.of(
            self.name,
            self.plugin,
            settings=self.settings,
            node_settings=self.node_settings,
            machines=self.machines,
            survey=self.survey(),
            offered=self.offered,
        )

    @contextmanager
    def _begun(self) -> Iterator[Walk]:
        """Give a run on fresh machines; nothing of it has been done yet."""
        trial = self._trial()
        with memory_folder() as folder:
            hosts = {name: self.host() for name in trial.machines}
            if not self.survey().disks:
                trial = replace(trial, inputs=seen_on(trial.inputs, hosts))
            yield trial.walk(hosts, folder)

    def _worlds(self, walk: Walk) -> dict[str, object]:
        return {name: (self.world(host), host.folders) for name, host in walk.hosts.items()}

    def _steps(self, walk: Walk) -> Iterator[tuple[str, str, Step]]:
        """Yield machine, key and step of all that this plugin does and that leaves something to be seen."""
        for machine in [node.name for node in walk.inputs.nodes]:
            for key, (lane, step) in walk.plan(machine).steps.items():
                if isinstance(step, Step) and lane.plugin == self.name and not step.volatile:
                    yield machine, key, step

    def _undo(self, walk: Walk) -> None:
        self._assert_undone(walk.undo())

    def _assert_undone(self, by_machine: Mapping[str, Undone]) -> None:
        for machine, undone in by_machine.items():
            for key, reason in undone.left.items():
                assert key.rpartition("/")[2] in self.stays, f"undo on {machine} left {key}: {reason}"

    def _refuse_secrets_in_journals(self, walk: Walk) -> None:
        for path in walk.folder.glob("*.jsonl"):
            assert not walk.known.found_in(path.read_text()), f"a secret is in the journal of {path.stem}"


def seen_on(inputs: Inputs, hosts: Mapping[str, FakeHost]) -> Inputs:
    """Return inputs of planning whose surveys see the disks that the fake machines have."""
    nodes = []
    for node in inputs.nodes:
        names: dict[FakeDisk, list[str]] = {}
        named = hosts[node.name].disks.items()
        for name, disk in sorted(named, key=lambda one: one[0].startswith("/dev/disk/")):
            names.setdefault(disk, []).append(name)
        disks = tuple(disk.described(*known) for disk, known in names.items())
        survey = node.survey.model_copy(update={"disks": disks})
        nodes.append(node.model_copy(update={"survey": survey}))
    return inputs.model_copy(update={"nodes": tuple(nodes)})
