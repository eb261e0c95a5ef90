"""`mcloud schema`: what editors and other programs check the file with."""

import json

import click

from mcloud.forms import schema as file_schema
from mcloud.plugins import Plugins


@click.command()
def schema() -> None:
    """Print the JSON schema of the file that `mcloud preseed` takes, for the plugins installed here."""
    plugins = Plugins.load()
    found = file_schema(plugins.manifests, services=plugins.services)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))
