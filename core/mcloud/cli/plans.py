"""Plans as people read them before they say yes: by machine and service, losses last and loud."""

from collections.abc import Collection, Mapping, Sequence

from mcloud.cloud import CORE
from mcloud.model import Check
from mcloud.session.protocol import OutlookLine

Styled = tuple[str, str]
"""A line and its style."""
Parts = tuple[tuple[str, tuple[str, ...], str], ...]
"""By service: the steps to do in words, and a word on those that are there already."""


LONG = 24
"""Lines; a longer plan is told step by step instead: which machines have it, and not what each has."""
THERE = "("
"""What the word on steps that are there already begins with; no step's name does."""
FEW = 8
"""Machines that are named without a word on how many they are."""


def work_lines(plans: Mapping[str, Sequence[OutlookLine]]) -> list[Styled]:
    """Return what is to do by machine and service, machines of the same plan together.

    Where that is long, since each machine has something of its own (the names of its disks), what they
    have in common comes first, and then what each has besides.
    """
    by_machine: dict[Parts, list[str]] = {}
    for machine, lines in plans.items():
        by_machine.setdefault(_parts(lines), []).append(machine)
    found = _told({tuple(names): parts for parts, names in by_machine.items()}, plans)
    if len(found) > LONG:
        found = min(found, _told(_in_common(plans), plans), key=len)
    return [("Plan", "bold"), *found]


def loss_lines(plans: Mapping[str, Sequence[OutlookLine]]) -> list[Styled]:
    """Return all that is lost for good, machine by machine."""
    return [
        (f"DESTROYS FOR GOOD on {machine}: {loss}", "bold red")
        for machine, lines in plans.items()
        for line in lines
        if line.to_do
        for loss in line.destroys
    ]


def check_lines(checks: Sequence[Check]) -> list[Styled]:
    """Return what the checks found, errors first, alike ones together; what is well is left out."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for check in sorted(checks, key=lambda check: check.level != "error"):
        if check.level != "ok":
            alike.setdefault((check.level, check.message, check.hint), []).append(check.machine or "")
    found: list[Styled] = []
    for (level, message, hint), machines in alike.items():
        names = [name for name in dict.fromkeys(machines) if name]
        where = f"{_named(names, ())}: " if names else ""
        found.append((f"{level.upper()}  {where}{message}", "yellow"))
        found += [(f"         {hint}", "")] if hint else []
    return found


def _parts(lines: Sequence[OutlookLine]) -> Parts:
    """Return service by service the steps to do, in words, and how many are there already."""
    to_do: dict[str, dict[str, list[str]]] = {}
    there: dict[str, int] = {}
    for line in lines:
        _hook, plugin, machine, about, step = line.key.split("/", 4)
        if plugin == CORE:
            continue
        to_do.setdefault(plugin, {})
        if line.to_do:
            to_do[plugin].setdefault(step, []).extend([about] if about != machine else [])
        else:
            there[plugin] = there.get(plugin, 0) + 1
    return tuple(
        (
            plugin,
            tuple(step + _about(whom) for step, whom in steps.items()),
            f"{THERE}{there[plugin]} there already)" if plugin in there else "",
        )
        for plugin, steps in to_do.items()
    )


def _about(whom: Sequence[str]) -> str:
    if len(whom) > FEW:
        return f" for {len(whom)} machines"
    return f" for {' '.join(whom)}" if whom else ""


def _in_common(plans: Mapping[str, Sequence[OutlookLine]]) -> dict[tuple[str, ...], Parts]:
    """Return by machines what exactly these have to do, what most have first."""
    who: dict[tuple[str, str], list[str]] = {}
    for machine, lines in plans.items():
        for service, steps, already in _parts(lines):
            for said in (*steps, already) if already else steps:
                who.setdefault((service, said), []).append(machine)
    common: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for (service, said), machines in who.items():
        common.setdefault(tuple(machines), {}).setdefault(service, []).append(said)
    return {
        machines: tuple(
            (
                service,
                tuple(step for step in said if not step.startswith(THERE)),
                " ".join(step for step in said if step.startswith(THERE)),
            )
            for service, said in services.items()
        )
        for machines, services in sorted(common.items(), key=lambda item: -len(item[0]))
    }


def _told(groups: Mapping[tuple[str, ...], Parts], everybody: Collection[str]) -> list[Styled]:
    """Return groups of machines as lines; one machine with one service is one line."""
    found: list[Styled] = []
    for machines, parts in groups.items():
        width = max((len(service) for service, _steps, _already in parts), default=0)
        lines = [
            f"{service:{width}}  {' '.join(filter(None, (', '.join(steps), already)))}"
            for service, steps, already in parts
        ]
        if len(groups) > FEW and len(machines) == len(lines) == 1:
            found.append((f"  {machines[0]}  {lines[0]}", ""))
        else:
            found.append((f"  {_named(machines, everybody)}", "bold"))
            found += [(f"    {line}", "") for line in lines]
    return found


def _named(machines: Sequence[str], everybody: Collection[str]) -> str:
    """Return machines as a person says them: by name, or as all there are but a few."""
    others = [name for name in everybody if name not in machines]
    if len(machines) <= FEW:
        return ", ".join(machines)
    if everybody and len(others) <= FEW:
        return f"all {len(everybody)} machines" + (f" but {', '.join(others)}" if others else "")
    return f"{len(machines)} machines ({', '.join(machines)})"
