"""What every record is made of: bounded words that can be printed, and no offence at unknown keys."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mcloud.escapes import without_escapes


def _printable(text: str) -> str:
    if not text.isprintable():
        msg = "holds characters that cannot be printed"
        raise ValueError(msg)
    return text


Printable = Annotated[str, Field(max_length=255), AfterValidator(_printable)]
"""Text that others say of themselves: bounded, no control characters. Never shown as markup."""


def printable(text: str) -> str:
    """Return a text fit for `Printable` and for one line of the screen: no control characters, bounded."""
    return "".join(c if c.isprintable() else " " for c in without_escapes(text))[:255]


class Record(BaseModel):
    """What is stored or travels between machines: a newer version's unknown keys are ignored, not refused."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Obstacle(Record):
    """One thing on a machine that a service will not get along with; see `mcloud.obstacles`."""

    kind: Literal["port", "unit", "user", "other"]
    name: Printable = Field(description="the port's number, the name of the unit or user")
    message: Printable = Field(description="what is wrong, in words, without the machine's name")
    hint: Printable = Field(default="", description="what to do about it")
    address: Printable = Field(default="", description="of a port: where it is taken, * for everywhere")
