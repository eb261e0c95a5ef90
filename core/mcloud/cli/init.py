"""`mcloud init`: found a cloud and let others join; all questions come before the first change."""

from dataclasses import dataclass, replace
from pathlib import Path

import click

from mcloud.answersfile import NAME, write
from mcloud.cli.beginning import answers_needed, joiners_wanted, own_address_asked, services_asked
from mcloud.cli.common import (
    agreeable,
    need_packages,
    refuse_second_cloud,
    shown,
    this_machine,
    unhurried,
    with_plugins,
)
from mcloud.cli.leading import lead, unfinished
from mcloud.cli.screen import Screen
from mcloud.errors import McloudError
from mcloud.forms.defaults import Defaults
from mcloud.here import Here
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.order import Order
from mcloud.prompting import Prompter
from mcloud.questionnaire import Questionnaire, secrets_again
from mcloud.selecting import Select, everyone, picked, so_many
from mcloud.session.protocol import PORT

QUIET = 10.0
"""Seconds without a newcomer after which --all takes those who are here."""


@dataclass(frozen=True, kw_only=True)
class Typed:
    """The options of one `mcloud init`."""

    name: str
    address: str | None
    services: tuple[str, ...]
    expect: int | None
    everyone: bool
    defaults: bool
    answers: Path | None
    install: bool


@dataclass
class Kept:
    """The answers, kept as a file: when the plan is confirmed, or when the person says so."""

    screen: Screen
    questionnaire: Questionnaire
    path: Path
    written: bool = False

    def write(self) -> None:
        """Write the file."""
        if self.questionnaire.tree is not None:
            write(self.path, self.questionnaire.tree)
            self.written = True
            self.screen.notice(f"the answers are kept in {self.path}, for `mcloud preseed`")

    def offer(self) -> None:
        """Ask whether to write it, if there are answers that somebody gave."""
        asked = self.questionnaire.tree is not None and self.questionnaire.again
        question = f"Keep the answers in {self.path}, for `mcloud preseed`?"
        if asked and not self.written and self.screen.agree(question, default=True):
            self.write()


@click.command()
@click.option("--name", default="cloud", show_default=True, help="The cloud's name.")
@click.option(
    "--address",
    metavar="IP",
    help="This machine's address for the cloud's own traffic; where it has several, else asked.",
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
    default=("mdns", "static"),
    show_default=True,
    metavar="NAME",
    help="Plugin by which joiners find this machine; may be repeated.",
)
@click.option(
    "--expect", type=click.IntRange(0, 49), metavar="N", help="Take the machines as soon as N have joined."
)
@click.option(
    "--all",
    "all_",
    is_flag=True,
    help=f"Take all machines that join, once none came for {QUIET:.0f} s. Without this and --expect: asked.",
)
@click.option(
    "--all-or-nothing", is_flag=True, help="When one machine fails, stop them all. Else the others go on."
)
@click.option("--defaults", is_flag=True, help="Ask nothing: take the default of every question.")
@click.option(
    "--answers",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to keep the answers, for `mcloud preseed`.  [default: answers.yaml in /var/lib/mcloud]",
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
@unhurried
@shown
def init(
    screen: Screen,
    name: str,
    address: str | None,
    port: int,
    services: tuple[str, ...],
    discovery: tuple[str, ...],
    expect: int | None,
    all_: bool,
    all_or_nothing: bool,
    defaults: bool,
    answers: Path | None,
    patience: float,
    install: bool,
    yes: bool,
    deadlines: float | None,
    without: tuple[str, ...],
) -> None:
    """Found a cloud here and let other machines join.

    Shows the code that `mcloud join` asks for on the others, asks which of them to take and how to set
    up the services, shows the plan of every machine, and asks before anything is changed. The answers
    are kept in a file that `mcloud preseed` takes. Type the same command again after an interruption or
    a failure: it goes on where it stopped, without asking again.
    """
    screen.yes = yes
    typed = Typed(
        name=name,
        address=address,
        services=tuple(sorted(services)),
        expect=expect,
        everyone=all_,
        defaults=defaults,
        answers=answers,
        install=install,
    )
    with this_machine(screen, "init", without, deadlines=deadlines) as here:
        here.plugins.require((*services, *discovery))
        order = Order(
            command="init",
            cloud=name,
            services=typed.services,
            expect=expect,
            given={"cloud": {"name": name}},
            discovery=discovery,
            port=port,
            patience=patience,
            others="stop" if all_or_nothing else "go-on",
            deadlines=here.host.stretch,
            typed={"name": name, "services": typed.services, "expect": expect, "all": all_},
        )
        journal = unfinished(here, order)
        if journal is None:
            _begin(screen, here, order, typed)
        else:
            _go_on(screen, here, order, journal)


def _begin(screen: Screen, here: Here, order: Order, typed: Typed) -> None:
    """Ask what is to be known before machines meet, then lead."""
    refuse_second_cloud(here)
    prompter: Prompter = Defaults() if typed.defaults else screen
    answers_needed(screen, here, typed.services, defaults=typed.defaults, counted=_counted(typed))
    address = own_address_asked(here, prompter, typed.address)
    chosen = services_asked(here, prompter, typed.services)
    need_packages(here, chosen, screen, may_install=typed.install)
    others = _counted(typed) or joiners_wanted(prompter)
    questionnaire = Questionnaire(
        plugins=here.plugins,
        known=here.known,
        prompter=prompter,
        tell=screen.notice,
        again=screen.can_ask and not typed.defaults,
    )
    kept = Kept(screen, questionnaire, typed.answers or here.state.folder / NAME)
    try:
        lead(
            screen,
            here,
            replace(order, services=chosen, expect=typed.expect if others else 0),
            address=address,
            select=_select(typed, prompter),
            complete=questionnaire,
            confirmed=kept.write,
        )
    except McloudError:
        kept.offer()
        raise


def _go_on(screen: Screen, here: Here, order: Order, journal: Journal) -> None:
    """Go on with the unfinished run: all that was asked is in its journal, but secrets."""
    inputs = Inputs.model_validate(journal.inputs)
    secrets = secrets_again(inputs, here.plugins, screen)
    here.keep_secret(secrets)
    lead(
        screen,
        here,
        replace(
            order, services=inputs.services, secrets=secrets, expect=order.expect if inputs.joiners else 0
        ),
        address=inputs.founder.address,
        select=so_many(len(inputs.joiners)),
    )


def _counted(typed: Typed) -> bool:
    """Whether it is said which machines to take."""
    return typed.expect is not None or typed.everyone


def _select(typed: Typed, prompter: Prompter) -> Select:
    if typed.expect is not None:
        return so_many(typed.expect)
    return everyone(QUIET) if typed.everyone else picked(prompter)
