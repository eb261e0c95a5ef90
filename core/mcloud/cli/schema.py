"""`mcloud schema`: what editors and other programs check the file with."""

import json

import click

from mcloud.cli.common import with_plugins
from mcloud.forms import schema as file_schema
from mcloud.plugins import Plugins


@click.command()
@with_plugins
def schema(without: tuple[str, ...]) -> None:
    """Print the JSON schema of the file.

    It is for the plugins that are installed here; editors and other programs check the file with it.
    """
    plugins = Plugins.load(without=without)
    found = file_schema(plugins.manifests, services=plugins.services)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))
