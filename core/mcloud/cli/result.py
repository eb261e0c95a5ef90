"""The end of a run: the services' own tables, what was left out, how long it took, what to type next."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcloud.cli.screen import Screen, check_lines
from mcloud.errors import McloudError
from mcloud.here import Here
from mcloud.model import Check


def show_result(
    screen: Screen, here: Here, cloud: Mapping[str, Any], checks: Sequence[Check], seconds: float
) -> None:
    """Show what was made, by the services' own commands, and what the operator should know of it."""
    for plugin in cloud["services"]:
        for argv in here.plugins.manifests[plugin].shows:
            try:
                said = here.host.run(argv, seconds=20).stdout
            except McloudError as error:
                said = f"(could not be asked: {error})"
            screen.say(
                f"\n$ {' '.join(argv)}\n{said.rstrip()}", type="shows", command=" ".join(argv), output=said
            )
    for line in check_lines(checks):
        screen.say(line, type="warning", warning=line)
    _shares(screen)
    names = ", ".join(member["name"] for member in cloud["members"])
    screen.say(
        f"\nThe cloud {cloud['name']} is formed of {names}, in {seconds:.1f} s.\n"
        "Next: `lxc launch IMAGE NAME` starts an instance; `mcloud undo` on each machine takes the cloud back.",
        type="formed", cloud=cloud["name"], members=[member["name"] for member in cloud["members"]],
        seconds=round(seconds, 1),
    )  # fmt: skip


def _shares(screen: Screen) -> None:
    rows = screen.lanes.shares()
    if not rows:
        return
    lines = [
        f"  {machine:12} {plugin:8} {steps:3} steps {seconds:6.1f} s"
        for machine, plugin, steps, seconds in rows
    ]
    screen.say(
        "\nTime spent in each part (side by side):\n" + "\n".join(lines),
        type="shares", rows=[list(row) for row in rows],
    )  # fmt: skip
