"""Start, stop and look at systemd's units of Ceph's daemons, so that they also come back at boot."""

from collections.abc import Mapping

from mcloud import CommandError, Host

DROP_IN = "mcloud.conf"


def start(host: Host, *units: str) -> None:
    """Start units now and at every boot, also after they failed too often (StartLimitBurst)."""
    host.run(["systemctl", "reset-failed", *units], check=False)
    host.run(["systemctl", "enable", "--now", "--quiet", *units], seconds=120)


def runs(host: Host, unit: str) -> bool:
    """Say whether a unit is running and will be after a reboot."""
    properties = ["--property=ActiveState,UnitFileState", unit]
    shown = host.run(["systemctl", "show", *properties]).stdout.split()
    return set(shown) == {"ActiveState=active", "UnitFileState=enabled"}


def stop(host: Host, *units: str) -> None:
    """Stop units for good, by force if they do not end in time; bears those that do not run."""
    try:
        host.run(["systemctl", "disable", "--now", "--quiet", *units], check=False, seconds=30)
    except CommandError:
        host.run(["systemctl", "kill", "--signal=KILL", *units], check=False)
        host.run(["systemctl", "stop", *units], check=False, seconds=30)
    host.run(["systemctl", "reset-failed", *units], check=False)


def stop_at_once(host: Host, *units: str) -> None:
    """End units for good by force: what they hold is given up, and nobody is there to be told."""
    host.run(["systemctl", "disable", "--quiet", *units], check=False)
    # With the stop under way nothing restarts them.
    host.run(["systemctl", "stop", "--no-block", *units], check=False)
    host.run(["systemctl", "kill", "--signal=KILL", *units], check=False)
    host.run(["systemctl", "stop", *units], check=False, seconds=60)
    host.run(["systemctl", "reset-failed", *units], check=False)


def add_to(host: Host, unit: str, options: Mapping[str, str], *, until_boot: bool = False) -> None:
    """Put lines into the [Service] part of one unit, from its next `start` on (enabling reads them)."""
    text = "".join(f"{name}={value}\n" for name, value in options.items())
    host.write(drop_in(unit, until_boot=until_boot), f"# Written by mcloud\n[Service]\n{text}")


def is_changed(host: Host, unit: str, *, until_boot: bool = False) -> bool:
    """Say whether our lines are in a unit."""
    return host.stat(drop_in(unit, until_boot=until_boot)) is not None


def was_changed(host: Host, unit: str, *, until_boot: bool = False) -> bool:
    """Say whether our lines, or the empty folder they were in, are left of a unit."""
    folder = drop_in(unit, until_boot=until_boot).rpartition("/")[0]
    return is_changed(host, unit, until_boot=until_boot) or (
        host.stat(folder) is not None and not host.list(folder)
    )


def take_from(host: Host, unit: str, *, until_boot: bool = False) -> None:
    """Take our lines out of a unit again; bears their absence."""
    if was_changed(host, unit, until_boot=until_boot):
        path = drop_in(unit, until_boot=until_boot)
        host.write(path, None)
        host.remove_folder(path.rpartition("/")[0])
        host.run(["systemctl", "daemon-reload"])


def drop_in(unit: str, *, until_boot: bool = False) -> str:
    """Return the path of the file with our lines for a unit."""
    return f"{'/run' if until_boot else '/etc'}/systemd/system/{unit}.d/{DROP_IN}"
