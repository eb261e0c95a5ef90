"""The file's JSON schema (draft 2020-12), composed of the core's and all plugins' models."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from mcloud.forms.core import FORMAT, Cloud, Machine, Meet, Nothing, spoken_duration
from mcloud.model import Manifest

_REF = "#/$defs/"
_NULL = {"type": "null"}


def schema(manifests: Mapping[str, Manifest], *, services: Collection[str]) -> dict[str, Any]:
    """Return the schema of the whole file; unknown keys are forbidden everywhere.

    What needs more than one place of the file (is the initiator one of the machines) is left to `read`.
    """
    plugins = with_section(manifests, services)
    wide = {name: manifest.settings or Nothing for name, manifest in plugins.items()}
    single = {name: manifest.node_settings for name, manifest in plugins.items() if manifest.node_settings}
    models: dict[type[BaseModel], None] = dict.fromkeys(
        [Cloud, Meet, Machine, *wide.values(), *single.values()]
    )
    refs, generated = models_json_schema([(model, "validation") for model in models], schema_generator=_Terse)
    defs: dict[str, Any] = generated["$defs"]
    names = {model: ref["$ref"].removeprefix(_REF) for (model, _), ref in refs.items()}
    sections = {
        name: _section(defs, names[model]) | {"description": plugins[name].summary}
        for name, model in wide.items()
    }
    own = {name: _section(defs, _part(defs, names[model])) for name, model in single.items()}
    machine = defs.pop(names[Machine])
    address = machine["properties"]["address"]
    defs["Each"] = _object(
        own, description="Settings of every machine; what a machine says itself is laid over it"
    )
    defs["OneMachine"] = _object({"address": address} | own, required=["address"])
    top = {
        "mcloud": {"const": FORMAT, "description": "Format of this file"},
        "cloud": {"$ref": _REF + names[Cloud]},
        "meet": _section(defs, names[Meet]),
        **sections,
        "each": {"anyOf": [{"$ref": _REF + "Each"}, _NULL]},
        "machines": {
            "type": "object",
            "description": "By host name; their order gives the roles, the initiator comes first",
            "minProperties": 1,
            "propertyNames": machine["properties"]["name"],
            "additionalProperties": {"$ref": _REF + "OneMachine"},
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A cloud for mcloud",
        **_object(top, required=["mcloud", "cloud", "machines"]),
        "$defs": dict(sorted(defs.items())),
    }


def with_section(manifests: Mapping[str, Manifest], services: Collection[str]) -> dict[str, Manifest]:
    """Return the plugins for which a section of the file does something, by name."""
    return {
        name: manifest
        for name, manifest in sorted(manifests.items())
        if name in services or manifest.settings or manifest.node_settings
    }


class _Terse(GenerateJsonSchema):
    """Leaves out titles that only repeat the key, and writes defaults as the file has them."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def encode_default(self, dft: Any) -> Any:
        return spoken_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def _object(properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, **more, "properties": dict(properties)}


def _section(defs: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what a section may be: null, too, unless it has to say something."""
    ref = {"$ref": _REF + name}
    return ref if defs[name].get("required") else {"anyOf": [ref, _NULL]}


def _part(defs: dict[str, Any], name: str) -> str:
    """Add a definition in which nothing is required, nor in the mappings inside it, and return its name.

    `each` and a machine complete each other, key by key, so neither has to say everything.
    """
    part = f"{name}Part"
    if part not in defs:
        defs[part] = {}  # where a model holds itself
        defs[part] = _loose(defs, defs[name])
    return part


def _loose(defs: dict[str, Any], whole: Any) -> Any:
    """Return a schema that requires nothing; lists are replaced as a whole and stay as they are."""
    if "$ref" in whole:
        return whole | {"$ref": _REF + _part(defs, whole["$ref"].removeprefix(_REF))}
    loose = {key: value for key, value in whole.items() if key != "required"}
    if "properties" in whole:
        loose["properties"] = {key: _loose(defs, value) for key, value in whole["properties"].items()}
    if "anyOf" in whole:
        loose["anyOf"] = [_loose(defs, way) for way in whole["anyOf"]]
    return loose
