"""`mcloud lab`: machines in namespaces on this machine."""

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from mcloud.lab import Lab, Machine
from mcloud.lab.forming import LOG
from mcloud.lab.forming import form as form_cloud
from mcloud.lab.layout import DEFAULT_DISKS
from mcloud.lab.roots import environment


@click.group()
def lab() -> None:
    """Real machines in namespaces, to form clouds in.

    Several labs live side by side, each under its own --lab NAME.
    """
    # Machines get root file systems of ordinary modes; `main` has set the umask for mcloud's own files.
    os.umask(0o022)


def _command(**attributes: Any) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of the group, with --lab; the function gets the Lab first."""

    def wrap(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        def named(*, name: str, **arguments: Any) -> None:
            function(Lab(name), **arguments)

        which = click.option(
            "--lab", "name", default="lab", envvar="MCLOUD_LAB", show_default=True, help="Which lab."
        )
        return lab.command(**attributes)(which(named))

    return wrap


@_command()
@click.option("--machines", default=3, show_default=True, help="How many; they are named n1, n2, ...")
@click.option(
    "--disk",
    "disks",
    multiple=True,
    metavar="SIZE",
    help=f"A disk on each machine.  [default: {' '.join(DEFAULT_DISKS)}]",
)
@click.option(
    "--nic",
    "nics",
    multiple=True,
    metavar="NAME",
    help="A network beyond eth0 (internal), eth1 (uplink) and eth2 (underlay).",
)
@click.option("--no-serials", is_flag=True, help="Disks tell no serial, as virtual ones often do.")
def up(lab: Lab, *, machines: int, disks: tuple[str, ...], nics: tuple[str, ...], no_serials: bool) -> None:
    """Make the machines and boot them."""
    lab.up(machines=machines, disks=disks, nics=nics, serials=not no_serials, say=click.echo)


@_command(context_settings={"ignore_unknown_options": True})
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def form(lab: Lab, *, file: str, options: tuple[str, ...]) -> None:
    """Type `mcloud preseed FILE` on every machine at once; OPTIONS are handed on to it.

    This terminal shows the first machine's screen; the others write to /root/mcloud.log.
    """
    statuses = form_cloud(lab, Path(file).read_text(), options=options)
    for name, status in statuses.items():
        if status:
            click.echo(f"{name} ended with status {status}: mcloud lab run {name} -- tail {LOG}", err=True)
    sys.exit(max(statuses.values()))


@_command()
def down(lab: Lab) -> None:
    """Take everything away, from any state."""
    lab.down()


@_command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("machine")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(lab: Lab, *, machine: str, command: tuple[str, ...]) -> None:
    """Run a command on a machine, on this terminal; its exit status is ours."""
    _become(lab.machine(machine), command[command[0] == "--" :])


@_command()
@click.argument("machine")
def shell(lab: Lab, *, machine: str) -> None:
    """Open a root shell on a machine."""
    _become(lab.machine(machine), ("bash", "--login"))


@_command()
@click.argument("machines", nargs=-1, required=True)
def kill(lab: Lab, *, machines: tuple[str, ...]) -> None:
    """Cut the power of machines: every process is killed at once."""
    lab.kill(*machines)


@_command()
@click.argument("machines", nargs=-1)
@click.option(
    "--swap-disks",
    nargs=2,
    metavar="ONE OTHER",
    help="From this boot on, each of two disks of the machine is called as the other was.",
)
@click.option(
    "--swap-nics",
    nargs=2,
    metavar="ONE OTHER",
    help="The same for two interfaces: wires and MAC addresses stay theirs, addresses go by name.",
)
def boot(
    lab: Lab,
    *,
    machines: tuple[str, ...],
    swap_disks: tuple[str, str] | None,
    swap_nics: tuple[str, str] | None,
) -> None:
    """Switch machines on (all that are off, when none is named)."""
    lab.boot(*machines, swap_disks=swap_disks, swap_nics=swap_nics, say=click.echo)


@_command()
@click.argument("one")
@click.argument("other")
def cut(lab: Lab, *, one: str, other: str) -> None:
    """Cut the network between two machines."""
    lab.cut(one, other)


@_command()
@click.argument("one")
@click.argument("other")
def mend(lab: Lab, *, one: str, other: str) -> None:
    """Mend the network between two machines."""
    lab.mend(one, other)


@_command(name="fail-disk")
@click.argument("machine")
@click.argument("disk")
def fail_disk(lab: Lab, *, machine: str, disk: str) -> None:
    """Let a disk (sdb) die: nothing on it can be reached any more."""
    lab.fail_disk(machine, disk)


@_command(name="renew-disk")
@click.argument("machine")
@click.argument("disk")
def renew_disk(lab: Lab, *, machine: str, disk: str) -> None:
    """Put an empty disk, with a serial of its own, in the place of one that failed."""
    lab.renew_disk(machine, disk)


@_command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(lab: Lab, *, as_json: bool) -> None:
    """Show the machines, what failed on them, and what is cut."""
    machines = [lab.machine(name) for name in lab.names()]
    rows = [(machine, machine.state(), machine.failed()) for machine in machines]
    cuts = lab.cuts()
    if as_json:
        found = [
            {
                "name": machine.name,
                "state": state,
                "address": machine.address,
                "pid": machine.pid,
                "failed": failed,
            }
            for machine, state, failed in rows
        ]
        click.echo(json.dumps({"lab": lab.name, "machines": found, "cuts": cuts}))
        return
    for machine, state, failed in rows:
        click.echo(
            "  ".join([machine.name, f"{state:<9}", machine.address, *(f"{unit} failed" for unit in failed)])
        )
    for one, other in cuts:
        click.echo(f"{one} and {other} are cut off from each other")


def _become(machine: Machine, command: tuple[str, ...]) -> None:
    """Turn into the command: its input, output, signals and exit status need nobody in between."""
    argv = machine.argv(command)
    sys.stdout.flush()
    os.execve(argv[0], argv, {**environment(), "TERM": os.environ.get("TERM", "dumb")})  # noqa: S606 - no shell is wanted
