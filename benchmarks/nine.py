"""Form nine machines again and again on a busy machine, then three and nine in quiet."""

import os
import sys
from dataclasses import dataclass

import click
import preseed
import work
from forming import compile_sources, fresh_lab
from parts import Formed
from proof import amiss, until

from mcloud.errors import McloudError
from mcloud.lab import Lab

NINE, THREE = 9, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one forming ended."""

    machines: int
    load: int
    members: int
    seconds: float
    spent: work.Work
    died: int
    """How often an ovn-controller died on the way."""
    trouble: str = ""

    @property
    def good(self) -> bool:
        """Whether all that were to be in are in."""
        return self.members == self.machines and not self.trouble


@click.command()
@click.option(
    "--times", type=click.IntRange(0), default=10, show_default=True, help="How often, with the load."
)
@click.option("--load", type=click.IntRange(0), default=8, show_default=True, help="Busy loops beside it.")
@click.option("--ratio/--no-ratio", default=True, show_default=True, help="Then three and nine in quiet.")
@click.option("--lab", "name", default="nine", show_default=True, help="Name of the lab.")
def main(*, times: int, load: int, ratio: bool, name: str) -> None:
    """Form nine machines under load, ten times in a row, and print a line for each."""
    compile_sources()
    rounds = [(NINE, load)] * times + ([(THREE, 0), (NINE, 0)] if ratio else [])
    print("round  machines  load  members  seconds  processor seconds (daemons + commands)  controllers died")
    outcomes = []
    for number, (machines, beside) in enumerate(rounds, start=1):
        outcomes.append(outcome := form(name, machines, beside))
        spent = f"{outcome.spent.total:6.0f} ({outcome.spent.daemons:.0f} + {outcome.spent.commands:.0f})"
        print(
            f"{number:5}  {machines:8}  {beside:4}  {outcome.members:7}  {outcome.seconds:7.1f}  {spent:37}  "
            f"{outcome.died:16}  {outcome.trouble}",
            flush=True,
        )
    if times:
        well = sum(outcome.good for outcome in outcomes[:times])
        print(f"\n{well} of {times} times {NINE} members, with {load} busy loops beside")
    if ratio:
        print(_ratio(*outcomes[-2:]))
    sys.exit(0 if all(outcome.good for outcome in outcomes) else 1)


def form(name: str, machines: int, load: int) -> Outcome:
    """Form one cloud on fresh machines; what goes wrong is told, not raised."""
    with fresh_lab(name, machines, keep=False) as lab, work.busy(load):
        before, trouble = work.done(lab), ""
        formed = Formed(began=0, ended=0, parts=())
        try:
            formed = preseed.form(lab)
            until(amiss, lab)
        except McloudError as error:
            trouble = " ".join(f"{error} {error.hint}".split())[:2000]
        return Outcome(
            machines=machines,
            load=load,
            members=_members(lab),
            seconds=formed.seconds,
            spent=work.done(lab).since(before),
            died=sum(_died(lab, one) for one in lab.names()),
            trouble=trouble,
        )


def _members(lab: Lab) -> int:
    """Return how many machines LXD lists as members; whether all is well with them the proof has seen."""
    listed = lab.machine(lab.names()[0]).run(
        ["sh", "-c", "lxc cluster list --format csv </dev/null | grep -c https:"], check=False, timeout=60
    )
    return int(listed.stdout.strip() or 0)


def _died(lab: Lab, name: str) -> int:
    said = "journalctl --unit ovn-controller --output=cat --quiet | grep -c 'Main process exited'"
    return int(lab.machine(name).run(["sh", "-c", said], check=False).stdout.strip() or 0)


def _ratio(three: Outcome, nine: Outcome) -> str:
    processors = os.cpu_count() or 1
    floor = nine.spent.total / processors
    return (
        f"{NINE} to {THREE} in quiet: {nine.seconds:.1f} s to {three.seconds:.1f} s, "
        f"{nine.seconds / max(three.seconds, 0.1):.2f}-fold; "
        f"the work is {nine.spent.total / max(three.spent.total, 0.1):.2f}-fold: "
        f"{nine.spent.total:.0f} processor seconds, {floor:.1f} s for {processors} processors"
    )


if __name__ == "__main__":
    os.umask(0o022)  # the machines' root file systems are made of ordinary modes
    main()
