"""Interfaces of the plan are known again: by a step before they are used, and by the units that use them."""

import re
from collections.abc import Sequence
from typing import ClassVar

from mcloud import Nic, Offer, Step, StepContext, check_interface

_OF = "The interface of the plan:"


class SameInterfaces(Offer):
    """The interfaces of the plan have their names still; looked at in each run, and in one that goes on."""

    volatile: ClassVar[bool] = True


def recognise(nics: Sequence[Nic]) -> Step:
    """Refuse interfaces that have the plan's names and are others, before anything is done with them."""

    def run(ctx: StepContext) -> Sequence[SameInterfaces]:
        for nic in nics:
            check_interface(ctx.host, nic)
        return [SameInterfaces()]

    return Step(name="same-interfaces", run=run, offers=(SameInterfaces,))


def named(nic: Nic) -> Sequence[str]:
    """Return the line of a unit that says which interface it is for, where the plan knows its address."""
    return [f"# {_OF} {nic.name} {nic.permanent}"] if nic.permanent else []


def named_in(unit: str) -> Sequence[Nic]:
    """Return the interfaces that a unit says it is for."""
    found = re.findall(rf"^# {_OF} (\S+) (\S+)$", unit, flags=re.MULTILINE)
    return [Nic(name=name, permanent=address) for name, address in found]


def only_for(nic: Nic) -> Sequence[str]:
    """Return the line that keeps a unit, at a later boot, from another interface with the same name."""
    if not nic.permanent or nic.permanent != nic.mac.lower():
        return ()
    return [f"ExecCondition=grep -qix {nic.permanent} /sys/class/net/{nic.name}/address"]
