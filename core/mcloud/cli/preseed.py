"""`mcloud preseed FILE` and `mcloud plan FILE`: the same file on every machine, each finds its own part."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import click
from pydantic import SecretStr

from mcloud.cli.attend import Way, attend
from mcloud.cli.common import need_packages, shown, this_machine, unhurried, with_plugins
from mcloud.cli.leading import lead
from mcloud.cli.screen import Screen
from mcloud.cli.undo import take_back_failed
from mcloud.errors import McloudError, SettingsError, TrustError
from mcloud.forms import Preseed, read_file
from mcloud.here import Here
from mcloud.order import code_of, order_of, said
from mcloud.selecting import expected

Purpose = Literal["run", "plan"]


@click.command()
@click.argument("file")
@click.option("--install", is_flag=True, help="Install missing packages first; `undo` does not remove them.")
@with_plugins
@unhurried
@shown
def preseed(
    screen: Screen, file: str, install: bool, without: tuple[str, ...], deadlines: float | None
) -> None:
    """Form or join the cloud that a file describes.

    Typed on every machine, with the same FILE (- for standard input); each machine finds its own part
    by its host name. The file's word is final: what it says may be wiped is wiped without a question
    (`mcloud plan FILE` shows it before). Type the same command again after an interruption or a
    failure: it goes on where it stopped.
    """
    screen.yes = True
    _follow(screen, file, "run", install=install, without=without, deadlines=deadlines)


@click.command()
@click.argument("file")
@with_plugins
@unhurried
@shown
def plan(screen: Screen, file: str, without: tuple[str, ...], deadlines: float | None) -> None:
    """Show what `mcloud preseed FILE` would do.

    Typed on every machine, with the same FILE; changes nothing. The initiator shows the plans of all
    machines, with what would be destroyed.
    """
    _follow(screen, file, "plan", install=False, without=without, deadlines=deadlines)


def _follow(
    screen: Screen,
    file: str,
    purpose: Purpose,
    *,
    install: bool,
    without: tuple[str, ...],
    deadlines: float | None,
) -> None:
    command = "preseed" if purpose == "run" else "plan"
    with this_machine(screen, command, without, deadlines=deadlines) as here:
        path = None if file == "-" else Path(file)
        broken = {one.name: one.reason for one in here.plugins.broken.values()}
        broken |= dict.fromkeys(without, "left out by --without")
        read = read_file(path, here.plugins.manifests, services=here.plugins.services, broken=broken)
        here.plugins.require((*read.services, *read.meet.discovery, read.meet.trust))
        here.host.stretch = deadlines or read.cloud.deadlines
        own = read.machine(here.host.name)
        if own is None:
            raise SettingsError(
                f"the file does not name this machine, {here.host.name}",
                hint=f"it names {', '.join(machine.name for machine in read.machines)}",
            )
        need_packages(here, read.services, screen, may_install=install)
        part = _lead if own.name == read.cloud.initiator else _attend
        try:
            part(screen, here, read, str(own.address), purpose)
        except McloudError as error:
            if purpose == "run" and read.cloud.on_failure == "undo":
                digest = order_of(read, command="preseed").digest
                error.hint = take_back_failed(screen, here, digest) or error.hint
            raise


def _lead(screen: Screen, here: Here, read: Preseed, address: str, purpose: Purpose) -> None:
    order = order_of(read, command="preseed", purpose=purpose)
    order = replace(order, deadlines=here.host.stretch)
    here.keep_secret(order.secrets)
    others = [machine.name for machine in read.machines if machine.name != here.host.name]
    lead(screen, here, order, address=address, select=expected(others))


def _attend(screen: Screen, here: Here, read: Preseed, address: str, purpose: Purpose) -> None:
    code = code_of(read)
    initiator = read.machine(read.cloud.initiator)
    where = read.meet.initiator_address or (initiator and initiator.address)

    def ask(why: str) -> SecretStr:
        if why or code is None:
            raise TrustError(why or "the file has no code", hint="give every machine the same file")
        return code

    attend(
        screen,
        here,
        command="preseed",
        address=address,
        services=read.services,
        way=Way(
            discovery=read.meet.discovery,
            initiators=((str(where), read.meet.port),),
            wanted=read.cloud.initiator,
            settings=read.plugin_settings,
            patience=read.meet.patience.total_seconds(),
        ),
        ask_code=ask,
        given=said(read),
        purpose=purpose,
    )
