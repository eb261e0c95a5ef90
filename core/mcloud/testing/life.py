"""One life of a process on a machine of a FakeCloud: the command that is typed there, to its end or death."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from mcloud import hookimpl
from mcloud.attending import Attending, completed, resumed
from mcloud.choosing import Choosing
from mcloud.completing import Complete, as_ordered
from mcloud.errors import SettingsError
from mcloud.forming import Forming
from mcloud.here import Here
from mcloud.joining import Joining
from mcloud.journal import Journal
from mcloud.looking import Looking
from mcloud.model import API, Beacon, Manifest, Node, Search, Survey
from mcloud.order import Order
from mcloud.plugins import Plugins
from mcloud.rosters import over
from mcloud.secrets import Secrets
from mcloud.selecting import expected
from mcloud.session import trust
from mcloud.session.joiner import Joiner
from mcloud.session.transport import ConnectionLost
from mcloud.testing.machine import Machine
from mcloud.testing.network import Relay
from mcloud.testing.power import MortalState, Power
from mcloud.undo import Undone
from mcloud.undo import take_back as undo
from mcloud.watch import Happening, nobody
from mcloud.withdrawing import Part, Withdrawing

ANNOUNCER = "announcer"
AGAIN = 1.0
"""Seconds to look whether the initiator still waits to hear that this machine is in."""


@dataclass
class Life:
    """One process; its machine's disk outlives it, its memory, threads and connections do not."""

    machine: Machine
    here: Here
    power: Power
    order: Order
    survey: Survey
    on_happening: Callable[[str, Happening], None]
    complete: Complete = as_ordered

    def run(self) -> Mapping[str, Any]:
        """Do what the command does on this machine; return the record of the cloud."""
        return self._lead() if self.machine.relay is None else self._follow()

    def _lead(self) -> Mapping[str, Any]:
        here, state = self.here, self.here.state
        here.host.stretch = self.order.deadlines
        credentials = here.credentials()
        entry = state.unfinished(lambda path: over(Journal.open(path, here.known)))
        if entry is None and state.read_cloud() is not None:
            raise SettingsError(f"{self.machine.name} is in a cloud already")
        others = set(self.order.machines) - {self.machine.name}
        forming = Forming(
            plugins=here.plugins,
            host=here.host,
            state=state,
            known=here.known,
            credentials=credentials,
            node=self._node(credentials.fingerprint),
            order=self.order,
            operator=self.machine.person,
            watch=self._happened,
            select=expected(sorted(others)),
            complete=self.complete,
            journal=Journal.open(state.journal_path(entry.id), here.known) if entry else None,
            listen="127.0.0.1",
        )
        self.power.ended = lambda: forming.stop("the power is lost")
        return forming.form()

    def _follow(self) -> Mapping[str, Any]:
        here = self.here
        credentials = here.credentials()
        joiner = Joiner(
            plugins=here.plugins,
            credentials=credentials,
            node=self._node(credentials.fingerprint),
            methods=(self.order.trust,),
            versions=here.plugins.versions,
        )
        attending = Attending(
            joiner=joiner,
            notice=self._notice,
            look=self._look,
            choose=Choosing(notice=self._notice, prompter=self.machine.person, can_ask=False, settling=0.0),
            ask_code=lambda _why: self._code(),
            patience=self.order.patience,
        )
        over = completed(here.state, here.known)
        journal, peer = resumed(here.state, here.known) or over or (None, attending.meet())
        work = Joining(
            plugins=here.plugins,
            host=here.host,
            state=here.state,
            known=here.known,
            joiner=joiner,
            peer=peer,
            watch=self._happened,
            journal=journal,
        )
        try:
            attending.stay(peer, work, patience=AGAIN if over else None)
        except ConnectionLost:
            if over:
                raise SettingsError(f"{self.machine.name} is in a cloud already") from None
            raise
        return work.cloud

    def _node(self, fingerprint: str) -> Node:
        plugins, machine = self.here.plugins, self.machine
        states = {name: plugins.inspect(name, host=self.here.host) for name in plugins.having("inspect")}
        return Node.model_validate(
            {
                "name": machine.name,
                "addresses": (machine.address,),
                "fingerprint": fingerprint,
                "survey": self.survey,
                "services": {name: state for name, state in states.items() if state is not None},
                "founder": machine.relay is None,
            }
        )

    def _look(self) -> Looking:
        return Looking(self.here.plugins, (ANNOUNCER,), Search(seconds=self.order.patience))

    def _code(self) -> SecretStr:
        assert self.order.code is not None, "a FakeCloud has a code"
        return SecretStr(self.machine.codes.pop(0)) if self.machine.codes else self.order.code

    def _notice(self, text: str) -> None:
        self.power.check()
        self.machine.person.notice(text)

    def _happened(self, happening: Happening) -> None:
        self.machine.happenings.append(happening)
        self.on_happening(self.machine.name, happening)


def here_of(
    machine: Machine, modules: Mapping[str, object], announcer: "Announcer", cut: Callable[[], None]
) -> tuple[Here, Power]:
    """Return what a new process on a machine works with, and its power."""
    known = Secrets()
    # The disk is the machine's, the rest is this process' own: a dead one cannot write to it any more.
    host = replace(machine.host, secrets=known, off=False)
    line, moment = machine.fatal or (None, "before")
    machine.fatal = None
    power = Power(host=host, cut_network=cut, line=line, moment=moment)
    announcer.relay, announcer.power = machine.relay, power
    plugins = Plugins.of(**modules, words=trust, **{ANNOUNCER: announcer})
    return Here(plugins, host, known, MortalState(machine.folder, power)), power


def take_back(here: Here, notice: Callable[[str], None], patience: float) -> tuple[Sequence[Part], Undone]:
    """Do what `mcloud undo` does: take back the latest run that was not yet. SettingsError: there is none.

    Returns what came of the joiners' parts, and of the one here.
    """
    paths = [here.state.journal_path(entry.id) for entry in reversed(here.state.runs())]
    journals = (Journal.open(path, here.known) for path in paths if path.exists())
    journal = next((journal for journal in journals if not journal.has("reverted")), None)
    if journal is None:
        raise SettingsError(f"there is no run to undo on {here.host.name}")
    withdrawing = Withdrawing(
        here, journal, watch=nobody, notice=notice, listen="127.0.0.1", patience=patience
    )
    return withdrawing.withdraw(), undo(here.plugins, here.host, here.state, journal)


class Announcer:
    """The discovery plugin of a FakeCloud: it tells the wires where the door is, and finds their ends."""

    def __init__(self, announced: Callable[[Beacon], AbstractContextManager[None]]) -> None:
        """Have a function told of every beacon."""
        self._announced = announced
        self.relay: Relay | None = None
        """The wire of the machine it is on."""
        self.power: Power | None = None

    @hookimpl
    def manifest(self) -> Manifest:
        """Say what this is."""
        return Manifest(api=API, summary="Tells a FakeCloud's wires where the door is")

    @hookimpl
    def announce(self, beacon: Beacon) -> AbstractContextManager[None]:
        """Point the wires to the door."""
        return self._announced(beacon)

    @hookimpl
    def discover(self, search: Search) -> Iterator[Beacon]:
        """Yield the near end of this machine's wire, as soon as there is something at the far one."""
        until = time.monotonic() + search.seconds
        while self.relay and self.relay.target is None and self.power and self.power.on:
            if time.monotonic() >= until:
                return
            time.sleep(0.01)
        if self.relay:
            yield Beacon.model_validate({"name": "n1", "address": "127.0.0.1", "port": self.relay.port})
