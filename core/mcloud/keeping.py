"""Files of others that steps replace: kept whole beside the journal, and put back by undo.

What they hold may be secret, so that the journal only names them. Each is one file of its own (0600) in a
folder beside the journal, on disk before the journal says so and before the step goes on; the folder goes
when the run is taken back.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from mcloud.errors import McloudError, ServiceError
from mcloud.files import make_folders, replace_file, sync_folder
from mcloud.host import FileImage, Host
from mcloud.journal import Journal

_PREFIX = "file "


class _Stored(BaseModel):
    """A FileImage as it is on disk."""

    model_config = ConfigDict(extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")
    image: FileImage


class KeptFiles:
    """What one run keeps of files that are not ours, by step key and path."""

    def __init__(self, journal: Journal) -> None:
        """Take the run's journal; nothing is read or made yet."""
        self._journal = journal
        self.folder = journal.path.with_suffix(".kept")
        self.aside = journal.path.with_suffix(".aside")
        """Where that is kept for the operator which undo found changed by somebody."""

    def keep(self, host: Host, key: str, path: str) -> None:
        """Keep what is at a path, unless this step has it already. Raises McloudError."""
        if self.has(key, path):
            return
        if not self._journal.lasting:
            raise McloudError(f"{path} cannot be kept: nothing that is done here is ever taken back")
        image = host.image(path)
        self._write(self._file(key, path), image)
        # The line decides: without it what is in the folder counts for nothing, and is written over.
        value = json.dumps({"folders": list(image.missing)})
        self._journal.write("kept", key, name=f"{_PREFIX}{path}", value=value)

    def has(self, key: str, path: str) -> bool:
        """Whether a step has kept what was at a path."""
        return self._journal.kept(key, f"{_PREFIX}{path}")[0]

    def note(self, host: Host, key: str) -> None:
        """Note what a step has made of the files it kept, so that undo knows that from what others made."""
        for path in self._paths(key):
            with suppress(McloudError):
                self._write(self._file(key, path, after=True), _digested(host.image(path)))

    def change(self, host: Host, path: str, content: bytes) -> None:
        """Give a file that other steps keep another content, with its mode and owner as they are now.

        To undo it stays ours if it was, and somebody's if somebody changed it. Raises McloudError.
        """
        now = host.image(path)
        if now.content is None:
            raise ServiceError(f"{path} is gone", hint="run the same command again")
        keepers = [self._file(key, path, after=True) for key, name, _value in self._kept() if name == path]
        ours = [place for place in keepers if place.exists() and self._is_noted(place, now)]
        changed = replace(now, content=content)
        for place in ours:
            # Before the change: cut off in between, the file is taken for somebody's and kept aside.
            self._write(place, _digested(changed))
        host.put_back(path, changed)

    def restore(self, host: Host, key: str, path: str) -> str:
        """Put back what a step kept of a path, if it did; return in words what somebody else had made of it.

        Folders that were not there before the run and are empty now go, too. Raises McloudError.
        """
        if not self.has(key, path):
            return ""
        before, now, said = self._read(self._file(key, path)), host.image(path), ""
        if _worth(now) != _worth(before):
            said = self._put_aside(key, path, now)
        if (now.mode, now.owner) != (before.mode, before.owner) or _worth(now) != _worth(before):
            host.put_back(path, before)
        made = self._made_folders()
        for folder in map(str, PurePosixPath(before.target).parents):
            if folder in made:
                host.remove_folder(folder)
        self._journal.write("restored", key, name=path, **({"note": said} if said else {}))
        return said

    def restore_rest(self, host: Host, key: str) -> Iterator[str]:
        """Put back all that a step kept and has not put back itself; yield what there is to say."""
        for path in [path for step, path in self.waiting() if step == key]:
            if said := self.restore(host, key, path):
                yield said

    def waiting(self) -> list[tuple[str, str]]:
        """Return step key and path of all that is kept and was not put back yet, the last one kept first."""
        put_back = {
            (line["key"], line["name"]) for line in self._journal.lines() if line["event"] == "restored"
        }
        kept = [(key, path) for key, path, _value in self._kept()]
        return [one for one in reversed(kept) if one not in put_back]

    def held(self) -> list[str]:
        """Return the paths at which there was something that was not put back yet. Raises McloudError."""
        found = (path for key, path in self.waiting() if not self._read(self._file(key, path)).empty)
        return sorted({*found})

    def forget(self) -> None:
        """Remove all that is kept: it is where it was."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
            sync_folder(self.folder.parent)

    def _put_aside(self, key: str, path: str, now: FileImage) -> str:
        """Keep for the operator what is neither what was there before nor what we made; say so."""
        after = self._file(key, path, after=True)
        noted = after.exists()
        if now.empty or (noted and self._is_noted(after, now)):
            return ""
        if now.content is None:
            return f"{path} is a link to {now.link} now, which mcloud did not make: it goes"
        place = self._free(self.aside / path.lstrip("/"))
        make_folders(place.parent, mode=0o700)
        replace_file(place, now.content, mode=0o600)
        whose = "was changed after mcloud wrote it" if noted else "may have been changed since mcloud began"
        return f"{path} {whose}: what was there now is kept as {place}"

    def _is_noted(self, place: Path, now: FileImage) -> bool:
        return _worth(self._read(place)) == _worth(_digested(now))

    def _free(self, place: Path) -> Path:
        number = 0
        while place.exists():
            number += 1
            place = place.with_name(f"{place.name.rpartition('~')[0] or place.name}~{number}")
        return place

    def _paths(self, key: str) -> list[str]:
        """Return the paths that a step has kept, the first one first."""
        return [name for step, name, _value in self._kept() if step == key]

    def _made_folders(self) -> frozenset[str]:
        """Return the folders that were not there when any step of the run first wrote below them."""
        found = (json.loads(value or "{}").get("folders", ()) for _key, _name, value in self._kept())
        return frozenset(folder for folders in found for folder in folders)

    def _kept(self) -> Iterator[tuple[str, str, str | None]]:
        for (key, name), value in self._journal.all_kept().items():
            if name.startswith(_PREFIX):
                yield key, name.removeprefix(_PREFIX), value

    def _file(self, key: str, path: str, *, after: bool = False) -> Path:
        name = hashlib.sha256(f"{key}\n{path}".encode()).hexdigest()[:32]
        return self.folder / f"{name}{'.after' if after else ''}.json"

    def _write(self, place: Path, image: FileImage) -> None:
        try:
            make_folders(self.folder, mode=0o700)
            replace_file(place, _Stored(image=image).model_dump_json().encode(), mode=0o600)
        except OSError as error:
            raise McloudError(
                f"{place} cannot be written: {error.strerror}",
                hint="make room on that disk; then run the same command again",
            ) from error

    def _read(self, place: Path) -> FileImage:
        try:
            return _Stored.model_validate_json(place.read_bytes()).image
        except (OSError, ValidationError):
            # What it holds is somebody's, and is not shown.
            raise McloudError(
                f"{place}, which holds what was in a file before, is damaged or gone",
                hint="put back a copy of it, or that file itself",
            ) from None


def _digested(image: FileImage) -> FileImage:
    """Return an image that tells what we wrote from anything else, and holds none of it: it may be a key."""
    content = None if image.content is None else hashlib.sha256(image.content).digest()
    return replace(image, content=content)


def _worth(image: FileImage) -> tuple[bytes | None, str | None]:
    """Return what is lost if it is replaced."""
    return image.content, image.link
