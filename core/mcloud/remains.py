"""What is left of earlier runs on this machine, read however damaged it is; and how it is put aside."""

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcloud.errors import McloudError, ServiceError
from mcloud.files import make_folders, remove_file, sync_folder
from mcloud.journal import Journal
from mcloud.keeping import KeptFiles
from mcloud.model import Settings, printable
from mcloud.offers import Offer
from mcloud.secrets import Secrets
from mcloud.session.certificates import load
from mcloud.state import State
from mcloud.steps import Step, StepContext

ASIDE = "set-aside"
"""Folder in the state's, with one for each reset: journals and records that count for nothing any more."""

_LARGEST = 8 * 1024 * 1024
"""Bytes that are read of a journal; its first line holds what is wanted."""


@dataclass(frozen=True, slots=True)
class Remains:
    """What runs on this machine, reset or not, were given: as far as it can be read."""

    services: frozenset[str] = frozenset()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Raw, by plugin: those of the last cloud that had it."""
    node_settings: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Raw, by plugin and machine."""

    def of(self, plugin: str, model: type[Settings] | None) -> Settings | None:
        """Return a plugin's cloud-wide settings; None if there are none that fit its model."""
        return _fitting(model, self.settings.get(plugin))

    def of_machines(self, plugin: str, model: type[Settings] | None) -> Mapping[str, Settings] | None:
        """Return a plugin's settings by machine; None if there are none."""
        raw = self.node_settings.get(plugin) or {}
        found = {name: _fitting(model, given) for name, given in raw.items()}
        return {name: settings for name, settings in found.items() if settings is not None} or None


def read_remains(state: State) -> Remains:
    """Read records and journals, the newest first; what is damaged is passed over."""
    services, settings = set[str](), dict[str, Any]()
    node_settings = dict[str, Any]()
    for told in _told(state.folder):
        services |= set(told["services"])
        for plugin in told["services"]:
            settings.setdefault(plugin, told["settings"].get(plugin, {}))
            node_settings.setdefault(plugin, told["node_settings"].get(plugin, {}))
    return Remains(frozenset(services), settings, node_settings)


def usable(state: State, *, may_change: bool) -> Sequence[str]:
    """See that the state's folder can be locked and written: what is in the way there is put aside.

    Returns the new paths of what was. Raises McloudError if that is not possible, or not to be done.
    """
    wanted = ((state.folder, True), (state.folder / "runs", True), (state.folder / "lock", False))
    moved = []
    try:
        for path, folder in wanted:
            if _is_in_the_way(path, folder=folder):
                if not may_change:
                    raise McloudError(
                        f"{path} is damaged", hint="`mcloud reset` without --plan puts it aside"
                    )
                aside = path.with_name(f"{path.name}.damaged-{_now()}")
                path.rename(aside)
                moved.append(str(aside))
    except OSError as error:
        raise McloudError(
            f"{error.filename} is damaged and cannot be put aside: {error.strerror}",
            hint="is the disk it is on read-only or broken? `dmesg` tells",
        ) from error
    return moved


def forgetting_step(state: State) -> Step:
    """Return the core's own step of a reset: no cloud, no run to go on with, no machine that is known."""

    def probe(ctx: StepContext) -> Sequence[Offer] | None:
        found = [*_clouds(state), *_runs(state), *_files_of_others(state), *_own_key(state)]
        for line in found:
            ctx.report(line)
        return None if found else ()

    def run(ctx: StepContext) -> None:
        left = _give_back(state, ctx)
        try:
            _put_aside(state)
        except OSError as error:
            raise ServiceError(f"{error.filename}: {error.strerror}", hint="is the disk full?") from error
        if left:
            raise ServiceError(
                f"not all files of others could be put back: {'; '.join(left)}",
                hint=f"what is kept of them is in {state.folder / ASIDE}",
            )

    return Step(name="cloud", run=run, probe=probe)


def _put_aside(state: State) -> None:
    """Move journals and record away, one by one: what a kill leaves there is moved the next time."""
    folder = state.folder / ASIDE / _now()
    make_folders(folder, mode=0o700)
    runs = state.folder / "runs"
    for path in (state.folder / "cloud.json", *sorted(runs.iterdir())):
        if path.suffix in {".pins", ".new"}:
            remove_file(path)
        elif path.exists():
            path.rename(folder / path.name)
    for changed in (folder, runs, state.folder):
        sync_folder(changed)
    if _own_key(state):
        remove_file(state.certificate_path)
        remove_file(state.key_path)


def _clouds(state: State) -> Iterator[str]:
    path = state.folder / "cloud.json"
    if os.path.lexists(path):
        told = next(_read([path]), None)
        if told is None:
            yield f"{path}, which is damaged"
        else:
            members = told.get("members")
            known = members if isinstance(members, list) else []
            names = ", ".join(str(one.get("name")) for one in known if isinstance(one, dict))
            yield printable(f"the record of cloud {told.get('name', '?')} ({names})")


def _runs(state: State) -> Iterator[str]:
    with suppress(OSError):
        names = [path for path in (state.folder / "runs").iterdir() if not path.name.startswith(".")]
        journals = sum(path.suffix == ".jsonl" for path in names)
        if names:
            yield f"{journals} run{'' if journals == 1 else 's'} (put aside in {state.folder / ASIDE})"


def _kept(state: State) -> Iterator[KeptFiles]:
    """Yield what runs keep of others' files, the newest run first; not of those that cannot be read."""
    for path in sorted((state.folder / "runs").glob("*.jsonl"), key=_changed, reverse=True):
        with suppress(McloudError, OSError):
            yield KeptFiles(Journal.open(path, Secrets()))


def _files_of_others(state: State) -> Iterator[str]:
    for kept in _kept(state):
        try:
            if paths := kept.held():
                aside = f"what is neither that nor mcloud's is kept in {state.folder / ASIDE}"
                yield f"what a run made of {', '.join(paths)}; what was there before comes back, {aside}"
        except McloudError as error:
            yield str(error)


def _give_back(state: State, ctx: StepContext) -> list[str]:
    """Put back what runs kept of others' files, now that the services are gone; return what could not be."""
    left = []
    for kept in _kept(state):
        for key, path in kept.waiting():
            try:
                if said := kept.restore(ctx.host, key, path):
                    ctx.report(said)
            except McloudError as error:
                left.append(f"{path}: {error}")
        if not kept.waiting():
            kept.forget()
    return left


def _own_key(state: State) -> Iterator[str] | tuple[str, ...]:
    try:
        load(certificate_path=state.certificate_path, key_path=state.key_path)
    except (McloudError, OSError):
        return ("this machine's own key, which is damaged",)
    return ()


def _told(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Yield what each record and journal says of settings, the newest first; those put aside last."""
    asides = [path for path in sorted((folder / ASIDE).glob("*"), reverse=True) if path.is_dir()]
    places = [(folder, folder / "runs"), *((aside, aside) for aside in asides)]
    for record, runs in places:
        journals = sorted(runs.glob("*.jsonl"), key=_changed, reverse=True)
        for told in _read([record / "cloud.json", *journals]):
            if all(isinstance(told.get(key, {}), Mapping) for key in ("settings", "node_settings")):
                yield {"services": (), "settings": {}, "node_settings": {}, **told}


def _read(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield the record, or the first line of the journal, in each file that has one."""
    for path in paths:
        with suppress(OSError, ValueError):
            with path.open("rb") as file:
                text = file.readline(_LARGEST) if path.suffix == ".jsonl" else file.read(_LARGEST)
            if isinstance(told := json.loads(text), dict):
                yield told


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_in_the_way(path: Path, *, folder: bool) -> bool:
    try:
        found = path.stat() if folder else path.lstat()
    except FileNotFoundError:
        return os.path.lexists(path)
    kind = stat.S_ISDIR if folder else stat.S_ISREG
    return not kind(found.st_mode) or found.st_uid != os.geteuid()


def _fitting(model: type[Settings] | None, given: object) -> Settings | None:
    if model is None or given is None:
        return None
    try:
        return model.model_validate(given)
    except ValueError:
        return None  # of another version; whatever it named, steps find what is there


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%f")
