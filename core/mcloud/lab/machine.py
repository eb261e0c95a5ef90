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
from mcloud.lab.lock import locked
from mcloud.localhost import LocalHost
from mcloud.secrets import Secrets

Say = Callable[[str], None]

BOOT_PATIENCE = 120
"""Seconds; three machines that share two processors take one."""

STILLBORN = 5
"""Seconds after which a machine without any process will not have one any more."""

# Enters the machine's cgroups (the arguments before `--`) before it becomes the machine's container.
START = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 1; shift; done; shift; exec "$@"'


def silent(_line: str) -> None:
    """Say nothing."""


class Machine:
    """One machine of a lab that is up; made by `Lab.machine`."""

    def __init__(self, layout: Layout, machine: MachineLayout) -> None:
        """Keep what it is made of; nothing is touched."""
        self._lab = layout.name
        self.layout = machine
        self.name = machine.name
        self.address = machine.address

    @property
    def pid(self) -> int | None:
        """The pid of its init, as counted outside; None while it is off."""
        return processes.init_of(self._lab, self.name)

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return what runs a command inside, on the caller's terminal; killed when the caller is."""
        # Ctrl-C is for the command alone: nsenter lives on, to bring back its exit status.
        return [
            *("/usr/bin/env", "--ignore-signal=INT", "--ignore-signal=QUIT"),
            *self._entry(),
            *("/usr/bin/setpriv", "--pdeathsig", "KILL", "--"),
            *("/usr/bin/env", "--default-signal=INT", "--default-signal=QUIT", "--chdir=/root", "--"),
            *command,
        ]

    def run(
        self,
        command: Sequence[str],
        *,
        input: str | None = None,  # noqa: A002 - as subprocess.run has it
        check: bool = True,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside and return what it said.

        CommandError if it fails (unless `check=False`) or takes longer than `timeout` seconds, when
        it is killed.
        """
        title = f"{self.name}: {' '.join(command)}"
        try:
            done = subprocess.run(
                self.argv(command),
                input=input,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
                env=roots.environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"{title}: still running after {timeout:g} s and was killed") from error
        if check and done.returncode != 0:
            raise CommandError(
                f"{title}: exit status {done.returncode}\n{done.stderr.strip()}",
                exit_status=done.returncode,
                stderr=done.stderr,
            )
        return done

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a command inside; `kill()` of what is returned kills it. `options` are Popen's."""
        return subprocess.Popen(self.argv(command), env=roots.environment(), **options)

    def host(self, secrets: Secrets | None = None) -> LocalHost:
        """Return the door to this machine that a step would get on it."""
        return LocalHost(secrets or Secrets(), prefix=self._entry(), root=f"/proc/{self.pid}/root")

    def boot(self, say: Say = silent) -> None:
        """Switch it on, if it is off, and wait until systemd has started what it starts."""
        with locked(self._lab):
            self.switch_on()
            self.wait(say)

    def kill(self) -> None:
        """Cut its power: every process is killed at once, no service can write anything back."""
        with locked(self._lab):
            self.cut_power()

    def switch_on(self) -> None:
        """Give it network, disks and an init; return before it is up. The caller holds the lock."""
        if self.pid is not None:
            return
        wires.plug(self._lab, self.layout)
        self._write_disks()
        doors = [str(door) for door in processes.enter_cgroups(self._lab, self.name)]
        start = f"exec >>{self._console} 2>&1 </dev/null; {START}"
        execute(["setsid", "--fork", "sh", "-c", start, "sh", *doors, "--", *self._container()])

    def renew_disk(self, disk: str) -> None:
        """Put in the empty disk that the layout has for one that was there. The caller holds the lock."""
        disks.renew(self._lab, self.layout, disk)
        self._write_disks()
        if self.pid is not None:
            self.run(["systemctl", "restart", roots.DEVICES], timeout=BOOT_PATIENCE)

    def _write_disks(self) -> None:
        roots.write_disks(self._lab, self.layout, disks.attach(self._lab, self.layout))

    def cut_power(self) -> None:
        """Do what `kill` does. The caller holds the lock."""
        processes.end(self._lab, self.name)
        processes.leave_cgroups(self._lab, self.name)
        wires.unplug(self._lab, self.layout)

    def wait(self, say: Say = silent) -> None:
        """Wait until systemd has started what it starts; ServiceError with its last words if it does not."""
        started = time.monotonic()
        while (passed := time.monotonic() - started) < BOOT_PATIENCE:
            if self.pid is not None:
                if (state := self.state(wait=BOOT_PATIENCE - passed)) in {"running", "degraded"}:
                    failed = "".join(f", {unit} failed" for unit in self.failed())
                    say(f"{self.name} {state} after {time.monotonic() - started:.1f} s{failed}")
                    return
            elif passed > STILLBORN and not processes.of_machine(self._lab, self.name):
                break
            time.sleep(0.05)
        words = self._console.read_text(errors="replace").strip()[-500:]
        raise ServiceError(
            f"{self.name} does not come up: {words or 'it says nothing'}", hint=str(self._console)
        )

    def state(self, *, wait: float | None = None) -> str:
        """Return what systemd says of it as a whole: running, degraded, starting; off where there is none.

        With `wait`, return when it has started everything, or after so many seconds.
        """
        argv = ["systemctl", "is-system-running", *(["--wait"] if wait else [])]
        if self.pid is None:
            return "off"
        try:
            return self.run(argv, check=False, timeout=wait or 10).stdout.strip() or "starting"
        except McloudError:
            return "starting"

    def failed(self) -> list[str]:
        """Return the units that failed on it; none while it is off."""
        if self.pid is None:
            return []
        listed = self.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend"], check=False)
        return [line.split()[0] for line in listed.stdout.splitlines()]

    @property
    def _console(self) -> Path:
        return STATE / self._lab / "machines" / self.name / "console.log"

    def _entry(self) -> list[str]:
        pid = self.pid
        if pid is None:
            raise McloudError(f"machine {self.name} is off", hint=f"mcloud lab boot {self.name}")
        return ["/usr/bin/nsenter", f"--target={pid}", "--all", "--"]

    def _container(self) -> list[str]:
        """Return the command that becomes the machine's container; each option was needed (docs/lab.md)."""
        return [
            *("env", "SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes"),  # LXD's OVN networks write to /proc/sys
            # Not --network-namespace-path: /sys/class/net would go on showing the host's interfaces.
            *("nsenter", f"--net={wires.namespace(self._lab, self.name)}", "--"),
            *("systemd-nspawn", "--quiet", "--boot", f"--directory={roots.root(self._lab, self.name)}"),
            *(f"--machine={self.name}", f"--hostname={self.name}", "--register=no", "--keep-unit"),
            *("--capability=all", "--system-call-filter=@mount @keyring bpf add_key", "--private-users=no"),
            *("--bind=/dev/net/tun", "--bind=/dev/fuse"),
            *(f"--bind-ro={folder}" for folder in roots.shared()),
            *("--console=passive", "--resolv-conf=off", "--timezone=off", "--link-journal=no"),
            # Nobody reads that console: once it is full (4 KiB of complaints), systemd would stand still.
            *("--", "--show-status=no", "--log-target=journal"),
        ]
