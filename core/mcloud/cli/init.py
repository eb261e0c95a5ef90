"""`mcloud init`: found a cloud and let others join."""

import click

from mcloud.cli.asking import AreTheseAll
from mcloud.cli.common import agreeable, need_packages, shown, this_machine, with_plugins
from mcloud.cli.leading import lead
from mcloud.cli.screen import Screen
from mcloud.errors import SettingsError
from mcloud.forms import plain
from mcloud.here import Here, own_address
from mcloud.meeting import Meeting
from mcloud.order import Order
from mcloud.selecting import Select, so_many
from mcloud.session.protocol import PORT
from mcloud.survey import survey


@click.command()
@click.option("--name", default="cloud", show_default=True, help="The cloud's name.")
@click.option(
    "--address",
    metavar="IP",
    help="This machine's address for the cloud's own traffic; needed where it has several.",
)
@click.option(
    "--port",
    default=PORT,
    type=click.IntRange(1, 65535),
    show_default=True,
    metavar="TCP",
    help="Port that joiners dial.",
)
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="NAME",
    help="Service to set up; may be repeated.  [default: all that are installed here]",
)
@click.option(
    "--discovery",
    multiple=True,
    default=("static",),
    show_default=True,
    metavar="NAME",
    help="Plugin by which joiners find this machine; may be repeated.",
)
@click.option(
    "--expect",
    type=click.IntRange(0, 49),
    metavar="N",
    help="Go on when N machines have joined; without it a person is asked.",
)
@click.option(
    "--patience",
    default=600.0,
    type=click.FloatRange(0, min_open=True),
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for machines.",
)
@click.option("--install", is_flag=True, help="Install missing packages first; `undo` does not remove them.")
@with_plugins
@agreeable
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
    yes: bool,
    without: tuple[str, ...],
) -> None:
    """Found a cloud here and let other machines join.

    Shows the code that `mcloud join` asks for on the others; then the plan of every machine, and asks
    before anything is changed. All settings have their defaults; a file (`mcloud example`, `mcloud
    preseed`) sets more. Type the same command again after an interruption or a failure: it goes on
    where it stopped.
    """
    screen.yes = yes
    if expect is None and not screen.can_ask:
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
        own = own_address(survey(here.host), address)
        lead(
            screen, here, order, address=own, select=so_many(expect) if expect is not None else _asked(screen)
        )


def _installed(here: Here) -> tuple[str, ...]:
    """Return the services whose plugin says that they are installed here."""
    found = {name: here.plugins.inspect(name, host=here.host) for name in here.plugins.services}
    return tuple(name for name, state in found.items() if state is not None and state.installed)


def _asked(screen: Screen) -> Select:
    """Take all who are here once the operator has said, after a newcomer, that these are all."""
    asked = AreTheseAll(screen.output)

    def select(meeting: Meeting) -> tuple[str, ...]:
        lobby = meeting.initiator.lobby

        def names() -> tuple[str, ...]:
            return tuple(guest.name for guest in lobby.here())

        meeting.wait(lambda: asked(names(), lobby.note), "the machines that are expected")
        return names()

    return select
