"""All that a plan is made of: the same on every machine, without secrets, first line of every journal."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from mcloud.errors import PluginError
from mcloud.model import Manifest, Node, Settings
from mcloud.records import Record


class Inputs(Record):
    """What all machines of one run plan from. Resume plans from these, never from a new look."""

    run: str = Field(pattern=r"^[0-9a-f]{16}$")
    command: str
    cloud: str
    nodes: tuple[Node, ...] = Field(min_length=1, description="founder first")
    fallen: tuple[Node, ...] = Field(default=(), description="machines that were to be in, and are out")
    back: int = Field(default=0, ge=0, description="how often machines that fell out were let back in")
    services: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    node_settings: Mapping[str, Mapping[str, Mapping[str, Any]]] = Field(default_factory=dict)
    versions: Mapping[str, str] = Field(default_factory=dict)
    digest: str = Field(
        default="", description="of what the operator gave: the same command finds its run by it"
    )
    on_failure: Literal["keep", "undo"] = "keep"
    others: Literal["go-on", "stop"] = "go-on"

    @property
    def founder(self) -> Node:
        """The machine that founds the cloud."""
        return self.nodes[0]

    @property
    def joiners(self) -> Sequence[Node]:
        """All others."""
        return self.nodes[1:]

    def node(self, name: str) -> Node | None:
        """Return a machine of the roster."""
        return next((node for node in self.nodes if node.name == name), None)

    def returns(self, name: str) -> bool:
        """Whether a machine comes back into a cloud that is there: what it was given may be revoked since."""
        node = self.node(name)
        there = any(other.standing == "member" for other in self.nodes)
        return self.back > 0 and there and node is not None and node.standing == "joining"

    def without(self, names: Collection[str]) -> "Inputs":
        """Return the inputs with these machines cut from the roster."""
        stay = tuple(node for node in self.nodes if node.name not in names)
        out = tuple(node for node in self.nodes if node.name in names)
        return self.model_copy(update={"nodes": stay, "fallen": (*self.fallen, *out)})

    def with_members(self, names: Collection[str]) -> "Inputs":
        """Return the inputs in which these machines are members of the cloud already."""
        nodes = tuple(
            node.model_copy(update={"standing": "member"}) if node.name in names else node
            for node in self.nodes
        )
        return self.model_copy(update={"nodes": nodes})

    def is_of(self, confirmed: "Inputs") -> bool:
        """Whether these are those inputs, but for who is in, who fell out, and who is a member already."""
        names = {node.name for node in self.nodes}
        known = {node.name: _bare(node) for node in confirmed.nodes}
        stay = [node for name, node in known.items() if name in names]
        out = {node.name: _bare(node) for node in self.fallen}
        rest = {"nodes": confirmed.nodes, "fallen": confirmed.fallen, "back": confirmed.back}
        return (
            [_bare(node) for node in self.nodes] == stay
            and out == {name: node for name, node in known.items() if name not in names}
            and self.model_copy(update=rest) == confirmed
        )

    def asked(self, plugin: str, manifest: Manifest, about: Node) -> dict[str, Any]:
        """Return the keywords of a plan hook, the settings as the plugin's own models."""
        return {"node": about, "fallen": self.fallen, **self.asked_of_all(plugin, manifest)}

    def asked_of_all(self, plugin: str, manifest: Manifest) -> dict[str, Any]:
        """Return the keywords of a hook that looks at all machines."""
        return {
            "nodes": self.nodes,
            "settings": _model(plugin, manifest.settings, self.settings.get(plugin, {})),
            "node_settings": {
                node.name: _model(
                    plugin, manifest.node_settings, self.node_settings.get(plugin, {}).get(node.name, {})
                )
                for node in (*self.nodes, *self.fallen)
                if manifest.node_settings
            },
        }


def digest_of(what: Mapping[str, Any]) -> str:
    """Return the SHA-256, hex, of canonical JSON."""
    canonical = json.dumps(what, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _bare(node: Node) -> Node:
    return node.model_copy(update={"standing": "joining"})


def _model(plugin: str, model: type[Settings] | None, given: Mapping[str, Any]) -> Settings | None:
    if model is None:
        return None
    try:
        return model.model_validate(given)
    except ValueError as error:
        raise PluginError(
            f"the stored settings of {plugin} do not fit its model: {error}",
            plugin=plugin,
            hint="is another version of the plugin installed than when the run began?",
        ) from error
