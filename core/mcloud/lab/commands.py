"""Run the kernel's own tools on this machine and say plainly what they answered."""

import subprocess
from collections.abc import Sequence

from mcloud.errors import CommandError

LAST_LINES = 5


def execute(argv: Sequence[str], *, stdin: str | None = None, patience: float = 60) -> str:
    """Run a tool to its end within `patience` seconds and return what it printed.

    Raises CommandError with the tool's last lines when it fails or does not end.
    """
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{_shown(argv)}: did not end within {patience:g} s") from error
    except FileNotFoundError as error:
        raise CommandError(f"{argv[0]}: no such program", hint=f"install what has {argv[0]}") from error
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-LAST_LINES:])
        raise CommandError(
            f"{_shown(argv)}: exit status {done.returncode}\n{said}",
            exit_status=done.returncode,
            stderr=done.stderr,
        )
    return done.stdout


def succeeds(argv: Sequence[str], *, stdin: str | None = None, patience: float = 60) -> bool:
    """Run a tool whose failure is an answer (what is to go away may be gone already)."""
    try:
        execute(argv, stdin=stdin, patience=patience)
    except CommandError:
        return False
    return True


def _shown(argv: Sequence[str]) -> str:
    return " ".join(argv)
