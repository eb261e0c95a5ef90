"""The file as an example: every key with what it means, generated from the models."""

import textwrap
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from mcloud.forms.core import FORMAT, Cloud, Machine, Meet, Nothing
from mcloud.forms.json_schema import with_section
from mcloud.forms.shape import fields, is_sequence, literals, models
from mcloud.forms.write import yaml
from mcloud.model import Manifest, Settings

PLACEHOLDER = "CHANGE-ME"
"""Stands for a required text whose field gives no example; every field should give one."""

_MACHINES = 3
_WIDTH = 100
_HEADER = f"""\
# A cloud for `mcloud preseed FILE`: the same file is given to every machine.
# What is commented out shows the default, or an example where the default is nothing.
mcloud: {FORMAT}  # format of this file
"""


def example(manifests: Mapping[str, Manifest], *, services: Collection[str]) -> str:
    """Return a commented file that has every key of every plugin and can be read as it is."""
    plugins = with_section(manifests, services)
    blocks = [
        _block("cloud", "What the cloud is.", _fields(Cloud)),
        _block("meet", "How the machines find and trust each other.", _fields(Meet)),
    ]
    for name, manifest in plugins.items():
        leave = " Without this section the service is not set up." if name in services else ""
        blocks.append(
            _block(name, f"{manifest.summary.rstrip('.')}.{leave}", _fields(manifest.settings or Nothing))
        )
    own = {name: model for name, manifest in plugins.items() if (model := manifest.node_settings)}
    common = [
        line for name, model in own.items() for line in _block(name, "", _fields(model, required=False))
    ]
    if common:
        blocks.append(
            _block("each", "For every machine. What a machine says itself is laid over it.", common)
        )
    machines = [line for index in range(_MACHINES) for line in _machine(index, own)]
    blocks.append(_block("machines", "This order gives the roles; the initiator comes first.", machines))
    return _HEADER + "".join("\n" + "\n".join(block) + "\n" for block in blocks)


def _block(key: str, comment: str, inside: list[str]) -> list[str]:
    return [*_comment(comment), f"{key}:", *(f"  {line}" for line in inside)]


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]


def _fields(model: type[BaseModel], *, required: bool | None = None, index: int = 0) -> list[str]:
    """Return the lines of a model's fields: those that are required, those that are not, or (None) all."""
    lines: list[str] = []
    for key, info in fields(model).items():
        if required in {None, info.is_required()}:
            choices = " | ".join(map(str, literals(info.annotation)))
            lines += _comment((info.description or "") + f" ({choices})" * bool(choices))
            line = yaml({key: _value(info, index)}, flow_from=1).rstrip("\n")
            lines.append(line if info.is_required() else f"#{line}")
    return lines


def _machine(index: int, own: Mapping[str, type[Settings]]) -> list[str]:
    name, address = (_value(Machine.model_fields[field], index) for field in ("name", "address"))
    lines = [f"address: {address}"]
    for plugin, model in own.items():
        needed = _fields(model, required=True, index=index)
        lines += _block(plugin, "", needed) if needed else []
    return _block(str(name), "", lines)


def _value(info: FieldInfo, index: int) -> Any:
    """Return what stands in the example for a field: its default if that says something, else an example."""
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    empty = default in (None, (), [], {}, "")
    if empty and info.examples:
        return to_jsonable_python(info.examples[index % len(info.examples)])
    if info.is_required() or (default is None and any(models(info.annotation))):
        return _made_up(info)
    return TypeAdapter[Any](info.rebuild_annotation()).dump_python(default, mode="json", warnings=False)


def _made_up(info: FieldInfo) -> Any:
    """Return something for a field without an example; right for simple types and models only."""
    for choice in literals(info.annotation):
        return choice
    for model in models(info.annotation):
        return {key: _value(inner, 0) for key, inner in fields(model).items() if inner.is_required()}
    return [] if is_sequence(info.annotation) else PLACEHOLDER
