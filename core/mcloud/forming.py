"""Forming a cloud on the initiator: gather, propose, confirm, found, enter, configure, adapt, close."""

import secrets as random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from mcloud.cloud import founder_plan, plan_digest
from mcloud.context import Surroundings
from mcloud.errors import McloudError, SettingsError
from mcloud.host import Host
from mcloud.hosting import Hosting
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.meeting import Meeting
from mcloud.model import Check, Node, Role
from mcloud.operator import Operator
from mcloud.order import Order
from mcloud.plan import Plan, Stage
from mcloud.plugins import Plugins
from mcloud.record import Facts, by_plugin, cloud_of, own_facts, read_facts, record_step
from mcloud.rehearsal import outlook_lines
from mcloud.run import Execution
from mcloud.secrets import Secrets
from mcloud.session.certificates import Credentials
from mcloud.session.initiator import Initiator
from mcloud.session.lobby import Guest
from mcloud.session.protocol import Go, Mood, OutlookLine, Proposal
from mcloud.state import State
from mcloud.watch import Watch


@dataclass
class Forming:
    """One run on the initiator."""

    plugins: Plugins
    host: Host
    state: State
    known: Secrets
    credentials: Credentials
    node: Node
    order: Order
    operator: Operator
    watch: Watch
    ready: Callable[[Initiator], bool]
    """Whether those who are here are all: asked after each change in the lobby."""
    journal: Journal | None = None
    """The unfinished run to go on with."""
    listen: str = ""
    """Address to listen on, the machine's own if empty."""
    _hosting: Hosting = field(init=False)
    _meeting: Meeting = field(init=False)
    checks: tuple[Check, ...] = ()
    """What the checks found; empty for a run that goes on."""
    _cloud: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._hosting = Hosting(self.plugins, self.state, self.known, self.watch, self.operator.notice)
        self._meeting = Meeting(
            plugins=self.plugins,
            state=self.state,
            known=self.known,
            credentials=self.credentials,
            node=self.node,
            order=self.order,
            operator=self.operator,
            hosting=self._hosting,
            listen=self.listen,
        )

    def form(self) -> Mapping[str, Any]:
        """Form the cloud, or show the plan if that is all that was ordered; return the record, if any.

        Raises McloudError; whatever happens, every joiner that can be reached is told why.
        """
        roster = Inputs.model_validate(self.journal.inputs) if self.journal else None
        pins = dict(self.state.pins(roster.run)) if roster else {}
        initiator = self._meeting.initiator
        with self._meeting.session(pins, roster):
            try:
                inputs = self._inputs(initiator)
                plan = self._plan(inputs)
                if not self._confirmed(initiator, inputs, plan):
                    return {}
                self._admit(initiator, inputs, plan)
                self._run(initiator, inputs, plan)
            except BaseException as error:
                mood: Mood = "failed" if isinstance(error, Exception) else "aborted"
                initiator.part(mood, self.known.mask(str(error)) or type(error).__name__)
                raise
            self._finish(initiator.part("done", cloud=self._cloud))
        return self._cloud

    # ---- planning -------------------------------------------------------------------------------------

    def _finish(self, silent: Sequence[Guest]) -> None:
        """Close the run, unless somebody did not hear the end: the same commands again tell them."""
        if silent:
            names = ", ".join(guest.name for guest in silent)
            self.operator.notice(f"{names} did not hear the end: type the same command again here and there")
        elif self.journal is not None and not self.journal.finished:
            self.journal.write("finished")

    def _inputs(self, initiator: Initiator) -> Inputs:
        """Return what to plan from: the unfinished run's, or made of those who came."""
        if self.journal is not None:
            inputs = Inputs.model_validate(self.journal.inputs)
        else:
            self._meeting.wait(lambda: self.ready(initiator), "the machines that are expected")
            inputs = self._new_inputs(initiator)
            self.checks = self._preflight(inputs)
        self._hosting.inputs = inputs
        return inputs

    def _new_inputs(self, initiator: Initiator) -> Inputs:
        came = {guest.name: guest for guest in initiator.lobby.here()}
        names = [name for name in self.order.machines if name in came] or sorted(came)
        joiners = [said.node for name in names if (said := came[name].introduction) is not None]
        versions = {
            name: version for name, version in self.plugins.versions.items() if name in self.order.services
        }
        return Inputs(
            run=random.token_hex(8),
            command=self.order.command,
            cloud=self.order.cloud,
            nodes=(self.node, *joiners),
            services=self.order.services,
            settings=self.order.settings,
            node_settings=self.order.node_settings,
            versions=versions,
            digest=self.order.digest,
            on_failure=self.order.on_failure,
            others=self.order.others,
        )

    def _preflight(self, inputs: Inputs) -> tuple[Check, ...]:
        checks: list[Check] = []
        for plugin in inputs.services:
            asked = inputs.asked(plugin, self.plugins.manifests[plugin], inputs.founder)
            del asked["node"]
            checks += self.plugins.preflight(plugin, **asked)
        wrong = [check for check in checks if check.level == "error"]
        if wrong:
            raise SettingsError(
                "the checks found what must be put right first; nothing was changed",
                problems=[
                    f"{check.machine or inputs.cloud}: {check.message}"
                    + (f" ({check.hint})" if check.hint else "")
                    for check in wrong
                ],
            )
        return tuple(checks)

    def _plan(self, inputs: Inputs) -> Plan:
        plan = founder_plan(self.plugins, inputs, record_step(self.state, inputs.run, lambda: self._cloud))
        if self.journal is not None and not self.journal.has("cut"):
            confirmed = self.journal.header.get("confirmed")
            if confirmed != plan_digest(plan, inputs):
                raise SettingsError(
                    "the unfinished run cannot be planned again: mcloud or a plugin has changed since",
                    hint="install the version the run began with, or take the run back with `mcloud undo`",
                )
        return plan

    def _confirmed(self, initiator: Initiator, inputs: Inputs, plan: Plan) -> bool:
        """Collect everybody's plan, show them, and return whether to go on."""
        initiator.proposal = Proposal(
            purpose=self.order.purpose,
            inputs=inputs,
            given=self.order.given,
            secrets={
                plugin: {name: value.get_secret_value() for name, value in fields.items()}
                for plugin, fields in self.order.secrets.items()
            },
        )
        initiator.enter("propose")
        self._meeting.wait(lambda: not self._without_outlook(initiator, inputs), "every machine's plan")
        plans: dict[str, Sequence[OutlookLine]] = {
            plan.machine: outlook_lines(self.host, plan, self._secrets, self.known, self.journal)
        }
        for node in inputs.joiners:
            guest = initiator.lobby.named(node.name)
            plans[node.name] = guest.outlook.lines if guest and guest.outlook else ()
        self.operator.show_plans(plans, self.checks)
        if self.order.purpose == "plan":
            initiator.part("planned", "only the plan was asked for")
            return False
        destroys = [
            loss for lines in plans.values() for line in lines if line.to_do for loss in line.destroys
        ]
        if self.journal is None and not self.operator.confirm(destroys):
            raise McloudError("the plan was not confirmed; nothing was changed")
        return True

    def _without_outlook(self, initiator: Initiator, inputs: Inputs) -> list[str]:
        guests = {node.name: initiator.lobby.named(node.name) for node in inputs.joiners}
        return [name for name, guest in guests.items() if guest is None or guest.outlook is None]

    # ---- running --------------------------------------------------------------------------------------

    @property
    def _secrets(self) -> Mapping[str, Mapping[str, SecretStr | None]]:
        return {plugin: dict(fields) for plugin, fields in self.order.secrets.items()}

    def _admit(self, initiator: Initiator, inputs: Inputs, plan: Plan) -> None:
        """Write down the pins and the run, then tell the joiners that their plan was confirmed."""
        if self.journal is None:
            self.state.begin_run(
                command=inputs.command, role=Role.INITIATOR, digest=inputs.digest, run=inputs.run
            )
            header = {
                **inputs.model_dump(mode="json"),
                "machine": plan.machine,
                "confirmed": plan_digest(plan, inputs),
            }
            self.journal = Journal.create(self.state.journal_path(inputs.run), header, self.known)
        for guest in initiator.lobby.all():
            self.state.pin(inputs.run, guest.name, guest.fingerprint, guest.certificate)
        self._connect(initiator, inputs, plan, self.journal)
        initiator.enter("admit")

    def _connect(self, initiator: Initiator, inputs: Inputs, plan: Plan, journal: Journal) -> None:
        around = Surroundings(host=self.host, plan=plan, journal=journal, secrets=self._secrets)
        execution = Execution(around, issued=self._hosting.issued, watch=self.watch)
        self._hosting.begin(initiator, execution, inputs)

    def _run(self, initiator: Initiator, inputs: Inputs, plan: Plan) -> None:
        with self._meeting.minding():
            self._stage("found")
            initiator.enter("enter")
            self._stage("enter")
            inputs = self._cut(initiator, inputs, plan)
            self._learn(inputs)
            self._stage("configure")
            facts = by_plugin(self._facts(inputs))
            initiator.news = Go(stage="adapt", inputs=inputs, facts=facts)
            initiator.enter("adapt")
            self._stage("adapt")
            certificates = {guest.name: guest.certificate for guest in initiator.lobby.all()}
            certificates[self.node.name] = self.credentials.certificate
            self._cloud = cloud_of(inputs, certificates, self._facts(inputs)).model_dump(mode="json")
            self._stage("close")

    def _stage(self, stage: Stage) -> None:
        if self._hosting.execution is not None:
            self._hosting.execution.run(stage)

    def _facts(self, inputs: Inputs) -> dict[str, Facts]:
        execution = self._hosting.execution
        own = own_facts(execution.plan, execution.around.board, self.plugins.manifests) if execution else {}
        names = {node.name for node in inputs.nodes}
        return {
            **{name: told for name, told in self._hosting.facts().items() if name in names},
            self.node.name: own,
        }

    def _learn(self, inputs: Inputs) -> None:
        if self._hosting.execution is not None:
            facts = read_facts(by_plugin(self._facts(inputs)), self.plugins.manifests)
            self._hosting.execution.around.facts.update(facts)

    def _cut(self, initiator: Initiator, inputs: Inputs, plan: Plan) -> Inputs:
        """Go on with those who made it; the smaller plan may destroy nothing that was not confirmed."""
        failed = [node.name for node in inputs.joiners if node.name in self._hosting.failed]
        if not failed or self.journal is None:
            return inputs
        smaller = inputs.without(failed)
        new = founder_plan(self.plugins, smaller, record_step(self.state, inputs.run, lambda: self._cloud))
        if more := set(new.destroys()) - set(plan.destroys()):
            raise McloudError(
                f"the smaller roster would destroy what nobody confirmed: {'; '.join(sorted(more))}"
            )
        self.journal.write("cut", **smaller.model_dump(mode="json"))
        self._connect(initiator, smaller, new, self.journal)
        return smaller
