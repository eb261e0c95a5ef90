"""What the two halves say to each other, and the order of play that both read."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, TypeAdapter, ValidationError

from mcloud.deadlines import Deadlines
from mcloud.errors import ProtocolError
from mcloud.inputs import Inputs
from mcloud.model import HostName, Node, Printable
from mcloud.watch import Happening

VERSION = 2
PORT = 9442

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
    version: int
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
    versions: Mapping[str, str]
    run: str = Field(default="", description="the run it is in the middle of, if any")


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
    destroys: tuple[Printable, ...] = ()


class Outlook(Message):
    """The joiner's own plan of what it is to do."""

    type: Literal["outlook"] = "outlook"
    lines: tuple[OutlookLine, ...]
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


AnyMessage = Annotated[
    Hello
    | Introduction
    | Proposal
    | Refusal
    | Outlook
    | Admission
    | Go
    | Ready
    | Token
    | Progress
    | Joined
    | Failed
    | Farewell,
    Field(discriminator="type"),
]
_ADAPTER: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage)
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


def decode(raw: bytes, *expected: type[M]) -> M:
    """Read a message of one of the expected types.

    Raises ProtocolError for anything else: broken or nested JSON, doubled keys, wrong values, and
    messages that may not be said now. Its text never holds what was sent.
    """
    try:
        shape = json.loads(raw, object_pairs_hook=_no_doubles)
        message = (
            _ADAPTER.validate_python(shape) if not isinstance(shape, dict) else _ADAPTER.validate_json(raw)
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"][:6])
        raise ProtocolError(
            f"a message makes no sense at {place or 'its beginning'} ({error.error_count()} mistakes)",
            hint="do both machines run the same version of mcloud?",
        ) from None
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a message is no proper JSON: {type(error).__name__}") from None
    if not isinstance(message, expected):
        wanted = " or ".join(kind.__name__ for kind in expected)
        raise ProtocolError(f"{type(message).__name__} was said where only {wanted} may be said")
    return message


def refuse_other_version(hello: Hello, *, whose: str) -> None:
    """Raise ProtocolError if the other side speaks another version of the protocol."""
    if hello.version != VERSION:
        raise ProtocolError(
            f"{whose} speaks version {hello.version} of the protocol, this machine {VERSION}",
            hint="install the same version of mcloud on all machines",
        )


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    shape = dict(pairs)
    if len(shape) < len(pairs):
        msg = "a key occurs twice"
        raise ValueError(msg)
    return shape
