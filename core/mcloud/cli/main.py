"""The command `mcloud`: every command, and what all of them share."""

import os
import sys
import traceback
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

import mcloud_start
from mcloud.cli.code import code
from mcloud.cli.example import example
from mcloud.cli.init import init
from mcloud.cli.join import join
from mcloud.cli.lab import lab
from mcloud.cli.plugins import plugins
from mcloud.cli.preseed import plan, preseed
from mcloud.cli.schema import schema
from mcloud.cli.screen import error_lines
from mcloud.cli.undo import undo
from mcloud.errors import McloudError
from mcloud.state import State


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("mcloud-cluster"), prog_name="mcloud")
def cli() -> None:
    """Turn a few machines into a private cloud of LXD, Ceph and OVN.

    Type `mcloud init` on one machine and `mcloud join` on the others, or give all of them the same
    file with `mcloud preseed FILE`. A command that was interrupted goes on when it is typed again.
    """


for command in (init, join, preseed, plan, undo, plugins, schema, example, code, lab):
    cli.add_command(command)


def main() -> None:
    """Run the command line; the exit status is that of the error's class, 70 for a bug."""
    if not sys.flags.isolated:  # `python -m mcloud`; the command begins in mcloud_start
        mcloud_start.main()
    os.umask(0o077)
    try:
        cli(prog_name="mcloud", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped. The same command goes on; `mcloud undo` takes back what was done.", err=True)
        sys.exit(130)
    except McloudError as error:
        # Commands show their own errors, with secrets masked; this is for what fails before they can.
        click.echo("\n".join(error_lines(error)), err=True)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - whatever is left is a bug: one line to the person, the rest to a file
        click.echo(f"Error: this is a bug in mcloud or a plugin: {type(error).__name__}", err=True)
        click.echo(f"Hint: what is known of it is in {_write_down(error)}", err=True)
        sys.exit(70)


def _write_down(error: Exception) -> Path:
    """Write a traceback, without the values of variables, where only root can read it."""
    folder = State().folder
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "bugs.log"
    with path.open("a") as log:
        log.write(f"{datetime.now(UTC).isoformat()} {' '.join(sys.argv)}\n")
        log.writelines(traceback.format_exception(error))
    return path
