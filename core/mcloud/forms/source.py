"""Where the file comes from: opened, bounded, decoded, and refused if it shows a secret to others."""

import os
import stat
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import SecretStr

from mcloud.errors import SettingsError
from mcloud.forms.core import long_enough
from mcloud.forms.document import MAX_BYTES, not_yaml
from mcloud.forms.file import read
from mcloud.forms.preseed import Preseed
from mcloud.forms.secret import secrets
from mcloud.model import Manifest

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_file(
    path: Path | None,
    manifests: Mapping[str, Manifest],
    *,
    services: Collection[str],
    broken: Mapping[str, str] | None = None,
) -> Preseed:
    """Read a file, or standard input for None; see `read` for the rest.

    Raise `SettingsError` for one that cannot be read, too, or that holds a secret others may read.
    """
    if path is None:
        text = _decoded(sys.stdin.buffer.read(MAX_BYTES + 1), "-")
        return read(text, "-", manifests, services=services, broken=broken)
    content, status = _content(path)
    text = _decoded(content, str(path))
    preseed = read(text, str(path), manifests, services=services, broken=broken)
    if any(secrets(settings) for settings in preseed.models):
        check_file_mode(path, status)
    return preseed


def read_code_file(path: Path) -> SecretStr:
    """Return the code in the file that `meet.code_file` names; it must be its owner's alone."""
    content, status = _content(path)
    check_file_mode(path, status)
    code = _decoded(content, str(path)).strip()
    if not code or "\n" in code:
        raise SettingsError(f"{path} should hold one line, the code", hint="`mcloud code` makes one")
    try:
        return long_enough(SecretStr(code))
    except ValueError as error:
        raise SettingsError(f"the code in {path} {error}", hint="`mcloud code` makes one") from None


def check_file_mode(path: Path, status: os.stat_result) -> None:
    """Raise `SettingsError` if a file with a secret in it is open to group or others."""
    if stat.S_ISREG(status.st_mode) and status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise SettingsError(
            f"{path} holds a secret and is open to others (mode {mode:04o})", hint=f"chmod 600 {path}"
        )


def _content(path: Path) -> tuple[bytes, os.stat_result]:
    """Return content and status of one and the same file, whatever its name points to a moment later."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1), os.fstat(file.fileno())
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", hint="is the path right?") from None


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise not_yaml(name, line, "not UTF-8 text") from None
