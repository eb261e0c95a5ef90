"""`mcloud code`: a code for a file."""

import click

from mcloud.session.code import make_code


@click.command()
@click.option("--words", default=6, show_default=True, type=click.IntRange(4, 12), help="How many words.")
def code(words: int) -> None:
    """Make a code for the file of `mcloud preseed`."""
    click.echo(make_code(words).get_secret_value())
