"""The end of a run: the services' own tables, what was left out, how long it took, what to type next."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcloud.cli.failing import spoken
from mcloud.cli.plans import check_lines
from mcloud.cli.screen import Screen
from mcloud.cli.tables import narrowed
from mcloud.crew import Crew
from mcloud.errors import McloudError
from mcloud.here import AT_ONCE, Here
from mcloud.model import Check

SHOW_SECONDS = 20
MOST_SHARES = 12
SHORTEST = 0.05
"""Seconds; what took less is not worth a line."""
MEETING = "meeting, until all plans were there"
CONFIRMING = "waiting for a yes"
RECORDING = "the rest (records, farewells)"


def show_result(screen: Screen, here: Here, cloud: Mapping[str, Any], checks: Sequence[Check]) -> None:
    """Show what was made, by the services' own commands, and what the operator should know of it."""
    seconds = screen.output.seconds
    _tables(screen, here, cloud["services"])
    if lines := check_lines(checks):
        screen.say(
            "\nLeft out, or to be known", "bold", type="checks", checks=[c.model_dump() for c in checks]
        )
        if screen.mode != "json":
            for text, style in lines:
                screen.say(text, style)
    _times(screen, seconds)
    names = [member["name"] for member in cloud["members"]]
    size = "one machine" if len(names) == 1 else f"{len(names)} machines"
    screen.say(
        f"\nCloud {cloud['name']}: {size} ({', '.join(names)}), formed in {seconds:.1f} s.",
        "bold green", type="formed", cloud=cloud["name"], members=names, seconds=round(seconds, 1),
    )  # fmt: skip
    for line in _next(here, cloud["services"]):
        screen.say(f"Next: {line}", type="next", text=line)


def show_fallen(screen: Screen, fallen: Mapping[str, str], cloud: str) -> None:
    """Say loudly which machines are not in the cloud, and why."""
    for name, reason in fallen.items():
        screen.say(
            f"\n{name} IS NOT IN CLOUD {cloud}", "bold red",
            type="fell_out", machine=name, reason=reason,
        )  # fmt: skip
        if screen.mode != "json":
            screen.say(f"  {spoken(reason)}")
    if fallen and screen.mode != "json":
        screen.say(
            "\nThe others went on without. When that is mended, type the same command again on all "
            "machines: it comes in then, and the others stay as they are. "
            "`mcloud undo` on it takes back what was begun there."
        )


def _tables(screen: Screen, here: Here, services: Sequence[str]) -> None:
    commands = [argv for plugin in services for argv in here.plugins.manifests[plugin].shows]
    shown = Crew(AT_ONCE, "shows").map(lambda argv: _asked(here, argv), commands)
    for argv, said in zip(commands, shown, strict=True):
        command = " ".join(argv)
        screen.say(f"\n$ {command}", "bold", type="shows", command=command, output=said)
        if screen.mode != "json":
            screen.say(narrowed(said, screen.output.width), verbatim=True)


def _asked(here: Here, argv: Sequence[str]) -> str:
    try:
        return here.host.run(argv, seconds=SHOW_SECONDS).stdout.rstrip()
    except McloudError as error:
        return f"(could not be asked: {error})"


def _next(here: Here, services: Sequence[str]) -> list[str]:
    """Return what plugins say can be typed next, and the way back."""
    said = [line for plugin in services for line in here.plugins.manifests[plugin].next_steps]
    return [*said, "`mcloud undo` on each machine takes the cloud back"]


def _times(screen: Screen, seconds: float) -> None:
    planned = screen.marks.get("planned", 0.0)
    asked = screen.marks.get("confirmed", planned) - planned
    stages = [(MEETING, planned), (CONFIRMING, asked), *screen.lanes.stages()]
    stages.append((RECORDING, max(0.0, seconds - sum(spent for _, spent in stages))))
    stages = [(stage, spent) for stage, spent in stages if spent >= SHORTEST]
    shares = screen.lanes.shares()
    names = max((len(share.machine) for share in shares), default=0)
    lines = ["\nHow long it took", *(f"  {spent:7.1f} s  {stage}" for stage, spent in stages)]
    lines += ["of it, by machine and service (side by side)"] if shares else []
    lines += [
        f"  {share.seconds:7.1f} s  {share.machine:{names}}  {share.service:6} {share.steps:3} "
        f"{'step, ' if share.steps == 1 else 'steps,'} longest {share.longest} {share.longest_seconds:.1f} s"
        for share in shares[:MOST_SHARES]
    ]
    lines += [f"  ... and {len(shares) - MOST_SHARES} more"] if len(shares) > MOST_SHARES else []
    screen.say(
        "\n".join(lines), type="times", stages=dict(stages),
        shares=[[share.machine, share.service, share.steps, share.seconds] for share in shares],
    )  # fmt: skip
