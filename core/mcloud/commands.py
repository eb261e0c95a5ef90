"""What to tell a person about a command that failed."""

import re
import shlex
import signal
from collections.abc import Sequence

from mcloud.deadlines import advice
from mcloud.errors import CommandError
from mcloud.escapes import without_escapes
from mcloud.host import Result
from mcloud.secrets import Secrets

_WORD = re.compile(r"[a-z][a-z0-9-]{1,30}")

_LINES = 3
_WIDTH = 600


def not_there(argv: Sequence[str], *, reason: str = "") -> CommandError:
    """Make the error for a program that is not there, or that the kernel refuses to start."""
    if reason:
        return CommandError(f"{argv[0]} cannot be started on this machine: {reason}")
    return CommandError(
        f"there is no program {argv[0]} on this machine",
        hint="install the package that has it, or give --install to have mcloud do it",
    )


def ended_late(
    argv: Sequence[str], *, seconds: float, stretch: float, stdout: str, stderr: str, secrets: Secrets
) -> CommandError:
    """Make the error for a command that was killed at its deadline, `seconds` times `stretch`."""
    words = _last_words(stderr, secrets) or _last_words(stdout, secrets)
    late = f"still running after {seconds * stretch:g} s and was killed"
    return CommandError(
        f"{_title(argv)}: {late}" + (f": {words}" if words else ""),
        hint=f"does what it talks to answer? {advice(stretch)}; {_whole(argv, secrets)}",
        stderr=secrets.mask(stderr),
    )


def ended_badly(argv: Sequence[str], result: Result, *, secrets: Secrets) -> CommandError:
    """Make the error for a command that did not end with status 0."""
    words = _last_words(result.stderr, secrets) or _last_words(result.stdout, secrets)
    return CommandError(
        f"{_title(argv)}: {_ending(result.status)}" + (f": {words}" if words else ""),
        hint=_whole(argv, secrets),
        exit_status=result.status,
        stderr=secrets.mask(result.stderr),
    )


def said_too_much(argv: Sequence[str], *, status: int) -> CommandError:
    """Make the error for output of which the beginning is lost: a part must never pass for the whole."""
    return CommandError(f"{_title(argv)}: wrote more than can be kept", exit_status=status)


def _title(argv: Sequence[str]) -> str:
    """Return the program and its subcommands, `ceph osd new`: what a person would call it."""
    words = [argv[0].rpartition("/")[2]]
    for word in argv[1:3]:
        if not _WORD.fullmatch(word):
            break
        words.append(word)
    return " ".join(words)


def _whole(argv: Sequence[str], secrets: Secrets) -> str:
    line = secrets.mask(shlex.join(argv))
    return "the command was: " + (line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…")


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _last_words(text: str, secrets: Secrets) -> str:
    """Return the last lines on one, without secrets and control characters."""
    # Masked before it is cut: half a secret would not be found.
    lines = [line.strip() for line in secrets.mask(text[-64 * 1024 :]).splitlines() if line.strip()]
    joined = " | ".join(lines[-_LINES:])
    clean = "".join(char if char.isprintable() else " " for char in without_escapes(joined))
    return clean if len(clean) <= _WIDTH else f"…{clean[-_WIDTH:]}"
