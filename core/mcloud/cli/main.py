"""The command `mcloud`: every command, and what all of them share."""

import io
import os
import sys
from importlib.metadata import version

import click

import mcloud_start
from mcloud.cli.bugs import BUG, write_down
from mcloud.cli.bundle import bundle
from mcloud.cli.code import code
from mcloud.cli.example import example
from mcloud.cli.init import init
from mcloud.cli.join import join
from mcloud.cli.lab import lab
from mcloud.cli.leaving import leave
from mcloud.cli.plugins import plugins
from mcloud.cli.preseed import plan, preseed
from mcloud.cli.reset import reset
from mcloud.cli.runs import runs
from mcloud.cli.schema import schema
from mcloud.cli.screen import Screen
from mcloud.cli.undo import undo
from mcloud.errors import McloudError, SettingsError
from mcloud.secrets import Secrets


class _InOrder(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Return the commands in the order of their use."""
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("mcloud-cluster"), prog_name="mcloud")
def cli() -> None:
    """Turn a few machines into a private cloud of LXD, Ceph and OVN.

    Type `mcloud init` on one machine and `mcloud join` on the others, or give all of them the same
    file with `mcloud preseed FILE`. A command that was interrupted goes on when it is typed again.
    """


for command in (init, join, preseed, plan, undo, reset, runs, bundle, example, schema, code, plugins, lab):
    cli.add_command(command)


def main() -> None:
    """Run the command line; the exit status is that of the error's class, 70 for a bug."""
    try:
        _main()
    except SystemExit as leaving:
        leave(leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None))
        raise
    leave(0)


def _main() -> None:
    if not sys.flags.isolated:  # `python -m mcloud`; the command begins in mcloud_start
        mcloud_start.main()
    os.umask(0o077)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Commands show their own errors, with secrets masked; this is for what fails before they can.
    screen = Screen(Secrets(), json_lines="--json" in sys.argv)
    try:
        cli(prog_name="mcloud", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        if screen.mode == "json":
            screen.error(SettingsError(error.format_message(), hint="see `mcloud --help`"))
        else:
            error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as stopped:
        screen.say("Stopped.", type="stopped")
        sys.exit(getattr(stopped, "exit_code", 130))
    except McloudError as error:
        screen.error(error)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - whatever is left is a bug: two lines to the person, the rest to a file
        screen.bug(error, write_down(error, screen.known))
        sys.exit(BUG)
