"""Clouds that are broken by plan: power, wires and plugins fail at given places, and what holds after it."""

import threading
from collections import Counter
from dataclasses import dataclass

from world import BEFORE, Service, World

from mcloud import RunFailed
from mcloud.testing import FakeCloud, FakeFile, FakeHost, memory_folder
from mcloud.testing.host import PowerLost
from mcloud.testing.power import dying_quietly

AWHILE = 0.05
"""Seconds for which a wire is cut."""
TRIES = 8
"""How often the same command is typed on all machines, until it is said to be no good."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong, once, when a count on one machine reaches a number.

    `at`: a `line` of its journal (with `how` before, torn or after), a `use` of its host, or a TLS
    record `to` the initiator or `from` it. `how`, at a record: `lost` (cut before it is passed on),
    `after`, `drop`; `kills` names who loses its power then, "" is nobody.
    """

    machine: str
    at: str
    number: int
    how: str = "before"
    kills: str = ""

    @property
    def place(self):
        """What is counted."""
        return self.at if self.how in {"before", "lost"} or self.at == "line" else f"{self.at}, passed on"


def _whole(error):
    """Return an error in words, with all that is inside."""
    return "; ".join([str(error), *(error.lines() if isinstance(error, RunFailed) else ())])


class Broken:
    """A cloud in which things go wrong; close it."""

    def __init__(self, machines, faults=(), *, fails=(), service=Service, **ordered):
        self.world = World()
        self.service = service(self.world, fails=fails)
        self.faults = list(faults)
        self.happened = []
        self.killed = []
        self.counts = Counter()
        self.deeds = Counter()
        self._lock = threading.Lock()
        self._timers = []
        self._folder = memory_folder()
        self.cloud = FakeCloud(
            machines,
            folder=self._folder.__enter__(),
            plugins={"svc": self.service},
            host=self._host,
            **{"patience": 4.0, **ordered},
        )
        self.names = tuple(self.cloud.machines)
        for name, machine in self.cloud.machines.items():
            if machine.relay is not None:
                machine.relay.on_record = lambda way, passed, name=name: self._record(name, way, passed)
        self._aim()

    def __enter__(self):
        return self

    def __exit__(self, *_what):
        for timer in self._timers:
            timer.join()
        self.cloud.__exit__()
        self._folder.__exit__(None, None, None)

    # ---- what goes wrong ------------------------------------------------------------------------------

    def _host(self, name):
        files = {path: FakeFile(content=text.encode()) for path, text in BEFORE.items()}
        return FakeHost(name=name, files=files, before=lambda what: self._use(name, what))

    def _aim(self):
        """Have the next fault at a line of each machine's journal wait for its next process."""
        for fault in [fault for fault in self.faults if fault.at == "line"]:
            if self.cloud[fault.machine].fatal is None:
                self.faults.remove(fault)
                self.cloud.kill_at(fault.machine, fault.number, fault.how)

    def _due(self, machine, at):
        """Count one more; return the fault that is due now."""
        with self._lock:
            self.counts[machine, at] += 1
            for fault in self.faults:
                if (fault.machine, fault.place, fault.number) == (machine, at, self.counts[machine, at]):
                    self.faults.remove(fault)
                    self.happened.append(fault)
                    return fault
        return None

    def _use(self, machine, what):
        if self._due(machine, "use") is not None:
            self.cloud.kill(machine)
            raise PowerLost
        if what.startswith("write "):
            with self._lock:
                self.deeds[machine, what.removeprefix("write ")] += 1

    def _record(self, machine, way, passed):
        fault = self._due(machine, f"{way}, passed on" if passed else way)
        if fault is not None:
            self._strike(fault)

    def _strike(self, fault):
        if fault.kills:
            self.cloud.kill(fault.kills)
        elif fault.how == "drop":
            self.cloud.drop("n1", fault.machine)
        else:
            self.cloud.cut("n1", fault.machine)
            timer = threading.Timer(AWHILE, self.cloud.mend, ("n1", fault.machine))
            timer.start()
            self._timers.append(timer)

    def calm(self):
        """Have nothing go wrong any more."""
        self.faults.clear()
        self.service.fails.clear()
        for machine in self.cloud.machines.values():
            machine.fatal = None

    # ---- what people type ------------------------------------------------------------------------------

    @property
    def out(self):
        """Who is not in the initiator's run any more."""
        begun = self.cloud["n1"].state.latest()
        if begun is None:
            return ()
        roster = {node["name"] for node in self.cloud["n1"].journal().inputs["nodes"]}
        return tuple(name for name in self.names if name not in roster)

    @property
    def agreed(self):
        """Whether the initiator has a record, and all that are in it have the same."""
        record = self.cloud["n1"].cloud
        return record is not None and all(
            self.cloud[member["name"]].cloud == record and self.cloud[member["name"]].journal().finished
            for member in record["members"]
        )

    def resume(self):
        """Type the same command on all machines until they agree that they are a cloud."""
        said = []
        for _ in range(TRIES):
            self._aim()
            outcome = self.cloud.form(seconds=28, without=self.out)
            self.killed += outcome.killed
            if self.agreed:
                return
            said.append({name: _whole(error) for name, error in outcome.failures.items()})
        raise AssertionError(f"typed {TRIES} times, and there is no cloud: {said[-2:]}\n{self.cloud.story()}")

    def bring_back(self):
        """Type the same command on all machines until all that were to be in the cloud are."""
        said = []
        for _ in range(TRIES):
            self._aim()
            outcome = self.cloud.form(seconds=28)
            self.killed += outcome.killed
            if not self.out and self.agreed:
                return
            said.append({name: _whole(error) for name, error in outcome.failures.items()})
        raise AssertionError(f"typed {TRIES} times, and not all are in: {said[-2:]}\n{self.cloud.story()}")

    def once(self):
        """Type the command on all machines once; who loses its power is not switched on."""
        self._aim()
        self.killed += self.cloud.form(seconds=28, again=False).killed

    def undo(self, names):
        """Type `undo` on machines one after another, again where one loses its power; nothing is left."""
        for name in names:
            while self._begun(name):
                self._aim()
                with dying_quietly():
                    try:
                        undone = self.cloud.undo(name)
                    except PowerLost:
                        self.killed.append(name)
                        continue
                assert undone.left == {}, f"{name} cannot take back {undone.left}"
                assert name not in self.world.members, f"the service still knows {name}"

    def _begun(self, name):
        begun = self.cloud[name].state.latest()
        return begun is not None and not self.cloud[name].journal().has("reverted")

    # ---- what must hold --------------------------------------------------------------------------------

    def check_cloud(self):
        """One cluster, of those who are in the record, which did everything once; the others are free."""
        record = self.cloud["n1"].cloud
        members = {member["name"] for member in record["members"]}
        for name in members:
            assert self.files(name) == whole(name), f"{name} has not what it should have"
        assert self.world.foundings == 1, f"founded {self.world.foundings} times"
        twice = [deed for deed, times in (self.deeds + self.world.deeds).items() if times > 1]
        assert not twice, f"done twice: {twice}"
        self._check_secrets()
        self.undo(name for name in self.names if name not in members)
        for name in {*self.names} - members:
            self._check_free(name)
        assert self.world.members == members, f"in the record {members}, in the service {self.world.members}"
        assert not self.world.tokens, f"tokens that let in whoever has them: {len(self.world.tokens)}"
        return members

    def check_nothing(self):
        """Nothing is left, on no machine and of no service."""
        for name in self.names:
            self._check_free(name)
        assert self.world.cluster is None, "the service lives on"
        assert not self.world.members, f"the service still knows {self.world.members}"
        assert not self.world.tokens, "tokens that let in whoever has them"
        self._check_secrets()

    def form_anew(self):
        """Form the cloud after all was taken back, at once and of all."""
        self.deeds.clear()
        self.world.deeds.clear()
        self.world.foundings = 0
        self.cloud.form(seconds=28).good()
        assert self.agreed
        assert self.check_cloud() == {*self.names}

    def files(self, name):
        """Return the files of a machine as text."""
        return {path: file.content.decode() for path, file in self.cloud[name].host.files.items()}

    def _check_free(self, name):
        machine = self.cloud[name]
        assert self.files(name) == BEFORE, f"{name} is not as it was before: {self.files(name)}"
        assert machine.cloud is None, f"{name} thinks it is in a cloud"
        for run in machine.state.runs():
            assert not machine.state.pins(run.id), f"{name} still trusts the machines of {run.id}"

    def _check_secrets(self):
        kept = [path for path in self.cloud["n1"].folder.parent.rglob("*") if path.is_file()]
        texts = {path: path.read_text() for path in kept if path.suffix in {".jsonl", ".json", ""}}
        for secret in self.world.secrets:
            assert not [path for path, text in texts.items() if secret in text], "a token was written down"


def whole(name):
    """Return the files of a machine that is in the cloud."""
    own = ("founded", "pool") if name == "n1" else ("request", "entered")
    ours = {f"/svc/{what}": "done" for what in (*own, "packages", "adapted")}
    return {**BEFORE, **ours, "/etc/svc.conf": f"{BEFORE['/etc/svc.conf']}, and ours"}
