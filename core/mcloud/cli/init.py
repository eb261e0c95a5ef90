"""`mcloud init`: found a cloud and let others join."""

import sys
from collections.abc import Callable

import click

from mcloud.cli.common import need_packages, shown, this_machine, with_plugins
from mcloud.cli.leading import lead
from mcloud.cli.screen import Screen
from mcloud.errors import SettingsError
from mcloud.forms import plain
from mcloud.here import Here, own_address
from mcloud.order import Order
from mcloud.session.initiator import Initiator
from mcloud.session.protocol import PORT
from mcloud.survey import survey


@click.command()
@click.option("--name", default="cloud", show_default=True, help="The cloud's name.")
@click.option("--address", help="This machine's address for the cloud's own traffic.")
@click.option("--port", default=PORT, show_default=True, help="TCP port joiners dial.")
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="NAME",
    help="A service to set up; default: all installed.",
)
@click.option(
    "--discovery",
    multiple=True,
    default=("static",),
    show_default=True,
    metavar="NAME",
    help="How joiners find this machine.",
)
@click.option("--expect", type=click.IntRange(0, 49), help="How many joiners to wait for, without asking.")
@click.option("--patience", default=600.0, show_default=True, help="Seconds to wait for machines.")
@click.option("--install", is_flag=True, help="Install missing packages first (not undone by `undo`).")
@with_plugins
@shown
def init(
    screen: Screen,
    name: str,
    address: str | None,
    port: int,
    services: tuple[str, ...],
    discovery: tuple[str, ...],
    expect: int | None,
    patience: float,
    install: bool,
    without: tuple[str, ...],
) -> None:
    """Found a cloud on this machine, show the code, and let the machines that know it join.

    All settings have their defaults; a file (`mcloud example`, `mcloud preseed`) sets more.
    """
    if expect is None and not sys.stdin.isatty():
        raise SettingsError(
            "how many machines shall join?", hint="there is no terminal to ask at: add --expect N"
        )
    with this_machine(screen, "init", without) as here:
        chosen = services or _installed(here)
        here.plugins.require((*chosen, *discovery))
        need_packages(here, chosen, screen, may_install=install)
        order = Order(
            command="init",
            cloud=name,
            services=tuple(sorted(chosen)),
            expect=expect,
            settings={
                plugin: plain(model())
                for plugin in chosen
                if (model := here.plugins.manifests[plugin].settings)
            },
            given={"cloud": {"name": name}, "services": sorted(chosen), "expect": expect},
            discovery=discovery,
            port=port,
            patience=patience,
        )
        lead(screen, here, order, address=own_address(survey(here.host), address), ready=_ready(expect))


def _installed(here: Here) -> tuple[str, ...]:
    """Return the services whose plugin says that they are installed here."""
    found = {name: here.plugins.inspect(name, host=here.host) for name in here.plugins.services}
    return tuple(name for name, state in found.items() if state is not None and state.installed)


def _ready(expect: int | None) -> Callable[[Initiator], bool]:
    """Return what says whether all have come: so many, or the operator's word after each newcomer."""
    asked_for: set[frozenset[str]] = set()

    def ready(initiator: Initiator) -> bool:
        here = initiator.lobby.here()
        if expect is not None:
            return len(here) >= expect
        names = frozenset(guest.name for guest in here)
        if not names or names in asked_for:
            return False
        asked_for.add(names)
        return click.confirm(f"Here: {', '.join(sorted(names))}. Are these all?", default=False)

    return ready
