"""The one door to disks for whatever destroys: it acts on the disk that was meant, or on none.

A name is no disk: after a boot `/dev/sdb` may be another one. So a disk is opened once and held, compared
with what the plan says of it (`identity`), looked into and tried on that open device, and only then
written to. Undo and reset come in by labels: what bears one of ours is freed, under whatever name it has.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mcloud.crew import Crew
from mcloud.errors import McloudError, ServiceError
from mcloud.host import Device, Host, Result
from mcloud.identity import (
    Present,
    find_new,
    find_pinned,
    lasting_name,
    present,
    refuse_another,
    refuse_other_content,
)
from mcloud.model import Disk, DiskChoice, Node
from mcloud.steps import StepContext
from mcloud.survey.contents import UNKNOWN, UNREADABLE, Content, content
from mcloud.survey.disks import has_partitions, use_now
from mcloud.wiping import close_built_on, wipe

MARK = "emptied"
"""How the journal says that a disk was had blank by this run: what nobody knows on it later is ours."""

_AT_ONCE = 8
_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class DiskFound:
    """A disk as it is now: what it is, and what is on it."""

    disk: Disk
    """Its names, size, serial; of its content see `content`."""
    content: Content


Bears = Callable[[DiskFound], bool]
"""Whether a disk bears a label that is surely ours, of this run or cloud."""


def nobodys(_found: DiskFound) -> bool:
    """Say of every disk that it bears no label of ours."""
    return False


@dataclass(frozen=True, slots=True)
class HeldDisk:
    """A disk of the plan, open, and surely the one that was meant; got from `hold_disk`."""

    device: Device
    disk: Disk
    """What it is now, with the names it has now."""
    path: str
    """Its name now."""
    lasting: str
    """The name by which it is found after a boot too, if it has one; it leads to this disk now."""
    _ctx: StepContext
    _choice: DiskChoice
    _ours: Bears

    def content(self) -> Content:
        """Return what is on it now, read from the open device."""
        return content(self._ctx.host, self.device)

    def clear(self) -> None:
        """Leave it blank: at once if it is, else wiped if the plan says so or if what is on it is ours.

        Only in `run`; journalled before anything is written. Raises ServiceError if it is in use, cannot
        be read, or holds what may not be destroyed.
        """
        host, found = self._ctx.host, self.content()
        what = found.type or ("partitions" if has_partitions(host, self.device) else "")
        if found.type == UNREADABLE or found.trouble:
            raise ServiceError(
                f"{self.path} of {host.name} cannot be read: {found.trouble or 'nobody knows why'}",
                hint="is it sound? `dmesg` and `smartctl -a` tell; name another disk",
            )
        if what and not (self._choice.wipe or self._is_ours(found)):
            raise ServiceError(
                f"{self.path} of {host.name} is not empty ({what}) and was not to be wiped",
                hint="say `wipe: true` for this disk if what is on it may be destroyed, or name another disk",
            )
        _refuse_used(host, self.device, self.path)
        self._ctx.keep(f"{MARK} {self._choice.path}", self.disk.serial or self.disk.wwn)
        if what:
            wipe(host, self.device)

    def make(self, argv: Sequence[str], *, name: str, seconds: float = 60) -> Result:
        """Run a command that makes something on this disk, which it reaches by a name (or a link of its own).

        Raises ServiceError, before it is run, if the name leads to another disk or this one is in use.
        """
        self.refuse_other(name)
        _refuse_used(self._ctx.host, self.device, self.path)
        result = self._ctx.host.run(argv, seconds=seconds)
        self.refuse_other(name)
        return result

    def refuse_other(self, name: str) -> None:
        """Raise ServiceError if a name does not lead to this disk."""
        if not self.device.leads(name):
            raise ServiceError(
                f"{name} of {self._ctx.host.name} leads to another disk than {self.path}, which was meant",
                hint="were disks plugged or renamed just now? Run the same command again",
            )

    def _is_ours(self, found: Content) -> bool:
        """Whether what is on it is of this run: by its label, or begun on the blank disk that it was."""
        if self._ours(DiskFound(self.disk, found)):
            return True
        had = self._ctx.kept(f"{MARK} {self._choice.path}")
        return bool(had) and had in {self.disk.serial, self.disk.wwn} and found.type == UNKNOWN


@contextmanager
def hold_disk(
    ctx: StepContext, node: Node, choice: DiskChoice, *, ours: Bears = nobodys
) -> Iterator[HeldDisk]:
    """Open the disk that the plan means, whatever its name is now, and hold it.

    The one disk that bears a label of ours is it, too. Raises ServiceError, and has touched nothing, if it
    is not there or another one is in its place.
    """
    host = ctx.host
    found = _find(host, node, choice, ours, ctx)
    with host.device(found.path) as device:
        now = refuse_another(host, node, choice, device, found)
        if not found.sure:
            # Once more, as it was looked at through another opening: a name may have changed in between.
            _refuse_other_content(ctx, node, choice, found=found, device=device, ours=ours)
        yield HeldDisk(device, now, found.path, lasting_name(device, now, choice), ctx, choice, ours)


def _find(host: Host, node: Node, choice: DiskChoice, ours: Bears, ctx: StepContext) -> Present:
    """Return where the disk of the plan is, by what it is or by our label on it."""
    try:
        found = find_pinned(host, node, choice, report=ctx.notice)
        if not found.sure:
            with host.device(found.path) as device:
                _refuse_other_content(ctx, node, choice, found=found, device=device, ours=ours)
    except ServiceError:
        bearing = disks_bearing(host, ours) if ours is not nobodys else ()
        if not bearing and (new := find_new(host, node, choice, report=ctx.notice)) is not None:
            return new
        if len(bearing) != 1:
            raise
        (one,) = bearing
        ctx.notice(
            f"{choice.path} is another disk now; by its label the one in the plan is {one.disk.device}"
        )
        return Present(one.disk, one.disk.model_copy(update={"content": "a label of ours"}))
    return found


def _refuse_other_content(
    ctx: StepContext, node: Node, choice: DiskChoice, *, found: Present, device: Device, ours: Bears
) -> None:
    now = content(ctx.host, device)
    fine = ours(DiskFound(found.disk, now))
    had = ctx.has_kept(f"{MARK} {choice.path}")
    refuse_other_content(ctx.host, node, choice, found, now, fine=fine, had=had)


def look_at_disk(host: Host, node: Node, choice: DiskChoice, *, ours: Bears = nobodys) -> DiskFound | None:
    """Return the disk that the plan means, under the name it has now; None if it is not to be found.

    For probes: reads only. A disk without serial number is taken for the one that was meant by our label
    on it, else by its name.
    """
    try:
        found = find_pinned(host, node, choice)
        with host.device(found.path) as device:
            now = DiskFound(found.disk, content(host, device, sampled=False))
    except ServiceError:
        found, now = None, None
    if found is None or (not found.sure and now is not None and not ours(now)):
        bearing = disks_bearing(host, ours) if ours is not nobodys else ()
        return bearing[0] if len(bearing) == 1 else now
    return now


def disks_bearing(host: Host, bears: Bears) -> tuple[DiskFound, ...]:
    """Return the disks of this machine that bear a label of ours; leaves out what cannot be read."""

    def look(one: Present) -> DiskFound | None:
        try:
            with host.device(one.path) as device:
                found = DiskFound(one.disk, content(host, device, sampled=False))
        except McloudError:
            return None
        return found if bears(found) else None

    found = Crew(_AT_ONCE, "disks").map(look, present(host))
    return tuple(one for one in found if one is not None)


def free_disks(host: Host, bears: Bears, *, patience: float = 0) -> tuple[str, ...]:
    """Wipe all disks that bear a label of ours, under whatever name; return the names that they have now.

    What is built on them (LVM, LUKS, MD) is closed; `patience` seconds for others to let go of them. Raises
    ServiceError with the names of those that could not be wiped, when all have been tried.
    """
    freed, failed = list[str](), list[str]()
    for one in disks_bearing(host, bears):
        path = one.disk.device
        try:
            with host.device(path) as device:
                # Looked at again: between two looks the name may have become another disk's.
                if bears(DiskFound(one.disk, content(host, device, sampled=False))):
                    _free(host, device, path, patience=patience)
                    freed.append(path)
        except ServiceError as error:
            failed.append(f"{path}: {error}")
    if failed:
        raise ServiceError("; ".join(failed), hint="`lsblk` and `fuser -vm` tell who uses a disk; end that")
    return tuple(freed)


def _free(host: Host, device: Device, path: str, *, patience: float) -> None:
    deadline = time.monotonic() + patience * host.stretch
    while True:
        try:
            close_built_on(host, device)
            _refuse_used(host, device, path)
            break
        except ServiceError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)
    wipe(host, device)


def _refuse_used(host: Host, device: Device, path: str) -> None:
    """Raise ServiceError if anybody uses a disk or a part of it; the kernel has the last word."""
    if use := use_now(host, device):
        raise ServiceError(
            f"{path} of {host.name} is {use if use.startswith(('in use', 'cannot')) else f'in use: {use}'}; "
            "nothing on it was changed",
            hint="name another disk, or free this one (`lsblk`, `fuser -vm` tell who uses it)",
        )
