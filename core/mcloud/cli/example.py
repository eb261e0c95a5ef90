"""`mcloud example`: a commented file to start from."""

import click

from mcloud.cli.common import with_plugins
from mcloud.forms import example as file_example
from mcloud.plugins import Plugins


@click.command()
@with_plugins
def example(without: tuple[str, ...]) -> None:
    """Print a commented example of the file.

    It is the file that `mcloud preseed` takes, with all settings of the plugins that are installed here.
    """
    plugins = Plugins.load(without=without)
    click.echo(file_example(plugins.manifests, services=plugins.services), nl=False)
