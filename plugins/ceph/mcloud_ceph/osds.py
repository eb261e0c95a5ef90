"""Steps for OSDs: one per disk, BlueStore straight on the device."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from mcloud import (
    Bears,
    CommandError,
    DiskChoice,
    HeldDisk,
    Host,
    JoinToken,
    Node,
    Restarts,
    ServiceError,
    Step,
    StepContext,
    disk_loss,
    disks_bearing,
    free_disks,
    hold_disk,
    look_at_disk,
)
from mcloud_ceph import client, disks, tokens, units
from mcloud_ceph.conffile import fsid_at, fsid_here
from mcloud_ceph.files import ADMIN_KEYRING, STATE, keyring
from mcloud_ceph.layout import osd_uuid, step_name
from mcloud_ceph.states import UP, way_of
from mcloud_ceph.timing import MAKING

OSDS = f"{STATE}/osd"

_OWN = (
    "for i in $$(seq 60); do for disk in BLOCK $$(find /dev -xdev -type b); do "
    "head --bytes=60 $$disk 2>/dev/null | grep --quiet UUID || continue; "
    "[ $$disk -ef BLOCK ] || ln --symbolic --force --no-dereference $$disk BLOCK; "
    "exec chown ceph:ceph $$disk; done; "
    "[ -b BLOCK ] && [ $$(head --bytes=1 BLOCK 2>/dev/null | wc --bytes) = 0 ] && exit 1; "
    "sleep 1; done; exit 1"
)
"""Shell that waits for a disk, told by its label, and gives it to Ceph (`$$`: systemd's `$`).

One that is there and gives nothing to read is dead: it will show no label, however long one waits.
"""


def make(node: Node, disk: DiskChoice, *, back: bool = False) -> Step:
    """Return the step that makes an OSD out of a disk; `back`: the others may have forgotten it since."""
    return Step(
        name=step_name(disk),
        run=partial(_run, node, disk),
        probe=partial(_probe, node, disk, back),
        undo=_undo,
        needs=() if node.founder else (JoinToken,),
        destroys=(disk_loss(node, disk),) if disk.wipe else (),
        loses=(f"all that Ceph keeps on {disk.path} of {node.name}",),
    )


def _run(node: Node, disk: DiskChoice, ctx: StepContext) -> None:
    """Claim the disk and make the OSD on it; it is started with the others of its machine."""
    host, ticket = ctx.host, _ticket(node, disk, ctx)
    ctx.keep("uuid", ticket.uuid)
    folder = f"{OSDS}/ceph-{ticket.number}"
    if not (_is_of(host, ticket, folder=folder) and _holds(host, node, disk, ticket.uuid)):
        if before := _number(host, ticket.uuid):
            _forget_here(host, before)
        with hold_disk(ctx, node, disk, ours=partial(disks.is_of, ticket.uuid)) as held:
            held.clear()
            _make_store(host, ticket, folder=folder, held=held)
    # At boot the disk is root's again, and may appear later than the unit is started, or under another name.
    ctx.keep_file(units.drop_in(_unit(ticket.number)))
    own = _OWN.replace("BLOCK", f"{folder}/block").replace("UUID", ticket.uuid)
    units.add_to(host, _unit(ticket.number), {"ExecStartPre": f"+/bin/sh -c '{own}'"})


def _ticket(node: Node, disk: DiskChoice, ctx: StepContext) -> tokens.OsdTicket:
    """Return number and key of the OSD on this disk: made here at the seat, else from the token."""
    if node.founder:
        return tokens.new_osds(ctx.host, fsid=fsid_here(ctx.host), node=node, disks=[disk])[0][0]
    ticket = tokens.read(ctx)
    wanted = osd_uuid(ticket.fsid, node, disk)
    for osd in ticket.osds:
        if osd.uuid == wanted:
            return osd
    raise ServiceError(
        f"the token for {node.name} holds no OSD for {disk.path}", hint="run the same command again"
    )


def _make_store(host: Host, ticket: tokens.OsdTicket, *, folder: str, held: HeldDisk) -> None:
    host.run(["rm", "--recursive", "--force", folder])
    # Written ahead of mkfs, which writes the same: by it an undo knows a folder that was left half-made.
    host.write(f"{folder}/fsid", f"{ticket.uuid}\n")
    host.write(f"{folder}/keyring", _keyring(ticket), mode=0o600)
    host.run(["ln", "--symbolic", held.lasting, f"{folder}/block"])
    host.run(["chown", "ceph:ceph", folder, f"{folder}/fsid", f"{folder}/keyring", f"{folder}/block"])
    host.run(["chmod", "0750", folder])
    who = ["--id", str(ticket.number), "--osd-uuid", ticket.uuid, "--setuser", "ceph", "--setgroup", "ceph"]
    held.make(["ceph-osd", "--mkfs", *who, *MAKING], name=held.lasting, seconds=300)


def _probe(node: Node, disk: DiskChoice, back: bool, ctx: StepContext) -> tuple[()] | None:  # noqa: FBT001 - a partial
    host, fsid = ctx.host, fsid_at(ctx.host)
    uuid = osd_uuid(fsid, node, disk) if fsid else ""
    number = _number(host, uuid)
    made = (
        number is not None
        and host.stat(f"{OSDS}/ceph-{number}/ready") is not None
        and units.is_changed(host, _unit(number))
        # Not so where the disk was replaced by another one since.
        and _holds(host, node, disk, uuid)
        and (not back or client.lets_in(host, f"osd.{number}", f"{OSDS}/ceph-{number}/keyring"))
    )
    return () if made else None


def _is_of(host: Host, ticket: tokens.OsdTicket, *, folder: str) -> bool:
    """Say whether a complete store is that of this ticket: one that was purged since has an older key."""
    return host.stat(f"{folder}/ready") is not None and host.read(f"{folder}/keyring") == _keyring(ticket)


def _keyring(ticket: tokens.OsdTicket) -> str:
    return keyring(f"osd.{ticket.number}", ticket.key.get_secret_value())


def _holds(host: Host, node: Node, disk: DiskChoice, uuid: str) -> bool:
    """Say whether a disk is there and is that OSD's."""
    found = look_at_disk(host, node, disk, ours=partial(disks.is_of, uuid))
    return found is not None and disks.is_of(uuid, found)


def _forget_here(host: Host, number: str) -> None:
    """Take away what is on this machine of an OSD; its disk is left as it is."""
    units.stop(host, _unit(number))
    units.take_from(host, _unit(number))
    host.run(["rm", "--recursive", "--force", f"{OSDS}/ceph-{number}"])


def _undo(ctx: StepContext) -> None:
    """Free the disk, whatever it is called and the others say, and tell the monitors if they answer."""
    host, uuid = ctx.host, ctx.kept("uuid")
    if uuid is None:
        return
    number = _number(host, uuid)
    if number is not None:
        units.stop(host, _unit(number))
        units.take_from(host, _unit(number))
    give_back(host, partial(disks.is_of, uuid))
    if number is not None:
        host.run(["rm", "--recursive", "--force", f"{OSDS}/ceph-{number}"])
        if host.stat(ADMIN_KEYRING) is None:
            purge = f"`ceph osd purge {number} --yes-i-really-mean-it` on a machine with a monitor"
            ctx.report(f"if the others stay, osd.{number} is still in their list: {purge}")
        elif client.answers(host):
            client.tell(host, _forget(number), seconds=15)


def give_back(host: Host, bears: Bears) -> None:
    """Wipe the disks that bear a label of ours, and give them back to root.

    Only what our OSDs left: a disk may have another owner by now, another name, or be gone.
    """
    # First, as it is the label that tells whose they are: should we be cut off here, it is all done again.
    for found in disks_bearing(host, bears):
        host.run(["chown", "root:disk", found.disk.device])
    free_disks(host, bears)


def _forget(number: str) -> list[client.Command]:
    """Return the commands that take an OSD out of all maps: `osd purge` would need a manager to agree."""
    name = f"osd.{number}"
    return [
        ("osd", "down", number),
        ("osd", "crush", "remove", name),
        ("auth", "rm", name),
        ("osd", "rm", number),
    ]


def up(node: Node, chosen: Sequence[DiskChoice]) -> Step:
    """Return the step that starts all OSDs of a machine side by side, and names those that do not come up."""

    def numbers(ctx: StepContext) -> Mapping[str, str]:
        """Return the number of the OSD on each disk that has one."""
        found = {disk.path: _number_of(node, disk, ctx.host) for disk in chosen}
        return {path: number for path, number in found.items() if number is not None}

    def ended(ctx: StepContext, restarts: Restarts) -> Sequence[str] | None:
        """Return the failures, once each OSD has come up or failed too often."""
        down = {path: number for path, number in numbers(ctx).items() if way_of(ctx.host, number) != UP}
        said = restarts.mend() if down else {}
        failed = [
            f"osd.{number} on {path}: {said[_unit(number)]}"
            for path, number in down.items()
            if _unit(number) in said
        ]
        return failed if len(failed) == len(down) else None

    def run(ctx: StepContext) -> None:
        found = numbers(ctx)
        own = [_unit(number) for number in found.values()]
        with suppress(CommandError):  # who does not start is named below, with its disk
            units.start(ctx.host, *own)
        restarts = Restarts(ctx, own)
        failed = ctx.wait(
            lambda: ended(ctx, restarts),
            what="all OSDs to come up",
            progress=lambda: sum(way_of(ctx.host, number) for number in found.values()),
        )
        if failed:
            raise ServiceError(
                f"{len(failed)} of {len(chosen)} OSDs of {node.name} do not start: {'; '.join(failed)}",
                hint="journalctl -u 'ceph-osd@*' on that machine says more; is the disk sound?",
            )

    def probe(ctx: StepContext) -> tuple[()] | None:
        found = numbers(ctx).values()
        there = len(found) == len(chosen) and all(
            units.runs(ctx.host, _unit(number)) and way_of(ctx.host, number) == UP for number in found
        )
        return () if there else None

    def undo(ctx: StepContext) -> None:
        # All at once: each takes five seconds to end where no monitor answers any more.
        if found := numbers(ctx):
            units.stop(ctx.host, *(_unit(number) for number in found.values()))

    return Step(name="osds-up", run=run, probe=probe, undo=undo)


def _number_of(node: Node, disk: DiskChoice, host: Host) -> str | None:
    """Return the number of the OSD that was made on a disk."""
    fsid = fsid_at(host)
    return _number(host, osd_uuid(fsid, node, disk)) if fsid else None


def _number(host: Host, uuid: str) -> str | None:
    """Return the number of the OSD with this id on this machine."""
    for name in host.list(OSDS):
        number = name.removeprefix("ceph-")
        if number.isdigit() and (host.read(f"{OSDS}/{name}/fsid") or "").strip() == uuid:
            return number
    return None


def _unit(number: int | str) -> str:
    return f"ceph-osd@{number}.service"
