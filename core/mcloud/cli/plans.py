"""Plans as people read them before they say yes: by machine and service, losses last and loud."""

from collections.abc import Mapping, Sequence

from mcloud.cloud import CORE
from mcloud.model import Check
from mcloud.session.protocol import OutlookLine

Styled = tuple[str, str]
"""A line and its style."""


def work_lines(plans: Mapping[str, Sequence[OutlookLine]]) -> list[Styled]:
    """Return what is to do by machine and service, machines of the same plan together."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for machine, lines in plans.items():
        groups.setdefault(tuple(_by_service(lines).items()), []).append(machine)
    found = [("Plan", "bold")]
    for services, machines in groups.items():
        found.append((f"  {', '.join(machines)}", "bold"))
        width = max((len(service) for service, _ in services), default=0)
        found += [(f"    {service:{width}}  {steps}", "") for service, steps in services]
    return found


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
    """Return what the checks found, errors first; what is well is left out."""
    found: list[Styled] = []
    for check in sorted(checks, key=lambda check: check.level != "error"):
        if check.level == "ok":
            continue
        where = f"{check.machine}: " if check.machine else ""
        found.append((f"{check.level.upper()}  {where}{check.message}", "yellow"))
        found += [(f"         {check.hint}", "")] if check.hint else []
    return found


def _by_service(lines: Sequence[OutlookLine]) -> dict[str, str]:
    """Return by service the steps to do, in words, and how many are there already."""
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
    said = {}
    for plugin, steps in to_do.items():
        words = [step + (f" for {' '.join(whom)}" if whom else "") for step, whom in steps.items()]
        already = f"({there[plugin]} there already)" if plugin in there else ""
        said[plugin] = f"{', '.join(words)} {already}".strip()
    return said
