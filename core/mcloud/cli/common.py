"""What the commands that form or join a cloud have in common."""

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click

from mcloud.cli.bugs import BUG, logged, write_down
from mcloud.cli.screen import Screen
from mcloud.deadlines import LARGEST
from mcloud.errors import McloudError, SettingsError
from mcloud.here import Here
from mcloud.history import runs
from mcloud.localhost import LocalHost
from mcloud.packages import install, install_line, missing
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.state import State

STOPPED = {
    "not finished": "Stopped. The same command goes on where it stopped; "
    "`mcloud undo` takes back what was done.",
    "being undone": "Stopped. `mcloud undo` goes on where it stopped.",
}
"""What is said after Ctrl-C, by how the latest run stands."""

PLAIN_VARIABLE = "MCLOUD_PLAIN"
"""Set to 1 by those for whom nothing must be redrawn."""

DEADLINES_VARIABLE = "MCLOUD_DEADLINES"
"""Stands for `--deadlines`, for instance in the profile of all who use a slow machine."""

Command = Callable[..., None]


def shown(function: Command) -> Command:
    """Give a command `--json` and `--plain`, a `Screen` as its first argument, and its errors shown there."""

    @click.option("--json", "json_lines", is_flag=True, help="Print one JSON object a line, for programs.")
    @click.option(
        "--plain",
        is_flag=True,
        envvar=PLAIN_VARIABLE,
        show_envvar=True,
        help="Print plain lines, also on a terminal, and pick by numbers: for screen readers.",
    )
    @wraps(function)
    def with_screen(*, json_lines: bool, plain: bool, **arguments: Any) -> None:
        screen = Screen(Secrets(), json_lines=json_lines, plain=plain)
        try:
            with screen.patient():
                function(screen, **arguments)
        except McloudError as error:
            screen.error(error)
            sys.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort) as stopped:
            screen.say(_stopped(), type="stopped")
            sys.exit(getattr(stopped, "exit_code", 130))
        except Exception as error:  # noqa: BLE001 - whatever is left is a bug: two lines to the person, the rest to a file
            screen.bug(error, write_down(error, screen.known))
            sys.exit(BUG)

    return with_screen


def _stopped() -> str:
    try:
        latest = runs(State())[-1:]
    except McloudError:
        latest = ()
    return STOPPED.get(latest[0].outcome if latest else "", "Stopped. Nothing was changed.")


def agreeable(function: Command) -> Command:
    """Give a command `--yes`."""
    return click.option("--yes", is_flag=True, help="Say yes beforehand: ask nothing.")(function)


def unhurried(function: Command) -> Command:
    """Give a command `--deadlines`."""
    return click.option(
        "--deadlines",
        envvar=DEADLINES_VARIABLE,
        show_envvar=True,
        type=click.FloatRange(0, LARGEST, min_open=True),
        callback=_a_number,
        metavar="FACTOR",
        help="Factor for all deadlines: 2 for machines that are half as fast.  [default: the file's, or 1]",
    )(function)


def _a_number(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    if value is not None and math.isnan(value):  # no range leaves it out
        raise click.BadParameter("nan is no number")
    return value


def with_plugins(function: Command) -> Command:
    """Give a command `--without`."""
    return click.option(
        "--without", multiple=True, metavar="NAME", help="Leave this plugin out; may be repeated."
    )(function)


@contextmanager
def this_machine(
    screen: Screen, command: str, without: Sequence[str] = (), *, deadlines: float | None = None
) -> Iterator[Here]:
    """Lock this machine for one command and give what the command works with. Raises McloudError."""
    if os.geteuid() != 0:
        raise McloudError("mcloud changes this machine and must be run as root", hint="try it with sudo")
    host = LocalHost(screen.known, stretch=deadlines or 1.0)
    here = Here(
        plugins=Plugins.load(without=without, stretch=deadlines or 1.0), host=host, known=screen.known
    )
    with here.state.lock(command), logged(here.state.folder, screen.known):
        yield here


def need_packages(here: Here, services: Sequence[str], screen: Screen, *, may_install: bool) -> None:
    """See that the packages of the services are installed; install them if that was asked for."""
    manifests = {name: here.plugins.manifests[name] for name in services}
    lacking = missing(here.host, manifests)
    packages = sorted({package for names in lacking.values() for package in names})
    if not packages:
        return
    if may_install:
        install(here.host, packages, screen.notice)
        return
    raise SettingsError(
        "packages are missing on this machine; nothing was changed",
        problems=[f"{name} needs {', '.join(names)}" for name, names in sorted(lacking.items())],
        hint=f"{install_line(packages)}   (or add --install)",
    )


def refuse_second_cloud(here: Here) -> None:
    """Raise SettingsError if this machine is in a cloud already."""
    record = here.state.read_cloud()
    if record is not None:
        raise SettingsError(
            f"this machine is in cloud {record.get('name', '?')} already",
            hint="`mcloud undo` takes back what formed it here",
        )
