"""`mcloud join`: let this machine become part of a cloud."""

import sys
from collections.abc import Callable

import click
from pydantic import SecretStr

from mcloud.attending import completed, resumed
from mcloud.cli.attend import Way, attend
from mcloud.cli.beginning import own_address_asked
from mcloud.cli.common import need_packages, refuse_second_cloud, shown, this_machine, unhurried, with_plugins
from mcloud.cli.screen import Screen
from mcloud.errors import SettingsError, TrustError
from mcloud.here import Here
from mcloud.inputs import Inputs
from mcloud.session.protocol import PORT

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
    help="This machine's address for the cloud's own traffic; where it has several, else asked.",
)
@click.option(
    "--discovery",
    multiple=True,
    show_default="static with --initiator-address, else mdns",
    metavar="NAME",
    help="Plugin that finds the initiator; may be repeated.",
)
@click.option(
    "--initiator",
    default="",
    metavar="NAME",
    help="Which initiator to join where there are several: its name, or session or address. "
    "[default: the only one; else asked]",
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
@unhurried
@shown
def join(
    screen: Screen,
    initiator_address: str | None,
    port: int,
    address: str | None,
    discovery: tuple[str, ...],
    initiator: str,
    patience: float,
    install: bool,
    deadlines: float | None,
    without: tuple[str, ...],
) -> None:
    """Join the cloud that is founded on another machine.

    Finds it on the network, or by an address that is given. Asks for the code shown there (or reads
    it from standard input), waits until the initiator is there, and does this machine's part once
    the plan was confirmed there. Type the same command again after an interruption: it goes on where
    it stopped, without a code.
    """
    discovery = discovery or (("static",) if initiator_address else ("mdns",))
    with this_machine(screen, "join", without, deadlines=deadlines) as here:
        here.plugins.require(discovery)
        if install:
            need_packages(here, here.plugins.services, screen, may_install=True)
        attend(
            screen,
            here,
            command="join",
            address=_address(screen, here, address),
            services=here.plugins.services,
            way=Way(
                discovery=discovery,
                initiators=((initiator_address, port),) if initiator_address else (),
                wanted=initiator,
                patience=patience,
            ),
            ask_code=_asker(screen),
        )


def _address(screen: Screen, here: Here, wanted: str | None) -> str:
    """Return this machine's address in the cloud: as it was where a run goes on, else asked if need be."""
    joined = resumed(here.state, here.known) or completed(here.state, here.known)
    if wanted is None and joined is not None:
        own = Inputs.model_validate(joined[0].inputs).node(here.host.name)
        if own is not None:
            return own.address
    if joined is None:
        refuse_second_cloud(here)  # before a person is asked anything
    return own_address_asked(here, screen, wanted)


def _asker(screen: Screen) -> Callable[[str], SecretStr]:
    """Return what asks for the code; it is never an argument, which any user of the machine could read."""
    piped: list[SecretStr] = []

    def ask(why: str) -> SecretStr:
        if screen.can_ask:
            line = ""
            while not line:
                line = screen.ask("Code shown by the initiator")
            return SecretStr(line)
        hint = "give it on standard input, or in a file to `mcloud preseed`"
        if why:
            raise TrustError(why, hint=hint)
        if not piped and not sys.stdin.isatty():
            piped.extend(SecretStr(line) for line in [sys.stdin.readline().strip()] if line)
        if not piped:
            raise SettingsError("the code is missing, and there is no terminal to ask for it", hint=hint)
        return piped[0]

    return ask
