"""Run this machine's own tools for the lab."""

from collections.abc import Sequence

from mcloud.errors import CommandError
from mcloud.localhost import LocalHost
from mcloud.secrets import Secrets

_HERE = LocalHost(Secrets())  # the lab knows no secrets


def execute(argv: Sequence[str], *, stdin: str | None = None, seconds: float = 60) -> str:
    """Run a tool to its end and return what it printed; CommandError if it fails or takes longer."""
    return _HERE.run(argv, stdin=stdin, seconds=seconds).stdout


def succeeds(argv: Sequence[str]) -> bool:
    """Run a tool whose failure is an answer: what is to go away may be gone already."""
    try:
        return _HERE.run(argv, check=False).ok
    except CommandError:
        return False
