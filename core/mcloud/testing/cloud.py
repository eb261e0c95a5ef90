"""FakeCloud: whole clouds in one process, with the real halves, over TLS on loopback."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from mcloud.completing import Complete, as_ordered
from mcloud.model import Beacon, Survey
from mcloud.order import Order
from mcloud.plugins import Plugins
from mcloud.testing.host import FakeHost
from mcloud.testing.life import ANNOUNCER, Announcer, Life, here_of, take_back
from mcloud.testing.machine import Machine
from mcloud.testing.network import Relay
from mcloud.testing.power import Moment, Power, dying_quietly
from mcloud.undo import Undone
from mcloud.watch import Happening
from mcloud.withdrawing import Part

CODE = "acorn blimp crisp dove"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one try to form the cloud."""

    cloud: Mapping[str, Any]
    """The record as the initiator returned it; empty if it did not."""
    failures: Mapping[str, BaseException]
    """What the command ended with, by machine; lives that ended with the power are in `killed`."""
    killed: tuple[str, ...]
    """Machines that lost their power, once for each time."""

    def good(self) -> Self:
        """Return itself; AssertionError if the command failed on any machine."""
        said = [f"{name}: {type(error).__name__}: {error}" for name, error in self.failures.items()]
        said += [
            f"  {name}: {part!r}"
            for name, error in self.failures.items()
            for part in getattr(error, "exceptions", ())
        ]
        if said:
            raise AssertionError("\n".join(said))
        return self


class FakeCloud(AbstractContextManager["FakeCloud"]):
    """So many machines, each with a FakeHost and a state folder of its own; n1 is the initiator.

    `form()` is the command typed on every machine; typed again after a failure, it goes on. Close it
    (or use it in a `with`), and the wires are gone.
    """

    def __init__(
        self,
        machines: int,
        *,
        folder: Path,
        plugins: Mapping[str, object] | Callable[[str], Mapping[str, object]],
        host: Callable[[str], FakeHost] | None = None,
        survey: Callable[[str], Survey] | None = None,
        on_happening: Callable[[str, Happening], None] | None = None,
        roster: Sequence[str] = (),
        complete: Complete = as_ordered,
        **ordered: Any,
    ) -> None:
        """Make the machines.

        `plugins` by name, or a function of the machine's name; `host` and `survey` are functions of
        the name, too. `on_happening(machine, what)` is told of everything, by the machine that saw
        it. `roster` names those that the initiator's file knows; empty: all. `complete` asks, as
        `mcloud init` does. What else is given goes into the `Order`: services, settings, patience, ...
        """
        self._plugins = plugins if callable(plugins) else lambda _name: plugins
        self._survey = survey or (lambda _name: Survey())
        self._on_happening = on_happening or (lambda _machine, _what: None)
        self._ordered, self._roster = ordered, roster
        self._complete = complete
        self._cuts: set[str] = set()
        self._powers: dict[str, Power] = {}
        self.machines: dict[str, Machine] = {}
        self.parts: Sequence[Part] = ()  # of the last undo, see there
        for number in range(1, machines + 1):
            name = f"n{number}"
            self.machines[name] = Machine(
                name=name,
                address=f"10.0.0.{number}",
                host=replace(host(name) if host else FakeHost(), name=name),
                folder=folder / name,
                relay=Relay() if number > 1 else None,
            )

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def __exit__(self, *_what: object) -> None:
        for relay in self._relays():
            relay.close()

    # ---- bad luck -------------------------------------------------------------------------------------

    def kill_at(self, machine: str, line: int, moment: Moment = "before") -> None:
        """Have a machine lose its power at the line-th line that its next process writes to its journal."""
        self[machine].fatal = (line, moment)

    def kill(self, machine: str) -> None:
        """Have a machine lose its power now, if it is on."""
        if machine in self._powers and self._powers[machine].on:
            self._powers[machine].lose()

    def cut(self, one: str, other: str) -> None:
        """Cut the wire between the initiator and a joiner, until `mend`."""
        self._cuts.add(self._joiner(one, other))
        self._wire_up()

    def mend(self, one: str, other: str) -> None:
        """Mend the wire between the initiator and a joiner."""
        self._cuts.discard(self._joiner(one, other))
        self._wire_up()

    def drop(self, one: str, other: str) -> None:
        """Break the connection between the initiator and a joiner, once."""
        relay = self[self._joiner(one, other)].relay
        assert relay is not None, "joiners have a wire"
        relay.drop()

    # ---- commands -------------------------------------------------------------------------------------

    def form(self, *, seconds: float = 25.0, again: bool = True, without: Sequence[str] = ()) -> Outcome:
        """Type the command on every machine (but `without`) and wait for all of them to end.

        Where a machine loses its power, its person switches it on and types the command `again`.
        AssertionError if they are at work after so many seconds.
        """
        results: dict[str, Mapping[str, Any]] = {}
        failures: dict[str, BaseException] = {}
        killed: list[str] = []
        for relay in self._relays():
            relay.target = None

        def type_it(machine: Machine) -> None:
            while not self._live(machine, results, failures).on:
                killed.append(machine.name)
                if not again:
                    return

        threads = [
            threading.Thread(target=type_it, args=(machine,), name=machine.name, daemon=True)
            for machine in self.machines.values()
            if machine.name not in without
        ]
        with dying_quietly():
            for thread in threads:
                thread.start()
            until = time.monotonic() + seconds
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
        if hanging := [thread.name for thread in threads if thread.is_alive()]:
            raise AssertionError(f"after {seconds:g} s still at work: {', '.join(hanging)}\n{self.story()}")
        return Outcome(cloud=results.get("n1", {}), failures=failures, killed=tuple(killed))

    def undo(self, name: str, *, patience: float = 0.1) -> Undone:
        """Type `undo` on one machine; PowerLost where it loses its power on the way.

        Joiners that wait for it in `form`, and come back within `patience` seconds, take their parts back,
        too: `parts` tells what came of that.
        """
        here, power = here_of(self[name], self._plugins(name), Announcer(self._announced), cut=self._wire_up)
        self._powers[name] = power
        self._wire_up()
        self.parts, undone = take_back(here, self[name].person.notice, patience)
        return undone

    def is_on(self, name: str) -> bool:
        """Whether a machine has power, and a process."""
        return name in self._powers and self._powers[name].on

    def story(self) -> str:
        """Return all that the people at the machines were told."""
        return "\n".join(
            f"{one.name}: {said}" for one in self.machines.values() for said in one.person.notices
        )

    # ---- the machines' own ----------------------------------------------------------------------------

    def _live(
        self, machine: Machine, results: dict[str, Mapping[str, Any]], failures: dict[str, BaseException]
    ) -> Power:
        """Let one process live on a machine, to its end; return whether it had power then."""
        modules, announcer = self._plugins(machine.name), Announcer(self._announced)
        here, power = here_of(machine, modules, announcer, cut=self._wire_up)
        self._powers[machine.name] = power
        self._wire_up()
        order = self._order(here.plugins)
        survey = self._survey(machine.name)
        life = Life(machine, here, power, order, survey, self._on_happening, self._complete)
        failures.pop(machine.name, None)
        try:
            results[machine.name] = life.run()
        except BaseException as error:  # noqa: BLE001 - whatever it was, the test shall see it
            if power.on:
                failures[machine.name] = error
        return power

    def _order(self, plugins: Plugins) -> Order:
        given: dict[str, Any] = {"patience": 10.0, "services": plugins.services, **self._ordered}
        return Order(
            command="init",
            cloud="test",
            machines={name: self[name].address for name in self._roster or self.machines},
            discovery=(ANNOUNCER,),
            code=SecretStr(CODE),
            port=0,
            **given,
        )

    @contextmanager
    def _announced(self, beacon: Beacon) -> Iterator[None]:
        for relay in self._relays():
            relay.target = ("127.0.0.1", beacon.port)
        yield

    def _wire_up(self) -> None:
        """Let through what has power on both ends and is not cut."""
        for name, machine in self.machines.items():
            if machine.relay is not None:
                ends = [self._powers[end] for end in ("n1", name) if end in self._powers]
                if name in self._cuts or not all(end.on for end in ends):
                    machine.relay.cut()
                else:
                    machine.relay.mend()

    def _relays(self) -> list[Relay]:
        return [machine.relay for machine in self.machines.values() if machine.relay is not None]

    def _joiner(self, one: str, other: str) -> str:
        found = [name for name in (one, other) if self[name].relay is not None]
        if len(found) != 1:
            raise ValueError(f"{one} and {other} do not talk to each other: joiners talk to n1 only")
        return found[0]
