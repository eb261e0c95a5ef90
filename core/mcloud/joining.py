"""A joiner's work: what it does with what the initiator tells it."""

import threading
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

from pydantic import SecretStr

from mcloud import rosters
from mcloud.accepting import accept
from mcloud.cloud import TOKEN, gate_key, joiner_plan, plan_digest
from mcloud.context import Surroundings
from mcloud.crew import GLANCE
from mcloud.errors import ProtocolError, RunFailed
from mcloud.header import begin_journal
from mcloud.host import Host
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.model import Role, printable
from mcloud.offers import JoinToken
from mcloud.plan import Gate, Lane, Plan
from mcloud.plugins import Plugins
from mcloud.record import own_facts, read_facts, record_step
from mcloud.rehearsal import outlook_lines
from mcloud.run import Execution
from mcloud.secrets import Secrets
from mcloud.session.due import size
from mcloud.session.joiner import Joiner, Peer
from mcloud.session.protocol import Failed, Go, Joined, OutlookLine, Part, Progress, Proposal, Ready
from mcloud.state import State
from mcloud.steps import Step
from mcloud.undo import refuse_complete, take_back
from mcloud.watch import Happening, Watch


@dataclass
class Joining:
    """One run on a joiner, over as many connections as it takes."""

    plugins: Plugins
    host: Host
    state: State
    known: Secrets
    joiner: Joiner
    peer: Peer
    watch: Watch
    command: str = "join"
    given: Mapping[str, Any] | None = None
    """What this machine's own file says, to be compared with the initiator's; None without a file."""
    journal: Journal | None = None
    """The run this machine is in the middle of; None before the first admission."""
    inputs: Inputs | None = None
    failure: RunFailed | None = None
    cloud: Mapping[str, Any] = field(default_factory=dict)
    _plan: Plan | None = None
    _secrets: dict[str, dict[str, SecretStr | None]] = field(default_factory=dict)
    _lines: tuple[OutlookLine, ...] = ()
    _execution: Execution | None = None
    _asking: dict[str, Ready] = field(default_factory=dict)
    """Questions for tokens that have no answer yet, by plugin."""
    _asked: set[str] = field(default_factory=set)
    _results: dict[Part, Joined | Failed | None] = field(default_factory=dict)
    _roster: int = 0  # size of the roster with which the initiator last said go
    _thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """This machine's name."""
        return self.joiner.node.name

    @property
    def run(self) -> str:
        """The run it is in the middle of, empty if none."""
        return str(self.journal.header["run"]) if self.journal else ""

    # ---- what the initiator says ----------------------------------------------------------------------

    def propose(self, proposal: Proposal) -> tuple[tuple[OutlookLine, ...], str]:
        """Make one's own plan; return it and its digest. Refuses what this machine cannot accept."""
        accept(proposal, joiner=self.joiner, run=self.run, given=self.given, plugins=self.plugins)
        inputs, self.host.stretch = proposal.inputs, self.joiner.deadlines
        if self._execution is not None:
            self._take_roster(inputs)
        else:
            self.inputs = inputs
            self._secrets = {
                plugin: {name: SecretStr(value) for name, value in fields.items()}
                for plugin, fields in proposal.secrets.items()
            }
            for value in (value for fields in proposal.secrets.values() for value in fields.values()):
                self.known.add(value)
            self._plan = self._make_plan(inputs)
        if self._execution is None and self._plan is not None:
            self._lines = outlook_lines(self.host, self._plan, self._secrets, self.known, self.journal)
        return self._lines, self.digest

    @property
    def digest(self) -> str:
        """What a person confirms of this machine's plan."""
        if self._plan is None or self.inputs is None:
            raise ProtocolError("there is no plan yet")
        return plan_digest(self._plan, self.inputs)

    def admit(self, digest: str) -> None:
        """Accept the digest that a person confirmed; the journal begins, if it has not."""
        if digest != self.digest or self.inputs is None or self._plan is None:
            raise ProtocolError("the plan that was confirmed is not the plan of this machine")
        if self.journal is None:
            peer = list(astuple(self.peer))
            self.journal = begin_journal(
                self.state, self.known, self._plan, self.inputs,
                role=Role.JOINER, command=self.command, peer=peer,
            )  # fmt: skip
        elif self._execution is None and self.inputs != rosters.present(self.journal):
            rosters.change(self.journal, self.inputs, self._make_plan)

    def go(self, go: Go) -> None:
        """Begin a stage, or say again what came of it and which tokens are missing."""
        if self.journal is None or self._plan is None:
            raise ProtocolError("the initiator wants to begin before the plan was confirmed")
        self._roster = size(go.inputs)
        if go.inputs is not None and None not in self._results.values():
            self._take_roster(go.inputs)
        if isinstance(self._results.get(go.stage), Failed):
            # Nobody heard of it, or there were a farewell: the initiator was away, perhaps the reason.
            del self._results[go.stage]
            self.failure = self._execution = None
        if go.stage in self._results:
            self._say_again(go.stage)
            return
        if go.stage == "adapt":
            self._refuse_unless_done("enter")
        execution = self._begin()
        execution.around.facts.update(read_facts(go.facts, self.plugins.manifests))
        self._results[go.stage] = None
        self._thread = threading.Thread(
            target=self._work, args=(execution, go.stage), name=go.stage, daemon=True
        )
        self._thread.start()

    def token(self, plugin: str, value: str) -> None:
        """Take a join token; one that nobody asked for is refused, one that came twice is let pass."""
        if plugin not in self._asked or self._execution is None:
            raise ProtocolError(f"a token for {plugin[:40]} came that nobody asked for")
        self.known.add(value)
        # What was said with the question is no longer true as soon as there is an answer: a new
        # initiator process that heard it again would take a joining machine for one that is out.
        if self._asking.pop(plugin, None) is None:
            return
        offer = JoinToken(value=SecretStr(value))
        self._execution.open(gate_key("join", plugin, self.name, self.name, TOKEN), [offer])

    def close(self, cloud: Mapping[str, Any]) -> None:
        """Keep the cloud's record: the run is complete."""
        if cloud.get("id") != self.run:
            raise ProtocolError("the initiator said goodbye with the record of another cloud")
        self._refuse_unless_done("enter", "adapt")
        self.cloud = cloud
        self._begin().run("close")
        if self.journal is not None and not self.journal.finished:
            self.journal.write("finished")

    def take_back(self) -> None:
        """Take back what the run did here, as it is taken back on the initiator; see `Work`."""
        self.stop()
        self.failure = None  # whatever was stopped
        if self.journal is not None:
            refuse_complete(self.journal)
            take_back(self.plugins, self.host, self.state, self.journal, watch=self._happened).refuse_left()

    def stop(self) -> None:
        """End waits, start nothing new, and let the steps in hand come to their end."""
        if self._execution is not None:
            self._execution.stop()
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(GLANCE)  # each of the steps in hand has an end

    # ---- what this machine does -----------------------------------------------------------------------

    def _refuse_unless_done(self, *stages: Part) -> None:
        if self._plan is None or self.journal is None:
            raise ProtocolError("there is nothing to run yet")
        to_do = [
            key
            for key, (lane, step) in self._plan.steps.items()
            if lane.stage in stages and isinstance(step, Step) and not self.journal.settled(key)
        ]
        if to_do or None in self._results.values():
            raise ProtocolError(f"the initiator goes on before this machine is done with {stages[-1]}")

    def _make_plan(self, inputs: Inputs) -> Plan:
        return joiner_plan(
            self.plugins, inputs, self.name, record_step(self.state, inputs, lambda: self.cloud)
        )

    def _around(self, plan: Plan, journal: Journal) -> Surroundings:
        return Surroundings(host=self.host, plan=plan, journal=journal, secrets=self._secrets)

    def _take_roster(self, inputs: Inputs) -> None:
        """Go on with another roster; its plan may destroy nothing that was not confirmed."""
        if self._plan is None or self.inputs is None or self.journal is None or inputs == self.inputs:
            return
        if inputs.node(self.name) is None:
            raise ProtocolError("the initiator's new roster is without this machine")
        plan = rosters.change(self.journal, inputs, self._make_plan)
        self.inputs, self._plan, self._execution = inputs, plan, None
        self._results.clear()  # they are about another roster, in which there was something else to do here

    def _begin(self) -> Execution:
        if self._execution is None:
            if self._plan is None or self.journal is None:
                raise ProtocolError("there is nothing to run yet")
            self._execution = Execution(
                self._around(self._plan, self.journal), reached=self._reached, watch=self._happened
            )
        return self._execution

    def _reached(self, lane: Lane, _gate: Gate) -> None:
        """Ask for a token: this lane can go no further without it."""
        request = self.journal.kept(lane.key, "applied")[1] if self.journal else None
        self._asked.add(lane.plugin)
        self._asking[lane.plugin] = Ready(plugin=lane.plugin, request=request or "")
        self.joiner.report(self._asking[lane.plugin])

    def _happened(self, happening: Happening) -> None:
        self.watch(happening)
        self.joiner.report(Progress(happening=happening))

    def _work(self, execution: Execution, stage: Part) -> None:
        try:
            execution.run(stage)
        except RunFailed as failure:
            self.failure = failure
            lines = tuple(self.known.mask(printable(line)) for line in failure.lines()[:200])
            self._results[stage] = Failed(stage=stage, lines=lines)
        else:
            facts = own_facts(execution.plan, execution.around.board, self.plugins.manifests)
            self._results[stage] = Joined(stage=stage, facts=facts)
        self._say_again(stage)

    def _say_again(self, stage: Part) -> None:
        result = self._results[stage]
        if isinstance(result, Joined):
            result = result.model_copy(update={"roster": self._roster})
        if result is not None:
            self.joiner.report(result)
            return
        for ready in tuple(self._asking.values()):
            self.joiner.report(ready)
