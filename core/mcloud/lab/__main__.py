"""`python -m mcloud.lab`: the lab's commands alone, for when the rest does not run yet."""

import sys

import click

from mcloud.cli.lab import lab
from mcloud.errors import McloudError

try:
    lab(prog_name="mcloud lab")
except McloudError as error:
    click.echo(f"error: {error}", err=True)
    if error.hint:
        click.echo(f"hint:  {error.hint}", err=True)
    sys.exit(error.exit_code)
