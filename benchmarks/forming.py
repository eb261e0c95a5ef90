"""Form the same cloud in the lab by a plain script and by mcloud, and compare what that takes."""

import compileall
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import click
import plain
import preseed
from parts import Formed, by_service
from proof import amiss, late, until

from mcloud.errors import McloudError
from mcloud.lab import Lab

WAYS: dict[str, ModuleType] = {"plain": plain, "mcloud": preseed}
LACKING = ("openvswitch", "geneve", "rbd")
"""What the kernel must not have: with these mcloud forms a cloud that the script does not know of."""

SOURCES = Path(__file__).parents[1]

Say = Callable[[str], None]


@click.command()
@click.option("--machines", type=click.IntRange(3, 9), default=3, show_default=True, help="How many.")
@click.option("--only", type=click.Choice(list(WAYS)), help="Form one of the two clouds.")
@click.option("--json", "as_json", is_flag=True, help="Print all that was measured as one JSON object.")
@click.option("--keep", is_flag=True, help="Leave the last cloud running, also if it failed.")
@click.option("--lab", "name", default="bench", show_default=True, help="Name of the lab.")
def main(*, machines: int, only: str | None, as_json: bool, keep: bool, name: str) -> None:
    """Form the cloud twice, each time on fresh machines, and print both times and their ratio."""
    say: Say = lambda line: print(line, file=sys.stderr if as_json else sys.stdout, flush=True)  # noqa: E731
    if present := [module for module in LACKING if Path("/sys/module", module).exists()]:
        say(f"Note: this kernel has {', '.join(present)}: the two clouds will not be quite the same.")
    compile_sources()
    ways = [only] if only else list(WAYS)
    formed = {}
    for way in ways:
        with fresh_lab(name, machines, keep=keep and way == ways[-1]) as lab:
            formed[way] = form(way, lab, say)
    if as_json:
        print(json.dumps({"machines": machines, **_fields(formed)}, indent=1))
    elif len(formed) > 1:
        print("\n".join(_compared(formed)))


def compile_sources() -> None:
    """Make all as installed: machines see our sources, but cannot write what Python makes of them beside."""
    for folder in ("core", "plugins"):
        compileall.compile_dir(SOURCES / folder, quiet=2)


@contextmanager
def fresh_lab(name: str, machines: int, *, keep: bool) -> Iterator[Lab]:
    """Bring a lab up for as long as this is open; it goes down in whatever way the block is left."""
    lab = Lab(name)
    if any(other.name == name for other in Lab.existing()):
        raise click.ClickException(f"lab {name!r} is there already: mcloud lab down --lab {name}")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        lab.up(machines=machines)
        yield lab
    except BaseException as error:
        if not (keep and isinstance(error, Exception)):
            _take_down(lab)
        raise
    if not keep:
        _take_down(lab)


def form(way: str, lab: Lab, say: Say) -> Formed:
    """Form the cloud in one way, prove it, and say what took how long."""
    formed: Formed = WAYS[way].form(lab)
    unproven, missed = until(amiss, lab)
    formed = replace(formed, unproven=unproven, missed=missed, late=until(late, lab)[0])
    say(f"\n{way}: {formed.seconds:.1f} s, on {len(lab.names())} machines with {os.cpu_count()} processors")
    for part in sorted(formed.parts, key=lambda part: part.began):
        share = part.seconds / formed.seconds
        what = f"{part.service:<5} {part.machine}  {part.what}"
        say(f"  {part.began - formed.began:6.1f} s  {part.seconds:6.2f} s  {share:4.0%}  {what}")
    sums = {f"{service} in hand": seconds for service, seconds in by_service(formed.parts).items()}
    sums |= {f"no service in hand: {when}": seconds for when, seconds in formed.own.items()}
    for what, seconds in sums.items():
        say(f"  {what:<68} {seconds:6.2f} s  {seconds / formed.seconds:4.0%}")
    if formed.unproven:
        missed = "; ".join(formed.missed)
        say(f"  after its end, until the proof held {formed.unproven:.2f} s; missing was: {missed}")
    if formed.late:
        say(f"  not counted: the last manager stood by {formed.late:.1f} s later")
    return formed


def _compared(formed: dict[str, Formed]) -> list[str]:
    by_script, by_mcloud = formed["plain"], formed["mcloud"]
    own = sum(by_mcloud.own.values())
    return [
        "",
        f"plain script  {by_script.seconds:6.1f} s",
        f"mcloud        {by_mcloud.seconds:6.1f} s   {by_mcloud.seconds / by_script.seconds:.2f} of it",
        f"  its own     {own:6.1f} s   in which no service was in hand on any machine",
    ]


def _fields(formed: dict[str, Formed]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        way: {
            "seconds": round(one.seconds, 3),
            "unproven": round(one.unproven, 3),
            "missed": list(one.missed),
            "late": round(one.late, 3),
            "services": {name: round(value, 3) for name, value in by_service(one.parts).items()},
            "own": {when: round(seconds, 3) for when, seconds in one.own.items()},
            "parts": [asdict(part) for part in one.parts],
        }
        for way, one in formed.items()
    }
    if len(formed) > 1:
        fields["ratio"] = round(formed["mcloud"].seconds / formed["plain"].seconds, 3)
    return fields


def _take_down(lab: Lab) -> None:
    """Take it down; whoever asks us to stop meanwhile waits the second that takes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        lab.down()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    os.umask(0o022)  # the machines' root file systems are made of ordinary modes
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit("Stopped.")
    except McloudError as error:
        sys.exit(f"Error: {error}\n{error.hint}")
