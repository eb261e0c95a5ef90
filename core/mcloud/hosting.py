"""What the initiator does with what its joiners say: gates of its own run open and close by it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from mcloud.attendance import brings
from mcloud.cloud import ADAPTED, JOINED, READY, gate_key, joiner_plan, plan_digest
from mcloud.errors import McloudError, ProtocolError
from mcloud.gathering import refuse_other_steps
from mcloud.handing import Handing
from mcloud.hearsay import Hearsay
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.offers import JoinToken, Offer
from mcloud.plan import Lane
from mcloud.plugins import Plugins
from mcloud.record import Facts, by_plugin, own_facts, read_facts, record_step, unknown_yet
from mcloud.rosters import members_of
from mcloud.run import Execution
from mcloud.secrets import Secrets
from mcloud.session.initiator import Initiator
from mcloud.session.lobby import Guest
from mcloud.session.protocol import Failed, Joined, Outlook
from mcloud.session.talk import NOTICES, REPORTS, Talk
from mcloud.state import State
from mcloud.watch import Happening, Watch


@dataclass
class Hosting:
    """The initiator's `Listener`: between its session and its run."""

    plugins: Plugins
    state: State
    known: Secrets
    watch: Watch
    notice: Callable[[str], None]
    machine: Callable[[str, str], None] = lambda _name, _state: None
    """Is told where a joiner is, by name, with each notice of it."""
    inputs: Inputs | None = None
    execution: Execution | None = None
    journal: Journal | None = None
    initiator: Initiator | None = None
    failed: dict[str, str] = field(default_factory=dict)
    """Joiners that are out of this run, and why."""
    _notices: Talk = field(init=False)
    _reports: Talk = field(init=False)
    longest: dict[str, float] = field(default_factory=dict)
    """By joiner: how many seconds the longest of its steps may take."""
    hearsay: Hearsay = field(init=False)
    _rosters: tuple[Inputs, ...] = ()
    _handing: Handing = field(init=False)
    _last_with_token: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """By joiner and plugin: the last step that needs the token."""

    def __post_init__(self) -> None:
        self._notices, self._reports = Talk(NOTICES, self.notice), Talk(REPORTS, self.notice)
        self._handing = self._new_handing()
        self.hearsay = Hearsay(self.notice)

    def begin(self, initiator: Initiator, execution: Execution, inputs: Inputs) -> None:
        """Connect a session to a run."""
        self.initiator, self.execution = initiator, execution
        self.journal = execution.around.journal
        self.expect(inputs)
        self._handing = self._new_handing()
        # Who fails just when a smaller roster takes over must not be waited for by either run.
        for name, reason in tuple(self.failed.items()):
            self._close_gates(name, reason)

    def expect(self, inputs: Inputs) -> None:
        """Take plans made from these inputs from now on; those of the larger roster are in order, too."""
        self.inputs = inputs
        self._rosters = (*self._rosters, inputs)

    # ---- the session's Listener -----------------------------------------------------------------------

    def noticed(self, guest: Guest, what: str) -> None:
        """Show in one line that a joiner came, left or was refused."""
        if self._notices.allows(guest.fingerprint, guest.name):
            self.notice(f"{guest.name} ({guest.address or '?'}) {what}")
        self.machine(guest.name, guest.standing)

    def came(self, guest: Guest) -> None:
        """Show that a joiner is here and what it brings, or why it was refused."""
        what = f"was refused: {guest.reason}"
        if guest.standing == "here":
            what = "is here" + (f": {brings(guest.introduction.node)}" if guest.introduction else "")
        self.noticed(guest, what)

    def outlook(self, guest: Guest, outlook: Outlook) -> None:
        """Compare a joiner's plan with the one this machine makes for it."""
        for inputs in (one for one in self._rosters if one.node(guest.name) is not None):
            step = record_step(self.state, inputs, unknown_yet)
            plan = joiner_plan(self.plugins, inputs, guest.name, step)
            if outlook.digest == plan_digest(plan, inputs):
                refuse_other_steps(guest, outlook, plan)
                self.longest[guest.name] = plan.longest
                self._last_with_token[guest.name] = plan.last_needing(JoinToken)
                break
        else:
            raise ProtocolError(
                f"{guest.name} makes another plan than this machine makes for it",
                hint="the same versions of mcloud and of all plugins must be on all machines",
            )

    def ready(self, guest: Guest, plugin: str, request: bytes) -> None:
        """Have a token made when the machine is next; it is handed over when it is its turn."""
        execution, key = self._running(), self._ready_key(plugin, guest.name)
        if key not in execution.plan.steps:
            raise ProtocolError(f"{guest.name} asks for a token of {plugin[:40]}, which gives none")
        execution.around.requests[key.rpartition("/")[0]] = request
        self._handing.ask(plugin, guest.name)

    def progress(self, guest: Guest, happening: Happening) -> None:
        """Show what happened on a joiner; its turn ends with the step that needed the token."""
        if happening.machine != guest.name:
            return
        if self.hearsay.heeds(happening) and self._reports.allows(guest.fingerprint, guest.name):
            self.watch(happening)
        last = self._last_with_token.get(guest.name, {}).get(happening.plugin)
        if (happening.hook, happening.step, happening.what) == ("join", last, "done"):
            self._handing.end(guest.name, happening.plugin)

    def settled(self, guest: Guest, message: Joined | Failed) -> None:
        """Open the gate that waits for a joiner, or cut the joiner off."""
        if isinstance(message, Failed):
            self.cut_off(guest, guest.reason)
            return
        # Here, where it ends this joiner's part: later it would end the run, and with it everybody's.
        read_facts(by_plugin({guest.name: message.facts}), self.plugins.manifests)
        self._refuse_unknown(guest.name, message)
        self._let_go(guest.name)
        hook, gate = ("admit", JOINED) if message.stage == "enter" else ("follow", ADAPTED)
        self._running().open(gate_key(hook, "core", self._me, guest.name, gate))

    def _refuse_unknown(self, name: str, message: Joined) -> None:
        """Refuse who comes back and says that it is in, where a service here gave it nothing anew.

        What it was given before may have been revoked when it fell out: it is not in, whatever it sees.
        """
        if self.inputs is None or message.stage != "enter" or not self.inputs.returns(name):
            return
        around, wants = self._running().around, self._last_with_token.get(name, {})
        for key, (lane, step) in around.plan.steps.items():
            asked = lane.hook == "issue_token" and lane.about == name and lane.plugin in wants
            if asked and JoinToken in step.offers and not around.journal.done_since(key, self.inputs.back):
                raise ProtocolError(
                    f"{name} came back and says that it is in, but asked for no new token of {lane.plugin}",
                    hint="the same versions of mcloud and of all plugins must be on all machines",
                )

    def parted(self, guest: Guest) -> None:
        """Write down that a joiner heard the end: it is not waited for again."""
        if self.journal is not None and guest.name not in self.journal.parted:
            self.journal.write("parted", machine=guest.name)

    # ---- the run's side -------------------------------------------------------------------------------

    def issued(self, lane: Lane, offers: Sequence[Offer]) -> None:
        """Keep a token until it is its joiner's turn, then send it."""
        for offer in offers:
            if isinstance(offer, JoinToken):
                self.known.add(offer.value)
                self._handing.made(lane.plugin, lane.about, offer.value)

    def _new_handing(self) -> Handing:
        limits = {name: manifest.joins_at_once for name, manifest in self.plugins.manifests.items()}
        return Handing(limits, make=self._have_made, give=self._give)

    def _have_made(self, plugin: str, name: str) -> None:
        self._running().open(self._ready_key(plugin, name))

    def _give(self, plugin: str, name: str, token: SecretStr) -> None:
        guest = self.initiator.lobby.named(name) if self.initiator else None
        if guest is not None and self.initiator is not None:
            self.initiator.admit(guest, plugin, token.get_secret_value())

    def cut_off(self, guest: Guest, reason: str) -> None:
        """Go on without a joiner, or fail with it where the operator wants all or nothing.

        It is known by its certificate, and is in the roster by the name it was taken with.
        """
        nodes = self.inputs.joiners if self.inputs is not None else ()
        name = next((node.name for node in nodes if node.fingerprint == guest.fingerprint), None)
        if name is None or name in self.failed:
            return
        self.failed[name] = reason
        self.notice(f"{name} is out: {reason}")
        self.machine(name, "failed")
        if self.execution is not None:
            self._close_gates(name, reason)

    def _close_gates(self, name: str, reason: str) -> None:
        self._let_go(name)
        for hook, gate in (("admit", JOINED), ("follow", ADAPTED)):
            key = gate_key(hook, "core", self._me, name, gate)
            if self._all_stop_for(name):
                self._running().fail(key, McloudError(f"{name} failed: {reason}"))
            else:
                self._running().drop(key)

    def _all_stop_for(self, name: str) -> bool:
        """Whether nothing can go on without a machine: nobody wanted that, or it is in the cloud already."""
        member = self.inputs is not None and name in members_of(self.inputs)
        return member or self._running().around.journal.inputs["others"] == "stop"

    def _let_go(self, name: str) -> None:
        """Close what only waited for this joiner, and give its turns to the next."""
        execution = self._running()
        for plugin in self.plugins.services:
            key = self._ready_key(plugin, name)
            if key in execution.plan.steps:
                execution.drop(key)
        self._handing.forget(name)

    def _ready_key(self, plugin: str, name: str) -> str:
        return gate_key("issue_token", plugin, self._me, name, READY)

    @property
    def _me(self) -> str:
        return self._running().plan.machine

    def _running(self) -> Execution:
        if self.execution is None:
            raise ProtocolError("nothing is being run yet")
        return self.execution

    def learn(self, inputs: Inputs) -> None:
        """Let this machine's steps read what all machines told."""
        self._running().around.facts.update(read_facts(by_plugin(self.facts(inputs)), self.plugins.manifests))

    def facts(self, inputs: Inputs) -> dict[str, Facts]:
        """Return what the machines of a roster told of themselves, this one too, by machine."""
        execution, manifests = self._running(), self.plugins.manifests
        guests = self.initiator.lobby.distinct() if self.initiator else ()
        names = {node.name for node in inputs.nodes} - self.failed.keys()
        # What nobody here could read is not passed on to all, and not kept in the cloud's record.
        told = {
            guest.name: {plugin: facts for plugin, facts in guest.facts.items() if plugin in manifests}
            for guest in guests
            if guest.name in names
        }
        return {**told, self._me: own_facts(execution.plan, execution.around.board, manifests)}
