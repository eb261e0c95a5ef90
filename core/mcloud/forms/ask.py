"""`Ask` says how a field is asked; a model's fields with their `Ask` are the questions of its plugin."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from mcloud.model import DiskChoice, Node, Settings


class Topic(StrEnum):
    """What questions are about, in the order in which they are put; the value is the heading."""

    LOCAL_STORAGE = "Local storage: a disk of each machine's own"
    SHARED_STORAGE = "Shared storage: disks that all machines use together"
    NETWORK = "Networks"
    INSTANCES = "What new instances get"
    MORE = "More settings"


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that a machine offers as an answer."""

    value: Any
    """What the field gets; a path for a `DiskChoice`."""
    cells: tuple[str, ...] = ()
    """What the table shows, a text a column of `Ask.columns`; empty: the value."""
    resource: str = ""
    """What is used up by it, as `disk:/dev/sda`: once picked, no other question of this machine offers it."""
    closed: str = ""
    """Why it cannot be picked, as `mounted on /`; "" if it can."""
    picked: bool = False
    """Picked beforehand, because it is right for most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoFar:
    """What is known when a question is put: all machines, and the plugin's own answers so far, checked."""

    nodes: Sequence[Node]
    """The founder first."""
    network: str = ""
    """The network of the machines' addresses, as CIDR."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Cloud-wide answers by field; what was left at its default is not there."""
    node_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The same for each machine, by its name."""

    def by_machine(self, name: str) -> dict[str, Any]:
        """Return the answers to one node setting by machine, without those that gave none."""
        given = {node.name: self.node_settings.get(node.name, {}).get(name) for node in self.nodes}
        return {machine: value for machine, value in given.items() if value not in (None, (), [])}


@dataclass(frozen=True, slots=True)
class Ask:
    """How one field is asked: metadata of the field, `Annotated[str, Ask("What shall machines say")]`.

    A yes or no is asked for a bool, several values separated by commas for a sequence. A setting of
    machines is asked for all of them at once: as one table of what they offer if it has `choices`,
    else as one answer for all or one for each. Functions here see and decide; they change nothing.
    """

    prompt: str
    choices: Callable[[Node], Sequence[Any]] | None = None
    """Of a machine's setting: what this machine offers, each a value or a `Choice`."""
    when: Callable[[SoFar], bool] | None = None
    """Whether to ask at all; if not, the default holds."""
    topic: Topic = field(default=Topic.MORE, kw_only=True)
    order: int = field(default=0, kw_only=True)
    """Among the plugin's questions of one topic: smaller comes first, then as the fields stand."""
    columns: tuple[str, ...] = field(default=(), kw_only=True)
    """Headings of `Choice.cells`; a setting of disks has those of `disk_choices`."""
    suggestions: Callable[[SoFar], Sequence[Any]] | None = field(default=None, kw_only=True)
    """Of a cloud-wide setting: likely answers; others are taken too."""
    default: Callable[[SoFar], Any] | None = field(default=None, kw_only=True)
    """What an empty answer means, where that depends; None from it: the field's own default."""
    check: Callable[[SoFar], str] | None = field(default=None, kw_only=True)
    """Why the answer, now in what it is given, does not fit; it is asked again. "" if it does."""
    doubt: Callable[[SoFar], str] | None = field(default=None, kw_only=True)
    """What speaks against the answer; the person may change it, or go on. "" for nothing."""
    remark: Callable[[SoFar], str] | None = field(default=None, kw_only=True)
    """What to say about the answer, or about the question not being put; "" for nothing."""
    drops: Callable[[SoFar], str] | None = field(default=None, kw_only=True)
    """Why the service is left out, after this answer; the rest is not asked. "" if it is not."""
    role: str = field(default="", kw_only=True)
    """What a picked resource becomes, as `local storage`; later tables say `taken for` it."""
    encrypts: bool = field(default=False, kw_only=True)
    """Whether the plugin can encrypt the disks it is given; else that is not asked."""


def asked(model: type[Settings]) -> dict[str, Ask]:
    """Return the fields of a model that can be asked, in their order."""
    marks = {name: info.metadata for name, info in model.model_fields.items()}
    return {name: mark for name, found in marks.items() for mark in found if isinstance(mark, Ask)}


def spoken(value: Any) -> str:
    """Return a value as a person would type it as an answer; nothing for a secret or for None."""
    if value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, DiskChoice):
        return value.path
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(spoken, value))
    return str(value)
