"""Make the survey of a machine out of its parts, of which any may be missing."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from mcloud.errors import McloudError
from mcloud.host import Host
from mcloud.model import Survey
from mcloud.survey.abilities import abilities
from mcloud.survey.disks import disks
from mcloud.survey.looking import pairs, said, shown, text
from mcloud.survey.nics import nics

T = TypeVar("T")


def survey(host: Host, *, report: Callable[[str], None] = lambda _text: None) -> Survey:
    """Say what this machine is made of. Changes nothing, never fails; every look has a deadline.

    A part that cannot be had is left out, and `report` told so in a line.
    """
    kernel, _, architecture = said(host, "uname", "-rm").strip().partition(" ")

    def part(what: str, look: Callable[[Host], tuple[T, ...]]) -> tuple[T, ...]:
        try:
            return look(host)
        except (McloudError, ValueError, KeyError, TypeError) as error:
            report(f"the survey lacks the {what}: {error}")
            return ()

    return Survey(
        distribution=_distribution(os_release(host)),
        kernel=shown(kernel),
        architecture=shown(architecture),
        cpus=_cpus(host),
        memory=_memory(host),
        abilities=part("kernel's abilities", abilities),
        disks=part("disks", disks),
        nics=part("network interfaces", nics),
    )


def os_release(host: Host) -> Mapping[str, str]:
    """Return the fields of os-release(5): ID, ID_LIKE, VERSION_ID and so on."""
    return dict(pairs(text(host, "/etc/os-release") or text(host, "/usr/lib/os-release")))


def _distribution(release: Mapping[str, str]) -> str:
    # Rolling distributions have no version.
    return shown("-".join(filter(None, (release.get("ID"), release.get("VERSION_ID")))))


def _cpus(host: Host) -> int:
    found = said(host, "nproc").strip()
    return int(found) if found.isdecimal() else 0


def _memory(host: Host) -> int:
    for line in text(host, "/proc/meminfo").splitlines():
        words = line.split()
        if words[:1] == ["MemTotal:"] and words[1].isdecimal():
            return int(words[1]) * 1024
    return 0
