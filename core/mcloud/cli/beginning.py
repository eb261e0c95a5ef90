"""What `mcloud init` asks before machines meet: own address, services, and whether others will join."""

from collections.abc import Sequence

from mcloud.cli.screen import Screen
from mcloud.errors import McloudError, SettingsError
from mcloud.forms.questions import questions
from mcloud.here import Here, addresses, own_address
from mcloud.packages import install_line, missing
from mcloud.prompting import Pick, Prompter, Row
from mcloud.survey import survey

TAKE = "--expect N or --all"
WHICH_ADDRESS = "Which address do the machines talk to each other by?"
OTHERS = "Will other machines join?"


def answers_needed(
    screen: Screen, here: Here, services: Sequence[str], *, defaults: bool, counted: bool
) -> None:
    """Fail at once where an answer will be missing: nobody can be asked, and it was not said beforehand."""
    if screen.can_ask and not defaults:
        return
    if not counted:
        hint = "with --defaults" if defaults else "there is no terminal to ask at"
        raise SettingsError("how many machines shall join?", hint=f"{hint}: add {TAKE}")
    if not defaults:
        put = questions(here.plugins.manifests, services or here.plugins.services)
        if put:
            raise SettingsError(
                f"an answer is missing: {put[0].ask.prompt.rstrip('?')}",
                hint="there is no terminal to ask at: --defaults takes every default, "
                f"or give {put[0].otherwise}",
            )


def own_address_asked(here: Here, prompter: Prompter, wanted: str | None) -> str:
    """Return this machine's address in the cloud, asking where several interfaces have one."""
    seen = survey(here.host)
    carrying = [(nic, own) for nic in seen.nics for own in nic.addresses if own.ip in addresses(seen)]
    if wanted is not None or len({nic.name for nic, _own in carrying}) < 2:  # noqa: PLR2004 - a choice
        return own_address(seen, wanted)
    rows = [Row(key=str(own.ip), cells=(str(own), nic.name)) for nic, own in carrying]
    pick = Pick(
        question=WHICH_ADDRESS,
        columns=("ADDRESS", "INTERFACE"),
        rows=lambda: rows,
        least=1,
        most=1,
        otherwise=f"--address IP ({', '.join(row.key for row in rows)})",
    )
    return prompter.pick(pick)[0]


def services_asked(here: Here, prompter: Prompter, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the services to set up: those that were named, or all that are installed."""
    if wanted:
        return tuple(wanted)
    found = {name: here.plugins.inspect(name, host=here.host) for name in here.plugins.services}
    chosen = tuple(name for name, state in found.items() if state is not None and state.installed)
    lacking = [name for name, state in found.items() if state is not None and not state.installed]
    if not chosen:
        raise SettingsError(
            f"no service is installed here, of {', '.join(found) or 'none that mcloud knows'}",
            hint="name those that are wanted by --service and add --install",
        )
    if lacking and not prompter.agree(
        f"Not installed here: {', '.join(lacking)}. Go on without?",
        default=True,
        otherwise="--service NAME for each one that is wanted",
    ):
        packages = missing(here.host, {name: here.plugins.manifests[name] for name in lacking})
        names = sorted({package for those in packages.values() for package in those})
        line = f"{install_line(names)}, or " if names else ""
        raise McloudError(
            "nothing was changed", hint=f"{line}name the services by --service and add --install"
        )
    return chosen


def joiners_wanted(prompter: Prompter) -> bool:
    """Return whether machines are to be waited for."""
    return prompter.agree(OTHERS, default=True, otherwise=TAKE)
