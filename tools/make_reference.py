"""Write docs/reference.md out of the commands, the schema of the file, and the errors themselves."""
# ruff: noqa: INP001 - a script, and no part of a package

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from mcloud import errors
from mcloud.cli.bugs import BUG
from mcloud.cli.main import cli
from mcloud.forms import schema
from mcloud.plugins import Plugins

REFERENCE = Path(__file__).parents[1] / "docs" / "reference.md"
OURS = ("ceph", "lxd", "ovn", "static", "words")
"""Plugins of this distribution: what else is installed here is no part of its reference."""
HEAD = """\
# Reference

Every command, every key of the file, every exit status. `tools/make_reference.py` makes this out of the
program itself, and a test sees that it is up to date. The [guide](guide.md) tells how things fit together.
"""
FILE = """\
`mcloud: 1` is the format of the file. `cloud` and `machines` are needed. The presence of a service's section,
even empty, switches the service on. `mcloud example` prints a commented file, `mcloud schema` its schema.
"""
MACHINES = """\
For every machine, and for one: what a machine says itself is laid over `each` key by key. The order of
`machines` gives the roles. A machine also has its `address`, the one in `cloud.network`.
"""
TABLE = "| key | | default | example |\n|---|---|---|---|"
Schema = Mapping[str, Any]


def reference() -> str:
    """Return the whole document."""
    return "\n".join([HEAD, *_commands(), *_keys(), *_statuses()])


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    for path, command in _walk("mcloud", cli):
        options = [one for one in command.params if isinstance(one, click.Option)]
        arguments = [_argument(one) for one in command.params if isinstance(one, click.Argument)]
        yield f"### {path}\n"
        yield f"    {' '.join([path, *(['[OPTIONS]'] if options else []), *arguments])}\n"
        yield inspect.cleandoc(command.help or "") + "\n"
        if options:
            yield "| option | | default |\n|---|---|---|"
            yield from map(_option, options)
            yield ""


def _walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield all commands that do something, with their full names."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from _walk(f"{path} {name}", inner)


def _argument(one: click.Argument) -> str:
    name = str(one.name).upper() + ("..." if one.nargs == -1 else "")
    return name if one.required else f"[{name}]"


def _option(one: click.Option) -> str:
    takes = "" if one.is_flag else f" {one.metavar or one.type.name.upper()}"
    default = "" if one.is_flag or not one.show_default else one.default
    shown = " ".join(map(str, default)) if isinstance(default, tuple) else str(default or "")
    variable = f" (or the variable `{one.envvar}`)" if one.envvar else ""
    text, _, said = (one.help or "").partition("[default: ")
    return f"| `{', '.join(one.opts)}{takes}` | {text.strip()}{variable} | {said.strip(' ]') or shown} |"


def _keys() -> Iterator[str]:
    plugins = Plugins.load()
    ours = {name: plugins.manifests[name] for name in OURS}
    whole = schema(ours, services=set(plugins.services) & ours.keys())
    definitions = whole["$defs"]
    yield "## The file\n"
    yield FILE
    for section in ("cloud", "meet", *(name for name in whole["properties"] if name in OURS)):
        found = _resolved(whole["properties"][section], definitions)
        yield f"### {section}\n"
        yield f"{whole['properties'][section].get('description') or found['description']}\n".replace(
            "..", "."
        )
        yield TABLE
        yield from _rows(found)
        yield ""
    yield "### each, and machines.NAME\n"
    yield MACHINES
    machine = definitions["OneMachine"]["properties"]
    yield TABLE
    for section in (name for name in machine if name in OURS):
        yield from _rows(_resolved(machine[section], definitions), prefix=f"{section}.")
    yield "\nA disk is a path, or has these keys:\n"
    yield TABLE
    yield from _rows(next(one for one in definitions["DiskChoice"]["anyOf"] if one["type"] == "object"))
    yield ""


def _resolved(found: Schema, definitions: Schema) -> Schema:
    """Return what a reference refers to, optional or not."""
    for one in (found, *found.get("anyOf", ())):
        if "$ref" in one:
            named: Schema = definitions[one["$ref"].rpartition("/")[2]]
            return named
    return found


def _rows(found: Schema, prefix: str = "") -> Iterator[str]:
    for name, one in found["properties"].items():
        values = " \\| ".join(f"`{value}`" for value in one.get("enum", ()))
        text = one["description"] + (f" ({values})" if values else "")
        default = "(needed)" if name in found.get("required", ()) else ""
        if one.get("default") not in (None, []):
            default = f"`{_yaml(one['default'])}`"
        example = f"`{_yaml(one['examples'][0])}`" if one.get("examples") else ""
        yield f"| `{prefix}{name}` | {text} | {default} | {example} |"


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value).replace('"', "")


def _statuses() -> Iterator[str]:
    yield "## Exit statuses\n"
    yield "| status | | class |\n|---|---|---|"
    yield "| 0 | All is well. | |"
    statuses: dict[int, list[type[errors.McloudError]]] = {}
    for _name, one in inspect.getmembers(errors, inspect.isclass):
        if issubclass(one, errors.McloudError):
            statuses.setdefault(one.exit_code, []).append(one)
    for status, classes in sorted(statuses.items()):
        # The one that the others of this status derive from.
        first, *others = sorted(classes, key=lambda one: len(one.__mro__))
        names = ", ".join(f"`{one.__name__}`" for one in (first, *others))
        yield f"| {status} | {(first.__doc__ or '').splitlines()[0]} | {names} |"
    yield f"| {BUG} | A mistake in mcloud or in a plugin; what is known of it is in `bugs.log`. | |"
    yield "| 130, 143, 129 | Stopped by Ctrl-C, SIGTERM, SIGHUP; the same command goes on. | |"
    yield ""
    yield "`init` and `preseed` end with 6, too, if a cloud was formed, but not of all its machines.\n"


if __name__ == "__main__":
    REFERENCE.write_text(reference())
