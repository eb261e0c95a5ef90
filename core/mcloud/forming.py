"""Forming a cloud on the initiator: gather, propose, confirm, found, enter, configure, adapt, close."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from mcloud import rosters
from mcloud.cloud import founder_plan
from mcloud.completing import Complete, as_ordered
from mcloud.context import Surroundings
from mcloud.errors import McloudError
from mcloud.gathering import all_planned, checked, gathered, proposal
from mcloud.header import begin_journal
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
from mcloud.recalling import LAST_WORDS, awaited, bring_after, untold
from mcloud.record import by_plugin, cloud_of, record_step
from mcloud.rehearsal import losses, outlook_lines
from mcloud.run import Execution
from mcloud.secrets import Secrets
from mcloud.selecting import Select
from mcloud.session.certificates import Credentials
from mcloud.session.initiator import Initiator
from mcloud.session.protocol import Go, Mood, OutlookLine
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
    select: Select
    """Says which of those who come are taken."""
    complete: Complete = as_ordered
    """Completes the order once it is known who takes part."""
    journal: Journal | None = None
    """The unfinished run to go on with."""
    listen: str = ""
    """Address to listen on, the machine's own if empty."""
    _hosting: Hosting = field(init=False)
    _meeting: Meeting = field(init=False)
    checks: tuple[Check, ...] = ()
    """What the checks found; empty for a run that goes on."""
    _cloud: Mapping[str, Any] = field(default_factory=dict)
    _patience: float = field(init=False)  # seconds for those that are away when all is done

    def __post_init__(self) -> None:
        self._patience = min(self.order.patience, LAST_WORDS)
        told = (self.watch, self.operator.notice, self.operator.machine)
        self._hosting = Hosting(self.plugins, self.state, self.known, *told)
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
        roster = rosters.going_on(self.journal) if self.journal else None
        pins = dict(self.state.pins(roster.run)) if roster else {}
        initiator = self._meeting.initiator
        with self._meeting.session(pins, roster):
            try:
                if roster is None or not self._recalled(initiator, roster):
                    inputs = roster or self._gathered(initiator)
                    self._hosting.expect(inputs)
                    plan = self._plan(inputs)
                    if not self._confirmed(initiator, inputs, plan):
                        return {}
                    self._admit(initiator, inputs, plan)
                    self._run(initiator, inputs)
                self._reunite(initiator)
            except BaseException as error:
                mood: Mood = "failed" if isinstance(error, Exception) else "aborted"
                initiator.part(mood, self.known.mask(str(error)) or type(error).__name__)
                raise
            self._finish(initiator)
        return self._cloud

    def stop(self, reason: str) -> None:
        """Begin to end, from any thread: waits end, nothing new starts, joiners are told why."""
        self._meeting.stop(reason)

    @property
    def fallen(self) -> Mapping[str, str]:
        """Joiners that fell out of the run, and why."""
        return dict(self._hosting.failed)

    def _recalled(self, initiator: Initiator, inputs: Inputs) -> bool:
        """Whether all was done here already, but not all have heard it: then only they have work to do."""
        if self.journal is None or (cloud := untold(self.journal, self.state, self.node.name)) is None:
            return False
        self._cloud = cloud
        self._connect(initiator, inputs, self._planned(inputs), self.journal)
        initiator.proposal = proposal(self.order, inputs)
        self._patience = bring_after(self._hosting, inputs, cloud, self._patience, stretch=self.host.stretch)
        return True

    def _finish(self, initiator: Initiator) -> None:
        """Say that the cloud is formed; close the run, unless somebody did not hear it."""
        assert self.journal is not None  # noqa: S101 - a run that comes to its end has one
        initiator.part("done", cloud=self._cloud, awaited=awaited(self.journal), patience=self._patience)
        if deaf := sorted(awaited(self.journal)):
            who = ", ".join(deaf)
            self.operator.notice(f"{who} did not hear the end: type the same command again here and there")
        elif not self.journal.finished:
            self.journal.write("finished")

    # ---- planning -------------------------------------------------------------------------------------

    def _gathered(self, initiator: Initiator) -> Inputs:
        initiator.choose(() if self.order.alone else self.select(self._meeting))

        def gather(order: Order) -> Inputs:
            inputs = gathered(order, self.node, initiator.lobby.taken(), self.plugins)
            self.checks = checked(self.plugins, inputs)
            return inputs

        self.order = self.complete(self.order, gather)
        self._meeting.wait_for_chosen()
        return gather(self.order)

    def _plan(self, inputs: Inputs) -> Plan:
        if self.journal is not None:
            rosters.refuse_other_plan(self.journal, self._planned)
        return self._planned(inputs)

    def _planned(self, inputs: Inputs) -> Plan:
        return founder_plan(self.plugins, inputs, record_step(self.state, inputs, lambda: self._cloud))

    def _confirmed(self, initiator: Initiator, inputs: Inputs, plan: Plan) -> bool:
        """Collect everybody's plan, show them, and return whether to go on."""
        initiator.proposal = proposal(self.order, inputs)
        initiator.enter("propose")
        self._meeting.wait(lambda: all_planned(initiator.lobby, inputs), "every machine's plan")
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
        if self.journal is None and not self.operator.confirm(losses(plans)):
            raise McloudError("the plan was not confirmed; nothing was changed")
        # Who left while it was read is missed before anything is changed.
        all_planned(initiator.lobby, inputs)
        return True

    # ---- running --------------------------------------------------------------------------------------

    @property
    def _secrets(self) -> Mapping[str, Mapping[str, SecretStr | None]]:
        return {plugin: dict(fields) for plugin, fields in self.order.secrets.items()}

    def _admit(self, initiator: Initiator, inputs: Inputs, plan: Plan) -> None:
        """Write down the pins and the run, then tell the joiners that their plan was confirmed."""
        if self.journal is None:
            self.journal = begin_journal(
                self.state, self.known, plan, inputs,
                role=Role.INITIATOR, command=inputs.command, port=self._meeting.port,
            )  # fmt: skip
        elif inputs != rosters.present(self.journal):
            rosters.change(self.journal, inputs, self._planned)
        self._meeting.remember(inputs)
        self._connect(initiator, inputs, plan, self.journal)
        initiator.enter("admit")

    def _connect(self, initiator: Initiator, inputs: Inputs, plan: Plan, journal: Journal) -> None:
        around = Surroundings(host=self.host, plan=plan, journal=journal, secrets=self._secrets)
        execution = Execution(around, issued=self._hosting.issued, watch=self.watch)
        self._hosting.begin(initiator, execution, inputs)

    def _run(self, initiator: Initiator, inputs: Inputs) -> None:
        with self._meeting.minding():
            self._stage("found")
            inputs = self._entered(initiator, inputs)
            self._meeting.close_to_strangers()
            self._hosting.learn(inputs)
            self._stage("configure")
            facts = by_plugin(self._hosting.facts(inputs))
            initiator.news = Go(stage="adapt", inputs=inputs, facts=facts)
            initiator.enter("adapt")
            self._stage("adapt")
            certificates = self._meeting.certificates()
            self._cloud = cloud_of(inputs, certificates, self._hosting.facts(inputs)).model_dump(mode="json")
            self._stage("close")
            self._cloud = self.state.read_cloud() or self._cloud

    def _entered(self, initiator: Initiator, inputs: Inputs) -> Inputs:
        """Let all enter; where some fall out the others enter again, for the roles they left open."""
        while True:
            initiator.enter("enter")
            self._stage("enter")
            failed = [node.name for node in inputs.joiners if node.name in self._hosting.failed]
            if not failed or self.journal is None:
                return inputs
            inputs = self._regrouped(initiator, inputs.without(failed), self.journal)

    def _stage(self, stage: Stage) -> None:
        if self._hosting.execution is not None:
            self._hosting.execution.run(stage)

    def _regrouped(self, initiator: Initiator, inputs: Inputs, journal: Journal) -> Inputs:
        """Have all enter once more, with another roster; its plan destroys nothing that nobody confirmed."""
        new = rosters.change(journal, inputs, self._planned)
        self._connect(initiator, inputs, new, journal)
        initiator.news, initiator.start = None, Go(stage="enter", inputs=inputs)
        initiator.lobby.enter_again()
        initiator.proposal = proposal(self.order, inputs)
        return inputs

    def _reunite(self, initiator: Initiator) -> None:
        """Let those in who fell out before this session, and waited in it until the others were done."""
        here = {guest.fingerprint for guest in initiator.lobby.here()}
        if self.journal is not None and (inputs := rosters.reunited(self.journal, here)) is not None:
            back = ", ".join(rosters.lacking(self.journal))
            self.operator.notice(f"{back} fell out before, and is back: the run goes on with all")
            self._run(initiator, self._regrouped(initiator, inputs, self.journal))
