"""What the two halves say to each other, and the order of play that both read."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, ValidationError

from mcloud.deadlines import Deadlines
from mcloud.errors import ProtocolError
from mcloud.inputs import Inputs
from mcloud.model import HostName, Node
from mcloud.records import Printable
from mcloud.session.shape import MOST_VALUES, shape_of
from mcloud.watch import Happening

VERSION = 2
PORT = 9442

_VERSIONS = "do both machines run the same version of mcloud?"
_TOLD = 100
"""Mistakes of a message up to which it is said where they begin: pydantic makes texts of all or none."""

GOODBYE = "goodbye"
"""The reason with which the initiator closes a connection whose farewell it heard."""

Mood = Literal["done", "planned", "failed", "aborted", "undone"]
Part = Literal["enter", "adapt"]
"""The stages in which a joiner has a part."""


class Message(BaseModel):
    """One message; unknown keys of a newer version are ignored, wrong values never shown."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Hello(Message):
    """Both sides' first words, before trust. Bound raw into the transcript; nothing in it is believed."""

    type: Literal["hello"] = "hello"
    version: int = Field(ge=0, le=9999)
    role: Literal["initiator", "joiner"]
    methods: tuple[Printable, ...] = Field(min_length=1, max_length=8)
    session: Printable = ""
    nonce: str = Field(pattern=r"^[0-9a-f]{32}$")
    name: HostName
    address: IPvAnyAddress
    certificate: str = Field(max_length=2048)


class Introduction(Message):
    """A joiner that is pinned says what it is."""

    type: Literal["introduction"] = "introduction"
    node: Node
    versions: Mapping[Printable, Printable] = Field(max_length=256)
    run: Printable = Field(default="", description="the run it is in the middle of, if any")


class Proposal(Message):
    """All that a joiner plans from. Secrets of the settings travel beside them, by plugin and field."""

    type: Literal["proposal"] = "proposal"
    purpose: Literal["run", "plan"]
    inputs: Inputs
    given: Mapping[str, Any] = Field(default_factory=dict, description="the operator's file, without secrets")
    secrets: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    deadlines: Deadlines = Field(
        default=1.0, description="the factor by which the initiator stretches its own"
    )


class Refusal(Message):
    """The initiator does not take this machine, and says why."""

    type: Literal["refusal"] = "refusal"
    reason: str = Field(max_length=2000)
    problems: tuple[Printable, ...] = Field(default=(), max_length=200, description="what does not fit, each")
    hint: str = Field(default="", max_length=2000, description="what to do, on the joiner")


class OutlookLine(Message):
    """One step of a plan, for the table that a person confirms."""

    key: Printable
    to_do: bool
    destroys: tuple[Printable, ...] = Field(default=(), max_length=200)


class Outlook(Message):
    """The joiner's own plan of what it is to do."""

    type: Literal["outlook"] = "outlook"
    lines: tuple[OutlookLine, ...] = Field(max_length=10_000)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class Admission(Message):
    """A person confirmed the plan with this digest."""

    type: Literal["admission"] = "admission"
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class Go(Message):
    """Run a stage of the admitted plan. Facts: what all machines' joins offered, by plugin and machine."""

    type: Literal["go"] = "go"
    stage: Part
    inputs: Inputs | None = Field(default=None, description="the cut roster, if machines fell out")
    facts: Mapping[str, Mapping[str, tuple[Mapping[str, Any], ...]]] = Field(default_factory=dict)


class Ready(Message):
    """The joiner's lane of this plugin waits for its token; `request` (hex) is public."""

    type: Literal["ready"] = "ready"
    plugin: Printable
    request: str = Field(default="", max_length=128 * 1024, pattern=r"^([0-9a-f]{2})*$")


class Token(Message):
    """The join token of one plugin; the token is the turn."""

    type: Literal["token"] = "token"
    plugin: Printable
    value: str = Field(repr=False, max_length=1024 * 1024)


class Progress(Message):
    """Something happened on the joiner; for display only."""

    type: Literal["progress"] = "progress"
    happening: Happening


class Joined(Message):
    """The joiner's steps of a stage are done."""

    type: Literal["joined"] = "joined"
    stage: Part
    roster: int = Field(default=0, ge=0, description="how many machines the cut roster had; 0: it was whole")
    facts: Mapping[str, tuple[Mapping[str, Any], ...]] = Field(default_factory=dict)


class Failed(Message):
    """The joiner's steps of a stage failed; it stops here."""

    type: Literal["failed"] = "failed"
    stage: Part
    lines: tuple[Printable, ...] = Field(max_length=200)


class Farewell(Message):
    """The end, with its reason; `done` brings the cloud's record, by `undone` it takes back its part."""

    type: Literal["farewell"] = "farewell"
    mood: Mood
    reason: str = Field(default="", max_length=4000)
    cloud: Mapping[str, Any] | None = None


_KINDS: Mapping[str, type[Message]] = {
    kind.model_fields["type"].default: kind
    for kind in (
        Hello, Introduction, Proposal, Refusal, Outlook, Admission, Go, Ready, Token, Progress, Joined,
        Failed, Farewell,
    )
}  # fmt: skip
M = TypeVar("M", bound=Message)

SCRIPT: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    # initiator's function, joiner's function, what the initiator may say in it, what the joiner may say in it
    ("greet", "greet", ("hello",), ("hello",)),
    ("agree", "agree", (), ()),
    ("meet", "introduce", (), ("introduction",)),
    ("welcome", "be_welcomed", ("proposal", "refusal"), ()),
    ("hear", "look_out", (), ("outlook",)),
    ("admit", "enter", ("admission", "go", "token"), ("ready", "progress", "joined", "failed")),
    ("follow", "report", ("go", "token"), ("ready", "progress", "joined", "failed")),
    ("part", "part", ("farewell",), ("farewell",)),
)
"""The order of play. `farewell` may be said by either side at any time after beat 3; it ends the session."""


def encode(message: Message) -> bytes:
    """Return a message as it travels."""
    return message.model_dump_json(exclude_none=True).encode()


def decode(raw: bytes, *expected: type[M], most: int = MOST_VALUES) -> M:
    """Read a message of one of the expected types, of at most so many values; it is parsed once.

    Raises ProtocolError for anything else: broken or nested JSON, doubled keys, wrong values, and
    messages that may not be said now. Its text never holds what was sent.
    """
    try:
        shape = shape_of(raw, most=most)
        kind = _KINDS.get(str(shape.get("type"))) if isinstance(shape, dict) else None
        if kind is None:
            raise ProtocolError("a message is of no type that is known here", hint=_VERSIONS) from None
        if not issubclass(kind, expected):
            wanted = " or ".join(kind.__name__ for kind in expected)
            raise ProtocolError(f"{kind.__name__} was said where only {wanted} may be said")
        return kind.model_validate(shape)
    except ValidationError as error:
        mistakes = error.error_count()
        place = _first_place(error) if mistakes <= _TOLD else "many places"
        raise ProtocolError(
            f"a message makes no sense at {place} ({mistakes} mistakes)", hint=_VERSIONS
        ) from None
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a message is no proper JSON: {type(error).__name__}") from None


def _first_place(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return ".".join(str(part)[:40] for part in first["loc"][:6]) or "its beginning"


def refuse_other_version(hello: Hello, *, whose: str) -> None:
    """Raise ProtocolError if the other side speaks another version of the protocol."""
    if hello.version != VERSION:
        raise ProtocolError(
            f"{whose} speaks version {hello.version} of the protocol, this machine {VERSION}",
            hint="install the same version of mcloud on all machines",
        )
