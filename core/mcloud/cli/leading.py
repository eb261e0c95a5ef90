"""The initiator's side of `init`, `preseed` and `plan`, from an order to the tables at the end."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from mcloud.cli.common import refuse_second_cloud
from mcloud.cli.result import show_fallen, show_result
from mcloud.cli.screen import Screen
from mcloud.cli.stopping import WHY, stoppable
from mcloud.completing import Complete, as_ordered
from mcloud.errors import McloudError, RunFailed
from mcloud.forming import Forming
from mcloud.here import Here
from mcloud.journal import Journal
from mcloud.model import Check, Role
from mcloud.order import Order
from mcloud.rosters import lacking, over
from mcloud.selecting import Select
from mcloud.session.protocol import OutlookLine


def lead(
    screen: Screen,
    here: Here,
    order: Order,
    *,
    address: str,
    select: Select,
    complete: Complete = as_ordered,
    confirmed: Callable[[], None] = lambda: None,
) -> None:
    """Form the cloud that was ordered, or go on with the unfinished run of the same order.

    `confirmed` is called when the plan was, before anything is changed. Ends with the exit status of a
    failed run if the cloud was formed, but not of all machines.
    """
    journal = unfinished(here, order)
    if journal is None:
        refuse_second_cloud(here)
    else:
        _say_going_on(screen, journal)
    credentials = here.credentials()
    forming = Forming(
        plugins=here.plugins,
        host=here.host,
        state=here.state,
        known=here.known,
        credentials=credentials,
        node=here.describe(address, order.services, fingerprint=credentials.fingerprint, founder=True),
        order=order,
        operator=Confirming(screen, confirmed),
        watch=screen.happened,
        select=select,
        complete=complete,
        journal=journal,
    )
    with stoppable(screen, lambda: forming.stop(WHY)), screen.running():
        cloud = forming.form()
    _tell(screen, here, order, forming, cloud)


def _say_going_on(screen: Screen, journal: Journal) -> None:
    screen.notice(f"going on with run {journal.header['run']}")
    if journal.finished:
        who = ", ".join(lacking(journal))
        screen.notice(f"{who} shall come in now: type the same command there, and on all other machines")


@dataclass
class Confirming:
    """The screen as `Operator`, and what else is to be done once the plan is confirmed."""

    screen: Screen
    confirmed: Callable[[], None]

    def notice(self, text: str) -> None:
        """Show one line about the session."""
        self.screen.notice(text)

    def machine(self, name: str, state: str) -> None:
        """Know where a joiner is now."""
        self.screen.machine(name, state)

    def show_code(self, code: SecretStr, *, renewed: bool) -> None:
        """Show the code that joiners are to be given."""
        self.screen.show_code(code, renewed=renewed)

    def show_plans(self, plans: Mapping[str, Sequence[OutlookLine]], checks: Sequence[Check]) -> None:
        """Show what will be done on each machine."""
        self.screen.show_plans(plans, checks)

    def confirm(self, destroys: Sequence[str]) -> bool:
        """Return whether the plan may be carried out."""
        agreed = self.screen.confirm(destroys)
        if agreed:
            self.confirmed()
        return agreed


def _tell(screen: Screen, here: Here, order: Order, forming: Forming, cloud: Mapping[str, Any]) -> None:
    """Show what came of it."""
    if order.purpose == "plan":
        screen.say("Nothing was changed; `mcloud preseed FILE` on all carries it out.", type="planned")
    if cloud:
        show_result(screen, here, cloud, forming.checks)
        if fallen := _fallen(forming, cloud):
            show_fallen(screen, fallen, cloud["name"])
            sys.exit(RunFailed.exit_code)


def _fallen(forming: Forming, cloud: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the machines that were to be in the cloud and are not, or not wholly, and why."""
    confirmed = forming.journal.header["nodes"] if forming.journal else ()
    members = {member["name"] for member in cloud["members"]}
    gone = {node["name"] for node in confirmed} - members
    return {**dict.fromkeys(sorted(gone), "it fell out before this command went on"), **forming.fallen}


def unfinished(here: Here, order: Order) -> Journal | None:
    """Return the run of the same order that can go on: unfinished, or finished without some machines.

    Raises McloudError if there is an unfinished one of another order.
    """
    entry = here.state.unfinished(lambda path: over(Journal.open(path, here.known)))
    if entry is None or order.purpose == "plan":
        return None
    journal = Journal.open(here.state.journal_path(entry.id), here.known)
    if entry.role is Role.INITIATOR and entry.digest == order.digest:
        return journal
    if journal.finished:
        return None
    raise McloudError(
        f"run {entry.id} of `mcloud {entry.command}` is not finished here, and this is another order",
        hint="go on with that one by its own command and settings, or take it back with `mcloud undo`",
    )
