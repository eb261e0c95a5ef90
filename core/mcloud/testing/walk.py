"""All stages of some plugins on some machines, wired without a session: quick, and all in one place."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from mcloud.cloud import ADAPTED, JOINED, READY, TOKEN, gate_key, plan_for
from mcloud.context import Surroundings
from mcloud.errors import RunFailed
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.model import Node
from mcloud.offers import JoinToken, Offer
from mcloud.plan import Gate, Lane, Plan, Stage
from mcloud.plugins import Plugins
from mcloud.record import by_plugin, own_facts, read_facts
from mcloud.rosters import change, whole
from mcloud.run import Execution
from mcloud.secrets import Secrets
from mcloud.steps import Step
from mcloud.testing.host import FakeHost
from mcloud.undo import Undone, undo


class GivenToken(SecretStr):
    """A join token that notes whether anybody looked at its value."""

    looked_at: bool = False

    def get_secret_value(self) -> str:
        """Return the value, and note that."""
        self.looked_at = True
        return super().get_secret_value()


_RECORD = Step(name="record", run=lambda _ctx: None, probe=lambda _ctx: ())


@dataclass(kw_only=True)
class Walk:
    """One run over machines that need no session: tokens, requests and facts are handed over directly."""

    plugins: Plugins
    inputs: Inputs
    hosts: Mapping[str, FakeHost]
    folder: Path
    """Where the journals are; a walk with the same folder goes on where the last one ended."""
    secrets: Mapping[str, Mapping[str, SecretStr | None]] = field(default_factory=dict)
    """Secret settings by plugin and field."""
    known: Secrets = field(default_factory=Secrets)
    executions: dict[str, Execution] = field(default_factory=dict)
    tokens: dict[tuple[str, str], GivenToken] = field(default_factory=dict)
    """The last token that was made, by plugin and machine."""

    def plan(self, machine: str) -> Plan:
        """Return one machine's plan."""
        return plan_for(self.plugins, self.inputs, machine, _RECORD)

    def journal(self, machine: str) -> Journal:
        """Return one machine's journal; begin it if there is none."""
        path = self.folder / f"{machine}.jsonl"
        if path.exists():
            return Journal.open(path, self.known)
        header = {**self.inputs.model_dump(mode="json"), "machine": machine}
        return Journal.create(path, header, self.known)

    def run(self) -> None:
        """Run all stages on all machines. Raises the RunFailed of the first machine that failed."""
        self.executions = {node.name: self._execution(node) for node in self.inputs.nodes}
        founder = self.inputs.founder.name
        self._stage("found", founder)
        self._together("enter", JOINED, "admit")
        facts = read_facts(self._facts(), self.plugins.manifests)
        for execution in self.executions.values():
            execution.around.facts.update(facts)
        self._stage("configure", founder)
        self._together("adapt", ADAPTED, "follow")

    def without(self, *names: str) -> "Walk":
        """Return the run as it goes on when these machines have fallen out of it."""
        return self._with(self.inputs.without(names))

    def with_all_back(self) -> "Walk":
        """Return the run as it goes on, after its end, with all back that fell out of it."""
        return self._with(whole(self.journal(self.inputs.founder.name)))

    def undo(self) -> dict[str, Undone]:
        """Take everything back, the founder last; return what came of it by machine."""
        return {node.name: undo(self.surroundings(node.name)) for node in reversed(tuple(self.inputs.nodes))}

    def surroundings(self, machine: str) -> Surroundings:
        """Return what one machine's steps share in a run of this process."""
        self.hosts[machine].secrets = self.known
        return Surroundings(
            host=self.hosts[machine],
            plan=self.plan(machine),
            journal=self.journal(machine),
            secrets=self.secrets,
        )

    def _with(self, inputs: Inputs) -> "Walk":
        for node in inputs.nodes:
            change(self.journal(node.name), inputs, partial(self._plan_of, node.name))
        return replace(self, inputs=inputs, executions={}, tokens={})

    def _plan_of(self, machine: str, inputs: Inputs) -> Plan:
        return plan_for(self.plugins, inputs, machine, _RECORD)

    def _execution(self, node: Node) -> Execution:
        return Execution(
            self.surroundings(node.name),
            reached=None if node.founder else partial(self._ask, node.name),
            issued=self._issued if node.founder else None,
        )

    def _stage(self, stage: Stage, machine: str) -> None:
        self.executions[machine].run(stage)

    def _together(self, stage: Stage, gate: str, hook: str) -> None:
        founder = self.inputs.founder.name
        with ThreadPoolExecutor(len(self.inputs.nodes)) as pool:
            running = [pool.submit(self._lead, stage, founder)]
            running += [
                pool.submit(self._joiner, stage, node.name, gate_key(hook, "core", founder, node.name, gate))
                for node in self.inputs.joiners
            ]
        failed = [error for one in running if (error := one.exception()) is not None]
        for error in failed:
            raise error

    def _lead(self, stage: Stage, machine: str) -> None:
        try:
            self._stage(stage, machine)
        except RunFailed:
            for node in self.inputs.joiners:
                self.executions[node.name].stop()  # nobody will give them a token
            raise

    def _joiner(self, stage: Stage, machine: str, gate: str) -> None:
        leading = self.executions[self.inputs.founder.name]
        try:
            self._stage(stage, machine)
            leading.open(gate)
        except RunFailed:
            leading.drop(gate)
            raise
        finally:
            for plugin in self.inputs.services:
                leading.drop(self._ready(plugin, machine))

    def _ask(self, machine: str, lane: Lane, _gate: Gate) -> None:
        leading, key = self.executions[self.inputs.founder.name], self._ready(lane.plugin, machine)
        request = self.executions[machine].around.journal.kept(lane.key, "applied")[1]
        leading.around.requests[key.rpartition("/")[0]] = bytes.fromhex(request or "")
        leading.open(key)

    def _issued(self, lane: Lane, offers: Sequence[Offer]) -> None:
        for offer in offers:
            for value in offer.__dict__.values():
                self.known.add(value if isinstance(value, SecretStr) else None)
        offers = [self._watched(lane, offer) for offer in offers]
        key = gate_key("join", lane.plugin, lane.about, lane.about, TOKEN)
        self.executions[lane.about].open(key, offers)

    def _watched(self, lane: Lane, offer: Offer) -> Offer:
        if not isinstance(offer, JoinToken):
            return offer
        token = GivenToken(offer.value.get_secret_value())
        self.tokens[lane.plugin, lane.about] = token
        return JoinToken.model_construct(value=token)

    def _ready(self, plugin: str, machine: str) -> str:
        return gate_key("issue_token", plugin, self.inputs.founder.name, machine, READY)

    def _facts(self) -> Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]:
        return by_plugin(
            {
                name: own_facts(execution.plan, execution.around.board, self.plugins.manifests)
                for name, execution in self.executions.items()
            }
        )
