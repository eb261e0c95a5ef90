"""What helps to find a fault, in one archive: journals, logs, versions, survey, services; no secrets."""

import io
import json
import platform
import re
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from mcloud.crew import GLANCE, Crew
from mcloud.errors import McloudError
from mcloud.files import replace_file
from mcloud.host import Host
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets, mask_unknown
from mcloud.state import State
from mcloud.survey import survey

SECONDS = 20.0
"""For each command: a service that hangs must not keep the rest."""
LARGEST = 4_000_000
"""Bytes of one file; of a longer one the end is taken."""

_KEPT = (
    "runs/index", "runs/*.jsonl", "cloud.json", "mcloud.log", "mcloud.log.1", "bugs.log",
    # Whose machine was reset still wants to know why.
    "set-aside/*/index", "set-aside/*/*.jsonl", "set-aside/*/cloud.json",
)  # fmt: skip
_WARNINGS = ("journalctl", "--boot", "--priority", "warning", "--lines", "1000", "--no-pager")
"""Of one service's units: what other programs write to the system's journal is not ours to pass on."""
_COMMANDS = {
    "system/failed-units.txt": ("systemctl", "--failed", "--no-pager"),
    "system/addresses.txt": ("ip", "-brief", "address"),
    "system/routes.txt": ("ip", "route", "show", "table", "all"),
    "system/disks.txt": ("lsblk", "--output", "NAME,SIZE,TYPE,FSTYPE,MOUNTPOINTS,SERIAL"),
    "system/clock.txt": ("timedatectl", "show"),
}

AT_ONCE = 32
"""Parts that are read side by side."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the archive; `text` is asked for when it is made; what it raises is why it is missing."""

    name: str
    text: Callable[[], str]


def parts(host: Host, state: State, plugins: Plugins) -> Sequence[Part]:
    """Return all that goes into the archive; nothing is looked at yet."""
    commands = dict(_COMMANDS)
    for plugin, manifest in plugins.manifests.items():
        for argv in manifest.shows:
            name = re.sub(r"[^a-z0-9.]+", "-", " ".join(argv).lower())
            commands[f"services/{plugin}/{name}.txt"] = argv
        if manifest.units:
            only = (word for unit in manifest.units for word in ("--unit", unit))
            commands[f"services/{plugin}/warnings.txt"] = (*_WARNINGS, *only)
    return [
        Part("versions.json", partial(_versions, plugins)),
        Part("survey.json", lambda: survey(host).model_dump_json(indent=1)),
        *(
            Part(f"services/{name}/state.json", partial(_state, host, plugins, name))
            for name in plugins.having("inspect")
        ),
        *(Part(name, partial(_said, host, argv)) for name, argv in commands.items()),
        *(Part(f"mcloud/{path.relative_to(state.folder)}", partial(_end, path)) for path in _files(state)),
    ]


def write_bundle(path: Path, wanted: Sequence[Part], *, folder: str, known: Secrets) -> dict[str, str]:
    """Ask for all parts side by side, write the archive for its owner alone; return what is missing and why.

    Raises OSError if the archive cannot be written.
    """
    crew = Crew(AT_ONCE, "bundle")
    asked = [(part.name, crew.submit(part.text)) for part in wanted]
    while wait([answer for _name, answer in asked], timeout=GLANCE).not_done:
        pass  # each part is read with a deadline
    missing: dict[str, str] = {}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, answer in asked:
            error = answer.exception()
            if error is None:
                _put(archive, f"{folder}/{name}", masked(answer.result(), known))
            elif isinstance(error, McloudError | OSError):
                missing[name] = known.mask(str(error))
            elif isinstance(error, Exception):
                # A bug is what bundles are made for: it takes one part, not all.
                missing[name] = known.mask(f"{type(error).__name__}: {error}")
            else:
                raise error
        _put(archive, f"{folder}/missing.json", json.dumps(missing, indent=1))
    replace_file(path, packed.getvalue(), mode=0o600)
    return missing


def masked(text: str, known: Secrets) -> str:
    """Return a text without secrets: those we know, and what looks like one."""
    return mask_unknown(known.mask(text))


def _put(archive: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode(errors="backslashreplace")
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
    archive.addfile(entry, io.BytesIO(content))


def _files(state: State) -> Iterator[Path]:
    for pattern in _KEPT:
        yield from sorted(state.folder.glob(pattern))


def _end(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - LARGEST))
        text = file.read().decode(errors="backslashreplace")
    # Never in the middle of a line: half a secret would not be known for one.
    whole = text if size <= LARGEST else text.partition("\n")[2]
    return whole if path.suffix != ".jsonl" else "".join(map(_untold, whole.splitlines(keepends=True)))


def _untold(line: str) -> str:
    """Return a line of a journal without what a step kept: it is somebody else's, and may hold anything."""
    try:
        read = json.loads(line)
    except ValueError:
        return line
    if not isinstance(read, dict) or read.get("event") not in {"kept", "applied"}:
        return line
    value = f"({len(str(read.get('value')))} characters)"
    return json.dumps({**read, "value": value}, separators=(",", ":")) + "\n"


def _versions(plugins: Plugins) -> str:
    told = {
        "mcloud": version("mcloud-cluster"),
        "python": platform.python_version(),
        "plugins": dict(plugins.versions),
        "broken": {one.name: one.reason for one in plugins.broken.values()},
    }
    return json.dumps(told, indent=1)


def _state(host: Host, plugins: Plugins, name: str) -> str:
    found = plugins.inspect(name, host=host)
    return found.model_dump_json(indent=1) if found is not None else "null"


def _said(host: Host, argv: Sequence[str]) -> str:
    result = host.run(argv, check=False, seconds=SECONDS)
    ended = f"(ended with status {result.status})\n" if result.status else ""
    return f"$ {' '.join(argv)}\n{ended}{result.stdout}{result.stderr}"
