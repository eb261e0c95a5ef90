"""FakeCloud: whole clouds in one process, with the real halves, over TLS on loopback."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import SecretStr

from mcloud import hookimpl
from mcloud.attending import Attending, ended, resumed
from mcloud.cloud import plan_for
from mcloud.context import Surroundings
from mcloud.forming import Forming
from mcloud.here import Here
from mcloud.inputs import Inputs
from mcloud.joining import Joining
from mcloud.journal import Journal
from mcloud.model import API, Beacon, Manifest, Node, Survey
from mcloud.order import Order
from mcloud.plugins import Plugins
from mcloud.record import record_step, unknown_yet
from mcloud.secrets import Secrets
from mcloud.session import trust
from mcloud.session.joiner import Joiner
from mcloud.state import State
from mcloud.testing.host import FakeHost
from mcloud.testing.network import Relay
from mcloud.testing.power import Moment, MortalState, Power
from mcloud.testing.prompts import Scripted
from mcloud.undo import Undone, undo
from mcloud.watch import Happening

CODE = "acorn blimp crisp dove"


@dataclass
class Machine:
    """One machine of a FakeCloud: what survives when its process does not."""

    name: str
    address: str
    host: FakeHost
    state: State
    power: Power
    relay: Relay | None
    """Its wire to the initiator; the initiator has none."""
    person: Scripted = field(default_factory=Scripted)
    happenings: list[Happening] = field(default_factory=list)

    def journal(self) -> Journal:
        """Return the journal of its latest run."""
        entry = self.state.latest()
        assert entry is not None, f"{self.name} has no run"
        return Journal.open(self.state.journal_path(entry.id), Secrets())

    def lines(self) -> tuple[tuple[str, str], ...]:
        """Return the journal of its latest run as (event, key)."""
        return tuple((line["event"], line["key"]) for line in self.journal().lines())


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one try to form the cloud."""

    cloud: Mapping[str, Any]
    """The record as the initiator returned it; empty if it did not."""
    failures: Mapping[str, BaseException]
    """By machine; a machine whose power was cut is in `killed` instead."""
    killed: tuple[str, ...]

    def good(self) -> Self:
        """Return itself; AssertionError if anything went wrong on any machine."""
        if self.failures or self.killed:
            said = [f"{name}: {type(error).__name__}: {error}" for name, error in self.failures.items()]
            inside = [
                f"  {name}: {part!r}"
                for name, error in self.failures.items()
                for part in getattr(error, "exceptions", ())
            ]
            raise AssertionError("\n".join([*said, *inside, *(f"{name} was killed" for name in self.killed)]))
        return self


class FakeCloud(AbstractContextManager["FakeCloud"]):
    """So many machines, each with a FakeHost and a state folder of its own; n1 is the initiator.

    `form()` is the command typed on every machine; again after a failure or a power cut, it goes on.
    """

    def __init__(
        self,
        machines: int,
        *,
        folder: Path,
        plugins: Mapping[str, object] | Callable[[str], Mapping[str, object]],
        services: Sequence[str] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        node_settings: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
        secrets: Mapping[str, Mapping[str, SecretStr]] | None = None,
        host: Callable[[str], FakeHost] = lambda name: FakeHost(name=name),
        survey: Callable[[str], Survey] = lambda _name: Survey(),
        others: Literal["go-on", "stop"] = "go-on",
        patience: float = 10.0,
    ) -> None:
        """Make the machines; `plugins` by name, or by a function of the machine's name."""
        self._plugins = plugins if callable(plugins) else lambda _name: plugins
        self._services = services
        self._settings, self._node_settings = settings or {}, node_settings or {}
        self._secrets = secrets or {}
        self._survey = survey
        self.others: Literal["go-on", "stop"] = others
        self.patience = patience
        self.codes: dict[str, list[str]] = {}
        """Codes that the person at a joiner types, one after another; the right one if there is none left."""
        self.on_happening: Callable[[str, Happening], None] = lambda _machine, _what: None
        """Called for all that happens, with the name of the machine that saw it."""
        self.machines: dict[str, Machine] = {}
        for number in range(1, machines + 1):
            name = f"n{number}"
            relay = Relay() if number > 1 else None
            fake = host(name)
            power = Power(fake, (lambda name=name: self._lost(name)))
            self.machines[name] = Machine(
                name=name,
                address=f"10.0.0.{number}",
                host=fake,
                state=MortalState(folder / name, power),
                power=power,
                relay=relay,
            )

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def __exit__(self, *_what: object) -> None:
        for machine in self.machines.values():
            if machine.relay is not None:
                machine.relay.close()

    # ---- bad luck -------------------------------------------------------------------------------------

    def kill_at(self, machine: str, line: int, moment: Moment = "before") -> None:
        """Cut a machine's power at the line-th line it writes from now on, counted from 1."""
        power = self[machine].power
        power.line, power.moment, power.written = line, moment, 0

    def kill(self, machine: str) -> None:
        """Cut a machine's power now; the next `form` switches it on again."""
        self[machine].power.lose()

    def cut(self, one: str, other: str) -> None:
        """Cut the wire between the initiator and a joiner, until `mend`."""
        self._relay(one, other).cut()

    def mend(self, one: str, other: str) -> None:
        """Mend the wire between the initiator and a joiner."""
        self._relay(one, other).mend()

    def drop(self, one: str, other: str) -> None:
        """Break the connection between the initiator and a joiner, once."""
        self._relay(one, other).drop()

    # ---- commands -------------------------------------------------------------------------------------

    def form(self, *, seconds: float = 25.0, without: Sequence[str] = ()) -> Outcome:
        """Type the command on every machine (but `without`) and wait for all of them to end."""
        running = [machine for machine in self.machines.values() if machine.name not in without]
        for machine in running:
            machine.power.on or machine.power.restore()  # type: ignore[func-returns-value]
            if machine.relay is not None:
                machine.relay.target = None
                machine.relay.mend()
        results: dict[str, Mapping[str, Any]] = {}
        failures: dict[str, BaseException] = {}
        threads = {
            machine.name: threading.Thread(
                target=self._type, args=(machine, results, failures), name=machine.name, daemon=True
            )
            for machine in running
        }
        for thread in threads.values():
            thread.start()
        until = time.monotonic() + seconds
        for thread in threads.values():
            thread.join(max(0.0, until - time.monotonic()))
        if hanging := [name for name, thread in threads.items() if thread.is_alive()]:
            raise AssertionError(f"after {seconds:g} s still at work: {', '.join(hanging)}\n{self._story()}")
        killed = tuple(machine.name for machine in running if not machine.power.on)
        return Outcome(
            cloud=results.get("n1", {}),
            failures={name: error for name, error in failures.items() if name not in killed},
            killed=killed,
        )

    def undo(self, name: str) -> Undone:
        """Type `undo` on one machine: take its latest run back."""
        machine = self[name]
        if not machine.power.on:
            machine.power.restore()
        here = self._here(machine)
        entry = machine.state.latest()
        assert entry is not None, f"{name} has no run"
        journal = Journal.open(machine.state.journal_path(entry.id), here.known)
        inputs = Inputs.model_validate(journal.inputs)
        plan = plan_for(here.plugins, inputs, name, record_step(machine.state, inputs.run, unknown_yet))
        return undo(Surroundings(host=machine.host, plan=plan, journal=journal))

    # ---- the machines' own ----------------------------------------------------------------------------

    def _type(
        self, machine: Machine, results: dict[str, Mapping[str, Any]], failures: dict[str, BaseException]
    ) -> None:
        try:
            results[machine.name] = self._lead(machine) if machine.relay is None else self._follow(machine)
        except BaseException as error:  # noqa: BLE001 - whatever it was, the test shall see it
            failures[machine.name] = error

    def _lead(self, machine: Machine) -> Mapping[str, Any]:
        here = self._here(machine)
        credentials = here.credentials()
        entry = machine.state.unfinished(lambda path: ended(Journal.open(path, here.known)))
        journal = Journal.open(machine.state.journal_path(entry.id), here.known) if entry else None
        names = {name for name in self.machines if name != machine.name}
        forming = Forming(
            plugins=here.plugins,
            host=machine.host,
            state=machine.state,
            known=here.known,
            credentials=credentials,
            node=self._node(machine, here.plugins, credentials.fingerprint, founder=True),
            order=self._order(here.plugins),
            operator=machine.person,
            watch=self._watching(machine),
            ready=lambda initiator: names <= {guest.name for guest in initiator.lobby.here()},
            journal=journal,
            listen="127.0.0.1",
        )
        return forming.form()

    def _follow(self, machine: Machine) -> Mapping[str, Any]:
        here = self._here(machine)
        credentials = here.credentials()
        node = self._node(machine, here.plugins, credentials.fingerprint, founder=False)
        joiner = Joiner(here.plugins, credentials, node, ("words",), versions=here.plugins.versions)
        attending = Attending(
            joiner=joiner,
            notice=lambda text: self._noticed(machine, text),
            find=lambda: self._find(machine),
            ask_code=lambda _why: self._code(machine),
            patience=self.patience,
        )
        interrupted = resumed(machine.state, here.known)
        journal, peer = interrupted or (None, attending.meet())
        work = Joining(
            plugins=here.plugins,
            host=machine.host,
            state=machine.state,
            known=here.known,
            joiner=joiner,
            peer=peer,
            watch=self._watching(machine),
            journal=journal,
        )
        attending.stay(peer, work)
        return work.cloud

    def _here(self, machine: Machine) -> Here:
        known = Secrets()
        machine.host.secrets = known
        plugins = Plugins.of(**self._plugins(machine.name), words=trust, **{_ANNOUNCER: _Announcer(self)})
        return Here(plugins, machine.host, known, machine.state)

    def _node(self, machine: Machine, plugins: Plugins, fingerprint: str, *, founder: bool) -> Node:
        states = {name: plugins.inspect(name, host=machine.host) for name in plugins.having("inspect")}
        return Node.model_validate(
            {
                "name": machine.name,
                "addresses": (machine.address,),
                "fingerprint": fingerprint,
                "survey": self._survey(machine.name),
                "services": {name: state for name, state in states.items() if state is not None},
                "founder": founder,
            }
        )

    def _order(self, plugins: Plugins) -> Order:
        return Order(
            command="init",
            cloud="test",
            services=tuple(self._services if self._services is not None else plugins.services),
            machines={machine.name: machine.address for machine in self.machines.values()},
            settings=self._settings,
            node_settings=self._node_settings,
            secrets=self._secrets,
            discovery=(_ANNOUNCER,),
            code=SecretStr(CODE),
            port=0,
            patience=self.patience,
            others=self.others,
        )

    def _find(self, machine: Machine) -> Iterator[Beacon]:
        relay = machine.relay
        assert relay is not None, "the initiator looks for nobody"
        until = time.monotonic() + self.patience
        while relay.target is None and time.monotonic() < until and machine.power.on:
            time.sleep(0.01)
        if relay.target is not None:
            yield Beacon.model_validate({"name": "n1", "address": "127.0.0.1", "port": relay.port})

    def _code(self, machine: Machine) -> SecretStr:
        waiting = self.codes.get(machine.name) or [CODE]
        return SecretStr(waiting.pop(0) if len(waiting) > 1 or machine.name in self.codes else waiting[0])

    def _noticed(self, machine: Machine, text: str) -> None:
        machine.power.check()
        machine.person.notice(text)

    def _watching(self, machine: Machine) -> Callable[[Happening], None]:
        def watch(happening: Happening) -> None:
            machine.happenings.append(happening)
            self.on_happening(machine.name, happening)

        return watch

    def _lost(self, name: str) -> None:
        for machine in self.machines.values():
            if machine.relay is not None and name in {"n1", machine.name}:
                machine.relay.cut()

    def _relay(self, one: str, other: str) -> Relay:
        relays = [self[name].relay for name in (one, other)]
        found = [relay for relay in relays if relay is not None]
        if len(found) != 1:
            raise ValueError(f"{one} and {other} do not talk to each other: joiners talk to n1 only")
        return found[0]

    def _story(self) -> str:
        return "\n".join(
            f"{machine.name}: {notice}"
            for machine in self.machines.values()
            for notice in machine.person.notices
        )

    @contextmanager
    def announced(self, port: int) -> Iterator[None]:
        """Let the wires end at the initiator's door."""
        for machine in self.machines.values():
            if machine.relay is not None:
                machine.relay.target = ("127.0.0.1", port)
        yield


_ANNOUNCER = "announcer"


class _Announcer:
    """The discovery plugin of a FakeCloud: it tells the wires where the door is."""

    def __init__(self, cloud: FakeCloud) -> None:
        self._cloud = cloud

    @hookimpl
    def manifest(self) -> Manifest:
        """Say what this is."""
        return Manifest(api=API, summary="Tells a FakeCloud's wires where the door is")

    @hookimpl
    def announce(self, beacon: Beacon) -> AbstractContextManager[None]:
        """Point the wires to the door."""
        return self._cloud.announced(beacon.port)
