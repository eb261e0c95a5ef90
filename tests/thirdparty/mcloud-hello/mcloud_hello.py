"""Greets on every machine: a whole plugin for mcloud, to begin one's own with."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated

from pydantic import Field

from mcloud import Ask, Manifest, Offer, Settings, Step, StepContext, hookimpl

FILE = "/etc/mcloud-hello"


class HelloSettings(Settings):
    """What machines say."""

    greeting: Annotated[str, Ask("What shall machines say")] = Field(
        default="hello", description="Words that every machine greets with", min_length=1, max_length=200
    )


@hookimpl
def manifest() -> Manifest:
    """Say what this plugin is."""
    return Manifest(api=1, summary="Greets on every machine", settings=HelloSettings)


@hookimpl
def join(settings: HelloSettings) -> Iterator[Step]:
    """Have each machine greet."""
    yield Step(
        name="greet",
        run=partial(_write, settings.greeting),
        probe=partial(_seen, settings.greeting),
        undo=_restore,
    )


def _seen(word: str, ctx: StepContext) -> Sequence[Offer] | None:
    return () if ctx.host.read(FILE) == word else None


def _write(word: str, ctx: StepContext) -> None:
    ctx.keep_file(FILE)
    ctx.host.write(FILE, word)


def _restore(ctx: StepContext) -> None:
    ctx.restore_file(FILE)
