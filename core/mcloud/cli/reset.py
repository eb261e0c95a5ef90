"""`mcloud reset`: make this machine ready to join again, from any state, alone."""

import os
import sys
from collections.abc import Mapping, Sequence

import click
from pydantic import ValidationError

from mcloud.cli.common import agreeable, shown, this_machine, unhurried
from mcloud.cli.screen import Screen
from mcloud.cli.stopping import Stopped, stoppable
from mcloud.errors import McloudError
from mcloud.here import Here, addresses
from mcloud.model import Node, Survey
from mcloud.remains import Remains, forgetting_step, read_remains, usable
from mcloud.reset import Disks, Found, Left, Reset, reset_plan, without_reset
from mcloud.state import State
from mcloud.survey import survey

AGAIN = "Stopped. `mcloud reset` again goes on."
NAMELESS = "this-machine"
"""Stands for a host name that no cloud takes."""


@click.command()
@click.option("--wipe-disks", is_flag=True, help="Wipe the services' disks as well, and prove them clean.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would go; change nothing.")
@agreeable
@unhurried
@shown
def reset(screen: Screen, wipe_disks: bool, plan_only: bool, yes: bool, deadlines: float | None) -> None:
    """Make this machine ready to join, from any state.

    Ends the services here and removes their data, keys, bridges and settings, and what mcloud itself
    knows of clouds and runs. Needs no other machine and no service that answers. Says first what will
    go, and asks; what is not the services' stays. Packages stay, too.
    """
    screen.yes = yes
    if os.geteuid() == 0:
        for path in usable(State(), may_change=not plan_only):
            screen.notice(f"it was damaged and is put aside: {path}")
    with this_machine(screen, "reset", deadlines=deadlines) as here:
        remains = read_remains(here.state)
        work = _reset(here, remains, wipe_disks=wipe_disks)
        found, unable = work.look(), without_reset(here.plugins, remains)
        _show(screen, here, found, unable)
        to_do = [one for one in found if one.to_do]
        if plan_only:
            return
        losses = [loss for one in to_do for loss in one.losses]
        if to_do and not screen.confirm(losses, question=f"Remove this from {here.host.name}"):
            raise McloudError("not confirmed; nothing was changed")
        if new := work.unseen(found):
            raise McloudError(
                f"this was not there when it was shown: {'; '.join(new)}; nothing was changed",
                hint="type `mcloud reset` again, and look at what it says",
            )
        left = _carried_out(screen, work, found)
        _tell(screen, here, removed=len(to_do) - len(left), left=left)
        if left or set(unable) & remains.services:
            sys.exit(1)


def _reset(here: Here, remains: Remains, *, wipe_disks: bool) -> Reset:
    own = forgetting_step(here.state)
    disks: Disks = "wipe" if wipe_disks else "keep"
    return Reset(here.host, reset_plan(here.plugins, _node(here), remains, disks=disks, own=own))


def _node(here: Here) -> Node:
    """Describe this machine as far as it can be: no service is asked, and nothing has to be in order."""
    try:
        seen = survey(here.host)
    except McloudError:
        seen = Survey()
    own = addresses(seen)[:16] or ("127.0.0.1",)
    try:
        return Node.model_validate({"name": here.host.name, "addresses": own, "survey": seen})
    except ValidationError:
        return Node.model_validate({"name": NAMELESS, "addresses": own, "survey": seen})


def _carried_out(screen: Screen, work: Reset, found: Sequence[Found]) -> Sequence[Left]:
    try:
        with stoppable(screen), screen.running():
            return work.carry_out(found, watch=screen.happened)
    except Stopped as stopped:
        screen.say(AGAIN, type="stopped")
        sys.exit(stopped.exit_code)


def _show(screen: Screen, here: Here, found: Sequence[Found], unable: Mapping[str, str]) -> None:
    """Say what will go, what stays, and what is lost for good."""
    to_do = [one for one in found if one.to_do]
    if not to_do:
        screen.say(f"There is nothing to remove on {here.host.name}.", type="nothing")
    for number, one in enumerate(to_do):
        if not number and screen.mode != "json":
            screen.say(f"To be removed from {here.host.name}", "bold")
        lines = one.lines or (one.step.name,)
        text = "\n".join(f"  {one.lane.plugin:5} {line}" for line in lines)
        screen.say(
            text, type="found", plugin=one.lane.plugin, step=one.step.name, lines=one.lines,
            destroys=one.losses,
        )  # fmt: skip
    for one in found:
        for line in () if one.to_do else one.lines:
            screen.say(
                f"STAYS  {one.lane.plugin}: {line}", "yellow", type="stays", plugin=one.lane.plugin, what=line
            )
    for name, why in unable.items():
        text = f"NOT RESET  the plugin {name} cannot reset its service: {why}"
        screen.say(text, "yellow", type="not_reset", plugin=name, reason=why)
    for loss in [loss for one in to_do for loss in one.losses] if screen.mode != "json" else ():
        screen.say(f"LOST FOR GOOD on {here.host.name}: {loss}", "bold red")


def _tell(screen: Screen, here: Here, *, removed: int, left: Sequence[Left]) -> None:
    for one in left:
        _hook, plugin, _machine, _about, step = one.key.split("/", 4)
        text = f"LEFT  {plugin} {step}: {one.reason}" + (f"\n  Hint: {one.hint}" if one.hint else "")
        screen.say(text, "bold red", type="left", plugin=plugin, step=step, reason=one.reason, hint=one.hint)
    if left:
        text = f"{here.host.name} is not ready yet: put right what is said above, then `mcloud reset` again."
    else:
        text = f"{here.host.name} is ready to join a cloud."
    screen.say(text, "bold", type="reset", removed=removed, left=len(left))
