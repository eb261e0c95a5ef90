"""`mcloud bundle`: everything that helps to find a fault, in one archive without secrets."""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from mcloud.bundle import parts, write_bundle
from mcloud.cli.common import shown
from mcloud.cli.screen import Screen
from mcloud.errors import McloudError
from mcloud.localhost import LocalHost
from mcloud.plugins import Plugins
from mcloud.session.certificates import load
from mcloud.state import State


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@shown
def bundle(screen: Screen, file: Path | None) -> None:
    """Collect what helps to find a fault, without secrets.

    Journals, logs, versions, the survey of this machine and what the services say.

    Changes nothing, works beside a run that hangs, and waits for no service longer than 20 seconds.
    Secrets are masked; look through the archive all the same before you pass it on: it holds names,
    addresses and serial numbers. FILE is a .tar.gz.
    """
    if os.geteuid() != 0:
        raise McloudError("what a bundle is made of can be read by root alone", hint="try it with sudo")
    state, host = State(), LocalHost(screen.known)
    with suppress(McloudError, OSError):  # damaged: all the more a reason for a bundle, which never holds it
        own = load(certificate_path=state.certificate_path, key_path=state.key_path)
        if own is not None:
            screen.known.add(own.key)
    name = f"mcloud-{host.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    path = file or Path(f"{name}.tar.gz")
    screen.notice("asking this machine and its services")
    try:
        missing = write_bundle(path, parts(host, state, Plugins.load()), folder=name, known=screen.known)
    except OSError as error:
        raise McloudError(
            f"{path} cannot be written: {error.strerror}", hint="name another file: `mcloud bundle FILE`"
        ) from None
    for part, reason in missing.items():
        screen.say(f"missing: {part} ({reason})", type="missing", part=part, reason=reason)
    screen.say(f"Written: {path}", "bold", type="bundle", file=str(path), missing=missing)
