"""One machine of a lab: boot it, run commands in it, cut its power."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mcloud.errors import CommandError, McloudError, ServiceError
from mcloud.lab import disks, processes, roots, wires
from mcloud.lab.commands import execute
from mcloud.lab.layout import STATE, Layout, MachineLayout

BOOT_PATIENCE = 180  # seconds; alone it takes about five
# From inside, by an absolute path: PATH is the machine's.
NSPAWN = """\
for door in "$@"; do [ "$door" = -- ] && break; echo 0 > "$door" || exit 1; shift; done; shift
exec "$@"
"""


class Machine:
    """One machine of a lab that is up; made by `Lab.machine`."""

    def __init__(self, layout: Layout, machine: MachineLayout) -> None:
        """Keep what it is made of; nothing is touched."""
        self._lab = layout
        self.layout = machine
        self.name = machine.name
        self.address = machine.address

    @property
    def pid(self) -> int | None:
        """The pid of its init as the host counts; None while it is off."""
        return processes.init_of(self._lab.name, self.name)

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return what runs a command inside: with its terminal, dying when the caller's end dies."""
        pid = self.pid
        if pid is None:
            raise McloudError(f"machine {self.name} is off", hint=f"mcloud lab boot {self.name}")
        # Ctrl-C is for the command; nsenter lives on to bring back its exit status.
        outside = [
            "/usr/bin/env",
            "--ignore-signal=INT",
            "--ignore-signal=QUIT",
            "/usr/bin/nsenter",
            "-t",
            str(pid),
            "-a",
            "--",
        ]
        inside = [
            "/usr/bin/setpriv",
            "--pdeathsig",
            "KILL",
            "/usr/bin/env",
            "--default-signal=INT",
            "--default-signal=QUIT",
        ]
        return [*outside, *inside, "-C", "/root", "--", *command]

    def run(
        self,
        command: Sequence[str],
        *,
        input: str | None = None,
        check: bool = True,
        timeout: float | None = None,  # noqa: A002 - as in subprocess
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside and return what it said; CommandError if it fails (unless `check=False`) or takes longer than `timeout` seconds."""
        try:
            done = subprocess.run(
                self.argv(command),
                input=input,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                env=environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"{self.name}: {' '.join(command)}: did not end within {timeout} s") from error
        if check and done.returncode != 0:
            raise CommandError(
                f"{self.name}: {' '.join(command)}: exit status {done.returncode}\n{done.stderr.strip()}",
                exit_status=done.returncode,
                stderr=done.stderr,
            )
        return done

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a command inside; killing the process returned kills the command. `options` are Popen's."""
        return subprocess.Popen(self.argv(command), env=environment(), **options)

    def boot(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Switch it on and wait until its services are up (or one of them failed); nothing happens when it is on."""
        self.switch_on()
        self.wait(say)

    def switch_on(self) -> None:
        """Give it network, disks and an init; return before it is up."""
        if self.pid is not None:
            return
        lab = self._lab.name
        wires.plug(lab, self.layout)
        roots.write_disks(lab, self.layout, disks.attach(lab, self.layout))
        doors = [str(door) for door in processes.enter_cgroups(lab, self.name)]
        execute(
            [
                "setsid",
                "--fork",
                "sh",
                "-c",
                f"exec >>{self._log} 2>&1 </dev/null\n{NSPAWN}",
                "sh",
                *doors,
                "--",
                *self._init(),
            ]
        )

    def wait(self, say: Callable[[str], None] = lambda _: None) -> str:
        """Wait until systemd says that it is running or degraded; return which."""
        started = time.monotonic()
        state = ""
        while time.monotonic() < started + BOOT_PATIENCE:
            if self.pid is not None:
                state = self.state(wait=True)
                if state in {"running", "degraded"}:
                    say(f"{self.name} {state} after {time.monotonic() - started:.1f} s")
                    return state
            time.sleep(0.1)
        raise ServiceError(f"{self.name} does not come up: {state or 'no init'}", hint=f"see {self._log}")

    def state(self, *, wait: bool = False) -> str:
        """Return what systemd says of it as a whole: running, degraded, starting, ... or off."""
        if self.pid is None:
            return "off"
        argv = ["systemctl", "is-system-running", *(["--wait"] if wait else [])]
        try:
            return self.run(argv, check=False, timeout=BOOT_PATIENCE).stdout.strip() or "starting"
        except McloudError:
            return "starting"

    def failed(self) -> list[str]:
        """Return the units that failed on it; none while it is off."""
        if self.pid is None:
            return []
        listed = self.run(
            ["systemctl", "list-units", "--failed", "--plain", "--no-legend"], check=False
        ).stdout
        return [line.split()[0] for line in listed.splitlines()]

    def kill(self) -> None:
        """Cut its power: every process is killed at once, nothing is written back by services."""
        processes.end(self._lab.name, self.name)
        processes.leave_cgroups(self._lab.name, self.name)
        wires.unplug(self._lab.name, self.layout)

    @property
    def _log(self) -> Path:
        return STATE / self._lab.name / "machines" / self.name / "console.log"

    def _init(self) -> list[str]:
        return [
            "env", "SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes",  # LXD's OVN networks write to /proc/sys
            "nsenter", f"--net={wires.namespace(self._lab.name, self.name)}", "--",
            "systemd-nspawn", "--quiet", "--boot", f"--directory={roots.root(self._lab.name, self.name)}",
            f"--machine={self.name}", f"--hostname={self.name}", "--register=no", "--keep-unit",
            "--capability=all", "--system-call-filter=@mount @keyring bpf add_key", "--private-users=no",
            "--bind=/dev/net/tun", "--bind=/dev/fuse", *(f"--bind-ro={folder}" for folder in roots.sources()),
            "--console=passive", "--resolv-conf=off", "--timezone=off", "--link-journal=no",
        ]  # fmt: skip


def environment() -> dict[str, str]:
    """Return the environment of commands inside: a root login's, not the caller's."""
    return {
        "PATH": roots.search_path(),
        "HOME": "/root",
        "USER": "root",
        "LOGNAME": "root",
        "LANG": "C.UTF-8",
        "TERM": "xterm",
    }
