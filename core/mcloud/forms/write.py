"""Writes what was read: as YAML that reads back the same, or as plain data without secrets for digests."""

from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from mcloud.forms.core import FORMAT
from mcloud.forms.document import scalar
from mcloud.forms.preseed import Preseed
from mcloud.forms.secret import plain

# Other programs read the file too, and many of them still as YAML 1.1.
_YAML_1_1 = frozenset({"y", "n", "yes", "no", "on", "off", "=", "<<"})
_UNBROKEN = 4096


def dump(preseed: Preseed, *, show_secrets: bool = False) -> str:
    """Return the file's text; `read` makes the same of it again if the secrets are shown.

    `show_secrets` only for a file with mode 0600; otherwise stars stand for them, which `read` refuses.
    """
    return yaml(_tree(preseed, show_secrets=show_secrets, only_set=True))


def public(preseed: Preseed) -> dict[str, Any]:
    """Return all that the file says, defaults included and secrets None: what an input digest is made of."""
    return _tree(preseed, show_secrets=None, only_set=False)


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the dotted keys in which two results of `public` differ."""
    return tuple(_different(mine, theirs, ""))


def yaml(tree: Any, *, flow_from: int | None = None) -> str:
    """Return plain data as YAML; lists of scalars, and all that is `flow_from` levels in, on one line."""
    writer = YAML()
    writer.width = _UNBROKEN
    writer.brace_single_entry_mapping_in_flow_sequence = True
    writer.indent(mapping=2, sequence=4, offset=2)
    text = StringIO()
    writer.dump(_node(tree, flow_from), text)
    return text.getvalue()


def _tree(preseed: Preseed, *, show_secrets: bool | None, only_set: bool) -> dict[str, Any]:
    def data(settings: Any) -> dict[str, Any]:
        return plain(settings, show_secrets=show_secrets, only_set=only_set)

    meet = data(preseed.meet)
    wide = {service: dict[str, Any]() for service in preseed.services}
    wide |= {plugin: data(settings) for plugin, settings in preseed.plugin_settings.items()}
    single = sorted(preseed.plugin_node_settings.items())
    machines: dict[str, Any] = {}
    for machine in preseed.machines:
        own = {plugin: data(settings[machine.name]) for plugin, settings in single}
        said = {plugin: section for plugin, section in own.items() if section}
        machines[machine.name] = {"address": str(machine.address)} | said
    return {
        "mcloud": FORMAT,
        "cloud": data(preseed.cloud),
        **({"meet": meet} if meet else {}),
        **{name: wide[name] for name in sorted(wide) if wide[name] or name in preseed.services},
        "machines": machines,
    }


def _node(value: Any, flow_from: int | None) -> Any:
    """Return what ruamel writes as we want it: text that is not text in YAML in quotes, short lists flat."""
    deeper = None if flow_from is None else flow_from - 1
    flat = flow_from is not None and flow_from <= 0
    if isinstance(value, Mapping):
        mapping = CommentedMap((_node(key, None), _node(item, deeper)) for key, item in value.items())
        if flat:
            mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        sequence = CommentedSeq(_node(item, deeper) for item in value)
        if flat or not any(isinstance(item, dict | list) for item in value):
            sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, str) and (scalar(value) != value or value.lower() in _YAML_1_1):
        return DoubleQuotedScalarString(value)
    return value


def _different(mine: Any, theirs: Any, key: str) -> Iterator[str]:
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        for name in (*mine, *(name for name in theirs if name not in mine)):
            below = f"{key}.{name}" if key else name
            if name not in mine or name not in theirs:
                yield below
            else:
                yield from _different(mine[name], theirs[name], below)
    elif mine != theirs:
        yield key
