"""What an operator orders with `init`, `preseed` or `plan`: the same from a file and from answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from mcloud.errors import SettingsError
from mcloud.forms import Preseed, plain, public, read_code_file, secrets
from mcloud.inputs import digest_of
from mcloud.session.protocol import PORT


@dataclass(frozen=True, kw_only=True)
class Order:
    """Everything the initiator needs to know before it meets the others."""

    command: str
    cloud: str
    services: tuple[str, ...]
    machines: Mapping[str, str] = field(default_factory=dict)
    """Names and addresses of all machines, the initiator first; empty: whoever comes."""
    expect: int | None = None
    """How many joiners to wait for where no names are given; None: the operator says when."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    node_settings: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, SecretStr]] = field(default_factory=dict, repr=False)
    given: Mapping[str, Any] = field(default_factory=dict)
    """The operator's words without secrets; joiners compare their own file with it."""
    discovery: tuple[str, ...] = ("static",)
    trust: str = "words"
    code: SecretStr | None = None
    port: int = PORT
    patience: float = 600.0
    """Seconds to wait for machines that are expected, before and after they were there."""
    purpose: Literal["run", "plan"] = "run"
    on_failure: Literal["keep", "undo"] = "keep"
    others: Literal["go-on", "stop"] = "go-on"
    deadlines: float = 1.0
    """The factor by which all deadlines are stretched, here and on the joiners."""
    typed: Mapping[str, Any] | None = None
    """What was typed, where questions complete the order; None: `given` is all."""

    @property
    def digest(self) -> str:
        """Return the input digest: by it the same command finds its unfinished run again."""
        if self.typed is not None:
            return digest_of({"typed": self.typed})
        return digest_of({"given": self.given, "services": list(self.services), "cloud": self.cloud})

    @property
    def alone(self) -> bool:
        """Whether no joiner is expected at all."""
        return self.expect == 0 or len(self.machines) == 1


def order_of(preseed: Preseed, *, command: str, purpose: Literal["run", "plan"] = "run") -> Order:
    """Return the order that a file gives. Raises SettingsError if its code cannot be read."""
    meet = preseed.meet
    return Order(
        command=command,
        cloud=preseed.cloud.name,
        services=preseed.services,
        machines={machine.name: str(machine.address) for machine in preseed.machines},
        settings={name: plain(model) for name, model in preseed.plugin_settings.items()},
        node_settings={
            plugin: {machine: plain(model) for machine, model in models.items()}
            for plugin, models in preseed.plugin_node_settings.items()
        },
        secrets={name: secrets(model) for name, model in preseed.plugin_settings.items()},
        given=said(preseed),
        discovery=meet.discovery,
        trust=meet.trust,
        code=code_of(preseed),
        port=meet.port,
        patience=meet.patience.total_seconds(),
        purpose=purpose,
        on_failure=preseed.cloud.on_failure,
        others=preseed.cloud.others,
        deadlines=preseed.cloud.deadlines,
    )


def said(preseed: Preseed) -> dict[str, Any]:
    """Return what a file says of the cloud, without secrets.

    How machines meet is left out, and how slow they are: each may look in its own way, and a run that goes
    on may be more patient.
    """
    words = public(preseed)
    words.pop("meet", None)
    words["cloud"].pop("deadlines", None)
    return words


def code_of(preseed: Preseed) -> SecretStr | None:
    """Return the file's code. Raises SettingsError if machines are to meet and there is none."""
    meet = preseed.meet
    code = read_code_file(Path(meet.code_file)) if meet.code_file else meet.code
    if code is None and len(preseed.machines) > 1:
        raise SettingsError(
            "the file names several machines but no code for them to trust each other",
            hint="put `code:` or `code_file:` under `meet:`; `mcloud code` makes one",
        )
    return code
