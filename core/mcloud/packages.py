"""What plugins need installed, by distribution: say what is missing, and install it when asked to."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from mcloud.errors import CommandError, PluginError, ServiceError
from mcloud.host import Host
from mcloud.model import Manifest
from mcloud.survey import os_release

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
"""Debian Policy 5.6.7."""

_INSTALL_SECONDS = 1800
_UPDATE_SECONDS = 300

_APT = (
    "apt-get", "-q", "-y",
    # Somebody else's apt-get (unattended-upgrades) ends before long.
    "-o", "DPkg::Lock::Timeout=300",
    # Nobody is there to be asked: keep what the operator changed.
    "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
)  # fmt: skip

_INSTALL = (*_APT, "--no-install-recommends", "--no-remove", "install")

_FINISH = ("dpkg", "--force-confdef", "--force-confold", "--configure", "-a")

_QUIET = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_SUSPEND": "1",
}

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")


def missing(host: Host, manifests: Mapping[str, Manifest]) -> Mapping[str, tuple[str, ...]]:
    """Return by plugin what is not installed of the packages its manifest names; none, no entry.

    A manifest names packages for this distribution or one it is like (`ID_LIKE`); what it names for
    none of them cannot be known here.
    """
    wanted = {name: packages for name, given in manifests.items() if (packages := _named(host, given))}
    if not wanted:
        return {}
    installed = _installed(host, {package for packages in wanted.values() for package in packages})
    lacking = {
        name: tuple(package for package in packages if package not in installed)
        for name, packages in wanted.items()
    }
    return {name: packages for name, packages in lacking.items() if packages}


def install(host: Host, packages: Iterable[str], report: Callable[[str], None]) -> None:
    """Install packages, `report` being told what goes on; not a step, and never undone.

    Raises CommandError with apt-get's own words, ServiceError if one is still missing afterwards.
    """
    names = _checked(packages)
    if not names:
        return
    report(f"installing {', '.join(names)}")
    try:
        _apt(host, [*_INSTALL, "--", *names], seconds=_INSTALL_SECONDS)
    except CommandError as error:
        if error.exit_status is None:
            raise  # It hung, or is not there: no better the second time.
        if "dpkg --configure -a" in error.stderr:
            report("finishing an installation that was interrupted")
            # What it cannot finish, for want of what was not unpacked yet, the next step mends.
            _apt(host, _FINISH, seconds=_INSTALL_SECONDS, check=False)
        # A fresh machine has no lists, and old lists name files that are gone.
        report("fetching the lists of packages")
        _apt(host, [*_APT, "update"], seconds=_UPDATE_SECONDS)
        report(f"installing {', '.join(names)}")
        _apt(host, [*_INSTALL, "--fix-broken", "--", *names], seconds=_INSTALL_SECONDS)
    if lacking := sorted(set(names) - _installed(host, names)):
        raise ServiceError(
            f"still not installed after apt-get said yes: {', '.join(lacking)}",
            hint=f"see what it says: {install_line(lacking)}",
        )


def install_line(packages: Iterable[str]) -> str:
    """Return what a person types to install packages."""
    return f"apt-get install --no-install-recommends {' '.join(_checked(packages))}"


def _named(host: Host, manifest: Manifest) -> tuple[str, ...]:
    """Return what a manifest names for this distribution, or for the nearest it is like."""
    release = os_release(host)
    for distribution in (release.get("ID", ""), *release.get("ID_LIKE", "").split()):
        if distribution in manifest.packages:
            return manifest.packages[distribution]
    return ()


def _installed(host: Host, packages: Iterable[str]) -> set[str]:
    """Return those of the packages that are installed and configured."""
    argv = ["dpkg-query", "-W", "-f", r"${Package} ${db:Status-Status}\n", "--", *_checked(packages)]
    # Its status is 1 if one of them is unknown; the others are listed all the same.
    lines = host.run(argv, check=False).stdout.splitlines()
    return {
        package for package, _, status in (line.partition(" ") for line in lines) if status == "installed"
    }


def _checked(packages: Iterable[str]) -> Sequence[str]:
    """Return the names once each, in order."""
    names = sorted(set(packages))
    for name in names:
        if not _NAME.fullmatch(name):
            raise PluginError(f"{name!r} is not the name of a package", plugin="", hint="see its manifest")
    return names


def _apt(host: Host, argv: Sequence[str], *, seconds: float, check: bool = True) -> None:
    proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    host.run(argv, seconds=seconds, env={**_QUIET, **proxies}, check=check)
