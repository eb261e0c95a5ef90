"""`mcloud undo`: take back, on this machine, what the latest run changed."""

import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from mcloud.cli.common import agreeable, shown, this_machine, unhurried
from mcloud.cli.failing import spoken
from mcloud.cli.screen import Screen
from mcloud.errors import McloudError, SettingsError
from mcloud.here import Here
from mcloud.journal import Journal
from mcloud.plan import Plan
from mcloud.rosters import over
from mcloud.undo import Undone, all_planned, to_undo
from mcloud.undo import take_back as undo_run
from mcloud.watch import Happening, Watch
from mcloud.withdrawing import Part, Withdrawing, waiting


@click.command()
@agreeable
@unhurried
@shown
def undo(screen: Screen, yes: bool, deadlines: float | None) -> None:
    """Take back what the latest run did on this machine.

    What was there before it is left alone. Says first what is lost for good with it, and asks. Where it
    began a cloud that is not formed yet, joiners that still wait for this machine take their part back
    first. Works with all other machines dead. To take a whole cloud back, type it on each machine.
    """
    screen.yes = yes
    with this_machine(screen, "undo", deadlines=deadlines) as here:
        journal = _latest(here)
        if not _confirmed(screen, all_planned(here.plugins, here.state, journal), journal):
            raise McloudError("not confirmed; nothing was changed")
        parts = _withdraw(screen, here, journal)
        left = take_back(screen, here, journal).left
        _tell_elsewhere(screen, parts)
        if left or any(part.outcome == "left" for part in parts):
            sys.exit(1)


def take_back_failed(screen: Screen, here: Here, digest: str) -> str:
    """Take back the run of this order that failed here, as `on_failure: undo` says; return a new hint."""
    entry = here.state.unfinished(lambda path: over(Journal.open(path, here.known)))
    if entry is None or entry.digest != digest:
        return ""
    if Journal.open(here.state.journal_path(entry.id), here.known).has("finished"):
        return ""  # the cloud that is there is not taken back because a machine could not be added to it
    screen.notice("it failed, and the file says on_failure: undo")
    undone = take_back(screen, here, Journal.open(here.state.journal_path(entry.id), here.known))
    if undone.left:
        return "not all was taken back: put that right, then `mcloud undo`"
    return "all was taken back (on_failure: undo); the same command begins anew"


def take_back(screen: Screen, here: Here, journal: Journal) -> Undone:
    """Take a run back and show what came of it."""
    undone = undo_run(here.plugins, here.host, here.state, journal, watch=_watched(screen))
    _tell(screen, undone)
    return undone


def _watched(screen: Screen) -> Watch:
    def watch(happening: Happening) -> None:
        if happening.what == "report":
            screen.notice(f"{happening.machine} {happening.plugin} {happening.step}: {happening.text}")
        else:
            screen.happened(happening)

    return watch


def _withdraw(screen: Screen, here: Here, journal: Journal) -> Sequence[Part]:
    """Have joiners that wait for this machine take their parts back."""
    names = waiting(journal)
    if not names:
        return ()
    screen.notice(f"those of {', '.join(reversed(names))} that wait for this machine go first")
    return Withdrawing(here, journal, watch=_watched(screen), notice=screen.notice).withdraw()


def _latest(here: Here) -> Journal:
    """Return the latest run that can be taken back."""
    for entry in reversed(here.state.runs()):
        path = here.state.journal_path(entry.id)
        if path.exists():
            journal = Journal.open(path, here.known)
            if not journal.has("reverted"):
                return journal
    raise SettingsError("there is no run to undo on this machine")


def _confirmed(screen: Screen, plan: Plan, journal: Journal) -> bool:
    steps = to_undo(plan, journal)
    for key, _lane, step in steps:
        for loss in step.loses:
            screen.say(
                f"LOST FOR GOOD with {spoken(key)}: {loss}", "bold red", type="loses", step=key, what=loss
            )
    losses = [loss for _key, _lane, step in steps for loss in step.loses]
    return screen.confirm(losses, question=f"Take back {len(steps)} steps")


def _tell(screen: Screen, undone: Undone) -> None:
    for key, reason in undone.left.items():
        screen.say(f"LEFT  {spoken(key)}: {spoken(reason)}", "bold red", type="left", step=key, reason=reason)
    count = len(undone.taken_back)
    said = f"{count} steps taken back, {len(undone.left)} left"
    screen.say(said, "bold", type="undone", taken_back=count, left=len(undone.left))


_ELSEWHERE = {
    "undone": "{machine} took its part back, too",
    "left": "{machine} DID NOT TAKE ALL BACK: {reason}; `mcloud undo` there goes on",
    "silent": "{machine} was not told ({reason}): `mcloud undo` there takes its part back, if it has one",
}


def _tell_elsewhere(screen: Screen, parts: Sequence[Part]) -> None:
    for part in parts:
        text = _ELSEWHERE[part.outcome].format(machine=part.machine, reason=spoken(part.reason))
        screen.say(text, "bold red" if part.outcome == "left" else "", type="elsewhere", **asdict(part))
