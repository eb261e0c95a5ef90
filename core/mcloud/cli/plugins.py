"""`mcloud plugins`: what is installed, and what is broken."""

import json

import click

from mcloud.plugins import Plugins


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def plugins(*, as_json: bool) -> None:
    """List all plugins, the broken ones with the reason."""
    found = Plugins.load()
    rows = [
        {"name": name, "version": found.versions.get(name, ""), "summary": manifest.summary, "broken": ""}
        for name, manifest in found.manifests.items()
    ] + [
        {"name": broken.name, "version": "", "summary": "", "broken": broken.reason}
        for broken in found.broken.values()
    ]
    rows.sort(key=lambda row: row["name"])
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        what = f"BROKEN: {row['broken']}" if row["broken"] else row["summary"]
        click.echo(f"{row['name']:12} {row['version']:8} {what}")
