"""Waiting for what units of systemd run: one that failed is started anew, or ends the wait with its words."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from mcloud.errors import CommandError, ServiceError
from mcloud.host import Host
from mcloud.steps import StepContext
from mcloud.survey.looking import pairs

T = TypeVar("T")

SECONDS = 30
LINES = 6
"""Lines of a unit's journal that are shown."""
LONGEST = 900
"""Characters of them."""

PAUSES = (0.0, 1.0, 3.0)
"""Seconds after which a unit that failed is started again, the first, second and third time.

What it stumbled over may have been there for a moment only: a server that was just voting, a port that
was not free yet. What fails four times in a row will fail again.
"""

STATE = "ActiveState,SubState,Result"


class _GivenUp(Exception):  # noqa: N818 - never seen outside
    """Units failed too often: ends `StepContext.wait`, which a ServiceError does not."""


def failed_units(host: Host, units: Sequence[str]) -> Mapping[str, str]:
    """Return those of the units that do not run because they failed, each with why and its last words.

    Also one that systemd would start again by itself after a while (`RestartSec=`).
    """
    if not units:
        return {}
    shown = host.run(["systemctl", "show", f"--property={STATE}", *units], check=False, seconds=SECONDS)
    blocks = [block for block in shown.stdout.split("\n\n") if block.strip()]
    states = [dict(pairs(block)) for block in blocks]
    return {
        unit: f"{state['Result']}: {last_words(host, unit)}"
        for unit, state in zip(units, states, strict=False)
        if state.get("ActiveState") == "failed" or state.get("SubState") == "auto-restart"
    }


def last_words(host: Host, unit: str) -> str:
    """Return the last lines of a unit's journal in one, "nothing in its journal" if there are none."""
    asked = ["journalctl", "--unit", unit, f"--lines={LINES}", "--output=cat", "--quiet", "--no-pager"]
    try:
        said = host.run(asked, check=False, seconds=SECONDS).stdout
    except CommandError:
        said = ""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " | ".join(lines)[-LONGEST:] or "nothing in its journal"


class Restarts:
    """Starts units again that fail while something is waited for that they have to bring about."""

    def __init__(self, ctx: StepContext, units: Sequence[str]) -> None:
        """Begin with units that were just started."""
        self._ctx = ctx
        self._units = units
        self._often = dict.fromkeys(units, 0)
        self._since: dict[str, float] = {}

    def mend(self) -> Mapping[str, str]:
        """Forgive (`reset-failed`) what failed and start it again, three times, with growing pauses.

        Return what failed once more after that, each unit with why and its last words.
        """
        host, given_up = self._ctx.host, dict[str, str]()
        for unit, why in failed_units(host, self._units).items():
            often = self._often[unit]
            if often == len(PAUSES):
                given_up[unit] = why
                continue
            since = self._since.setdefault(unit, time.monotonic())
            if time.monotonic() - since >= PAUSES[often] * host.stretch:
                self._ctx.report(f"{unit} failed and is started again ({why})")
                self._often[unit] += 1
                del self._since[unit]
                host.run(["systemctl", "reset-failed", unit], check=False, seconds=SECONDS)
                host.run(["systemctl", "start", unit], check=False)
        return given_up


def wait_with_units(
    ctx: StepContext,
    look: Callable[[], T | None],
    *,
    units: Sequence[str],
    what: str,
    patience: float = 60,
    progress: Callable[[], object] | None = None,
    most: float | None = None,
) -> T:
    """Wait as `StepContext.wait` does for something that these units have to bring about.

    A unit that failed is started again, three times within the wait; then the wait ends at once. Raises
    ServiceError, which names the unit and has the last lines of its journal.
    """
    restarts = Restarts(ctx, units)

    def mend() -> None:
        if failed := restarts.mend():
            raise _GivenUp("; ".join(f"{unit} fails again and again ({why})" for unit, why in failed.items()))

    def look_again() -> T | None:
        try:
            found = look()
        except ServiceError:
            mend()
            raise
        if found is None:
            mend()
        return found

    try:
        return ctx.wait(look_again, what=what, patience=patience, progress=progress, most=most)
    except _GivenUp as error:
        raise ServiceError(
            f"waited for {what}: {error}",
            hint=f"`journalctl -u {units[0]}` says more; when that is put right, run the same command again",
        ) from None
