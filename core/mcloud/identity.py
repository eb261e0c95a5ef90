"""Which disk is the one in the plan: by serial number or World Wide Name, else by its content."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mcloud.errors import McloudError, ServiceError
from mcloud.forms.offered import find_disk
from mcloud.host import Device, Host
from mcloud.model import Disk, DiskChoice, Node
from mcloud.survey.blocks import block_of, blocks, links, partitions
from mcloud.survey.contents import Content, content
from mcloud.survey.disks import described, is_disk

_ASK_AGAIN = "see `lsblk -o NAME,SIZE,SERIAL,FSTYPE`; put the right disk back, or undo and begin anew"


def is_same_disk(one: Disk, other: Disk) -> bool:
    """Whether two descriptions are surely of one disk: same size, and same serial number or World Wide Name.

    False also where that cannot be told. What one of them lacks (udev may not have been up) is not
    compared, what both have has to be the same.
    """
    pairs = ((one.serial, other.serial), (one.wwn, other.wwn))
    both = [(a, b) for a, b in pairs if a and b]
    return bool(both) and one.size == other.size and all(a == b for a, b in both)


@dataclass(frozen=True, slots=True)
class Present:
    """A disk that is there now; what is on it has not been looked at."""

    disk: Disk
    pinned: Disk | None = None
    """The disk of the plan that it is taken for."""
    sure: bool = False
    """Whether it is that one by what it is; else only by its name, and its content has to tell."""

    @property
    def path(self) -> str:
        """Its name now."""
        return self.disk.device


def present(host: Host) -> list[Present]:
    """Return all whole disks of this machine as they are called now; reads only."""
    names = links(host)
    return [
        Present(described(host, block, names).model_copy(update={"partitions": len(partitions(host, block))}))
        for block in blocks(host)
        if is_disk(host, block)
    ]


def find_pinned(
    host: Host, node: Node, choice: DiskChoice, *, report: Callable[[str], None] = lambda _text: None
) -> Present:
    """Return where the disk of the plan is now; `report` is told if it is under another name.

    Raises ServiceError if it is not to be found for certain.
    """
    pinned = find_disk(node, choice)
    there = present(host)
    named = _named(there, choice)
    if pinned is None:
        raise ServiceError(
            f"{choice.path} is none of the disks that were seen on {node.name} when the plan was made",
            hint="run the same command anew; `mcloud` lists the disks of each machine",
        )
    if not _is_one_of_its_kind(pinned, node.survey.disks):
        return _by_name(node, choice, pinned, named)
    found = [one for one in there if is_same_disk(pinned, one.disk)]
    if len(found) == 1:
        if named is None or named.path != found[0].path:
            what = "is another disk now" if named else "is not there any more"
            report(f"{choice.path} {what}; the one in the plan ({_known_by(pinned)}) is {found[0].path}")
        return Present(found[0].disk, pinned, sure=True)
    if found:
        names = ", ".join(one.path for one in found)
        raise ServiceError(
            f"{choice.path} of {node.name}: which of {names} is the one in the plan ({_known_by(pinned)})?",
            hint="take out the copies, or name another disk",
        )
    raise ServiceError(_gone(node, choice, pinned, named), hint=_ASK_AGAIN)


def find_new(host: Host, node: Node, choice: DiskChoice, *, report: Callable[[str], None]) -> Present | None:
    """Return the disk that was put in the place of the one in the plan, if it is surely new, and empty.

    A disk that was there when the plan was made, under whatever name, is not new: it may be meant for
    something else. One that tells no serial number cannot be known for new.
    """
    pinned, there = find_disk(node, choice), present(host)
    named = _named(there, choice)
    if pinned is None or named is None or any(is_same_disk(pinned, one.disk) for one in there):
        return None
    marks = {mark for disk in node.survey.disks for mark in (disk.serial, disk.wwn)}
    own = {mark for mark in (named.disk.serial, named.disk.wwn) if mark}
    if not own or own & marks or named.disk.partitions:
        return None
    with host.device(named.path) as device:
        now = content(host, device)
    if now.type or now.trouble:
        return None
    report(f"{choice.path} is a new disk ({_known_by(named.disk)}), and empty: it takes the old one's place")
    return Present(named.disk, named.disk)  # not sure: that it is empty is looked at once more


def refuse_another(host: Host, node: Node, choice: DiskChoice, device: Device, found: Present) -> Disk:
    """Compare an open device with the disk that was looked for; return what it is, or raise ServiceError."""
    block = block_of(host, device.number, found.path)
    now = described(host, block, {found.path: found.disk.links}) if block is not None else found.disk
    pinned = found.pinned or found.disk
    same = is_same_disk(pinned, now) if found.sure else device.size == pinned.size
    if block is None or not same or device.size != pinned.size or not device.leads(found.path):
        raise ServiceError(_gone(node, choice, pinned, Present(now)), hint=_ASK_AGAIN)
    return now


def refuse_other_content(
    host: Host,
    node: Node,
    choice: DiskChoice,
    found: Present,
    now: Content,
    *,
    fine: bool,
    had: bool,
) -> None:
    """Raise ServiceError if a disk that only its content can tell holds something else than the plan saw.

    `fine`: a label of ours is on it. `had`: this run has had it blank already.
    """
    was = found.pinned
    if was is None or fine or (had and not now.type):
        return
    what = now.type or ("partitions" if found.disk.partitions else "")
    if was.content == what and (not was.content_id or was.content_id == now.id):
        return
    where = _elsewhere(host, was, found.disk) if was.content_id else ""
    before = " ".join(filter(None, (was.content, was.content_id and f"({was.content_id})"))) or "nothing"
    raise ServiceError(
        f"{choice.path} of {node.name} is another disk than the one in the plan: it holds {now}, and held "
        f"{before}{where and f'; the one in the plan is {where} now'}",
        hint=_ASK_AGAIN,
    )


def lasting_name(device: Device, disk: Disk, choice: DiskChoice) -> str:
    """Return the best name of a disk that is held: one by id, else the link that was typed."""
    by_id = [link for link in disk.links if link.startswith("/dev/disk/by-id/") and device.leads(link)]
    typed = choice.path.startswith("/dev/disk/") and device.leads(choice.path)
    other = choice.path if typed else disk.device
    return min(by_id, key=lambda link: ("/wwn-" in link or "/nvme-eui." in link, link), default=other)


def _named(there: Sequence[Present], choice: DiskChoice) -> Present | None:
    """Return the disk that has the name now which the plan gives, whichever it is."""
    return next((one for one in there if choice.path in {one.path, *one.disk.links}), None)


def _is_one_of_its_kind(pinned: Disk, seen: Sequence[Disk]) -> bool:
    """Whether its serial number or World Wide Name tells a disk from all others that were there with it."""
    return sum(is_same_disk(pinned, one) for one in seen) == 1 if pinned.serial or pinned.wwn else False


def _by_name(node: Node, choice: DiskChoice, pinned: Disk, named: Present | None) -> Present:
    """Return what has the name now: only size and content tell whether it is the one that was meant."""
    if named is None or named.disk.size != pinned.size:
        raise ServiceError(_gone(node, choice, pinned, named), hint=_ASK_AGAIN)
    return Present(named.disk, pinned)


def _gone(node: Node, choice: DiskChoice, pinned: Disk, named: Present | None) -> str:
    if named is None:
        return (
            f"there is no disk {choice.path} on {node.name} any more; in the plan it is {_known_by(pinned)}"
        )
    return (
        f"{choice.path} of {node.name} is another disk than the one in the plan: "
        f"{_known_by(named.disk)}, was {_known_by(pinned)}"
    )


def _known_by(disk: Disk) -> str:
    serial = (
        f"serial {disk.serial}" if disk.serial else f"WWN {disk.wwn}" if disk.wwn else "without serial number"
    )
    return f"{serial}, {disk.size} bytes"


def _elsewhere(host: Host, pinned: Disk, named: Disk) -> str:
    """Return the name of the one other disk that holds what the pinned one held; "" if there is none."""
    found = list[str]()
    for one in present(host):
        if one.path != named.device and one.disk.size == pinned.size:
            try:
                with host.device(one.path) as device:
                    now = content(host, device)
            except McloudError:
                continue
            found += [one.path] if (now.type, now.id) == (pinned.content, pinned.content_id) else []
    return found[0] if len(found) == 1 else ""
