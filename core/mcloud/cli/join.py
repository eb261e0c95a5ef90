"""`mcloud join`: let this machine become part of a cloud."""

import os
import sys

import click
from pydantic import SecretStr

from mcloud.cli.attend import attend
from mcloud.cli.common import need_packages, shown, this_machine, with_plugins
from mcloud.cli.screen import Screen
from mcloud.errors import SettingsError, TrustError
from mcloud.here import own_address
from mcloud.session.protocol import PORT
from mcloud.survey import survey

ADDRESS_VARIABLE = "MCLOUD_INITIATOR_ADDRESS"


@click.command()
@click.option(
    "--initiator-address", envvar=ADDRESS_VARIABLE, show_envvar=True, help="Where `mcloud init` runs."
)
@click.option("--port", default=PORT, show_default=True, help="TCP port of the initiator.")
@click.option("--address", help="This machine's address for the cloud's own traffic.")
@click.option(
    "--discovery",
    multiple=True,
    default=("static",),
    show_default=True,
    metavar="NAME",
    help="How to find it.",
)
@click.option("--patience", default=600.0, show_default=True, help="Seconds to wait for the initiator.")
@click.option("--install", is_flag=True, help="Install missing packages of all services first.")
@with_plugins
@shown
def join(
    screen: Screen,
    initiator_address: str | None,
    port: int,
    address: str | None,
    discovery: tuple[str, ...],
    patience: float,
    install: bool,
    without: tuple[str, ...],
) -> None:
    """Join the cloud that `mcloud init` founds on another machine; asks for the code shown there."""
    with this_machine(screen, "join", without) as here:
        here.plugins.require(discovery)
        if install:
            need_packages(here, here.plugins.services, screen, may_install=True)
        attend(
            screen,
            here,
            command="join",
            address=own_address(survey(here.host), address),
            services=here.plugins.services,
            discovery=discovery,
            initiators=((initiator_address, port),) if initiator_address else (),
            patience=patience,
            ask_code=_ask_code,
        )


def _ask_code(_why: str) -> SecretStr:
    """Ask for the code; it is never an argument, which any user of the machine could read."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline() if not os.isatty(0) else ""
        if not line.strip():
            raise (TrustError if _why else SettingsError)(
                _why or "the code is missing, and there is no terminal to ask for it",
                hint="give it on standard input, or in a file to `mcloud preseed`",
            )
        return SecretStr(line.strip())
    return SecretStr(click.prompt("Code shown by the initiator", hide_input=False))
