"""`mcloud join`: let this machine become part of a cloud."""

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
    "--initiator-address",
    envvar=ADDRESS_VARIABLE,
    show_envvar=True,
    metavar="HOST",
    help="Name or IP address of the machine where `mcloud init` runs.",
)
@click.option(
    "--port", default=PORT, type=click.IntRange(1, 65535), show_default=True, metavar="TCP", help="Its port."
)
@click.option(
    "--address",
    metavar="IP",
    help="This machine's address for the cloud's own traffic; needed where it has several.",
)
@click.option(
    "--discovery",
    multiple=True,
    default=("static",),
    show_default=True,
    metavar="NAME",
    help="Plugin that finds the initiator; may be repeated.",
)
@click.option(
    "--patience",
    default=600.0,
    type=click.FloatRange(0, min_open=True),
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the initiator.",
)
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
    """Join the cloud that is founded on another machine.

    Asks for the code shown there (or reads it from standard input), waits until the initiator is
    there, and does this machine's part once the plan was confirmed there. Type the same command
    again after an interruption: it goes on where it stopped, without a code.
    """
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
            ask_code=lambda why: _ask_code(screen, why),
        )


def _ask_code(screen: Screen, why: str) -> SecretStr:
    """Ask for the code; it is never an argument, which any user of the machine could read."""
    line = ""
    if screen.can_ask:
        while not line:
            line = screen.ask_line("Code shown by the initiator: ")
    elif not sys.stdin.isatty():
        line = sys.stdin.readline().strip()
    if line:
        return SecretStr(line)
    hint = "give it on standard input, or in a file to `mcloud preseed`"
    if why:
        raise TrustError(why, hint=hint)
    raise SettingsError("the code is missing, and there is no terminal to ask for it", hint=hint)
