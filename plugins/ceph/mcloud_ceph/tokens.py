"""What the seat gives a joiner: the keys it needs and no other."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, SecretStr, field_serializer

from mcloud import DiskChoice, Host, JoinToken, Node, StepContext
from mcloud_ceph import client
from mcloud_ceph.conffile import fsid_here
from mcloud_ceph.files import OSD_CAPS
from mcloud_ceph.layout import CLIENT, disks_of, osd_uuid, runs_monitor
from mcloud_ceph.settings import CephNode


class OsdTicket(BaseModel):
    """One OSD: its number and key, made by the monitors."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    uuid: str
    number: int
    key: SecretStr

    @field_serializer("key", when_used="json")
    def _key(self, key: SecretStr) -> str:
        return key.get_secret_value()


class Ticket(BaseModel):
    """All that one machine needs to take part; `monitor` and `admin` only where a monitor will run."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    fsid: str
    client: SecretStr
    monitor: SecretStr | None = None
    admin: SecretStr | None = None
    osds: tuple[OsdTicket, ...] = ()

    @field_serializer("client", "monitor", "admin", when_used="json")
    def _key(self, key: SecretStr | None) -> str | None:
        return key.get_secret_value() if key else None


def issue(
    ctx: StepContext, *, node: Node, nodes: Sequence[Node], node_settings: Mapping[str, CephNode]
) -> Sequence[JoinToken]:
    """Make a joiner's ticket at the seat; made again, it holds the same OSDs and keys."""
    keys = [f"client.{CLIENT}", *(["mon.", "client.admin"] if runs_monitor(node, nodes) else [])]
    fsid = fsid_here(ctx.host)
    osds, said = new_osds(
        ctx.host,
        fsid=fsid,
        node=node,
        disks=disks_of(node, node_settings),
        also=[("auth", "get", key) for key in keys],
    )
    ticket = Ticket.model_validate(
        {
            "fsid": fsid,
            "osds": osds,
            **dict(
                zip(("client", "monitor", "admin"), [client.key_in(answer) for answer in said], strict=False)
            ),
        }
    )
    return [JoinToken(value=SecretStr(ticket.model_dump_json()))]


def read(ctx: StepContext) -> Ticket:
    """Return the ticket in this joiner's token."""
    return Ticket.model_validate_json(ctx.token.get_secret_value())


def new_osds(
    host: Host, *, fsid: str, node: Node, disks: Sequence[DiskChoice], also: Sequence[client.Command] = ()
) -> tuple[tuple[OsdTicket, ...], Sequence[object]]:
    """Have the monitors number a machine's OSDs and make their keys; known ones keep both.

    Returns the answers to the commands `also` as well: each call of `ceph` takes a quarter of a second.
    """
    uuids = [osd_uuid(fsid, node, disk) for disk in disks]
    said = client.ask(host, *also, *(("osd", "new", uuid) for uuid in uuids))
    numbers = [int(answer["osdid"]) for answer in said[len(also) :]]
    caps = [word for pair in OSD_CAPS.items() for word in pair]
    made = (
        client.ask(host, *(("auth", "get-or-create", f"osd.{number}", *caps) for number in numbers))
        if numbers
        else []
    )
    osds = zip(uuids, numbers, made, strict=True)
    tickets = [
        OsdTicket(uuid=uuid, number=number, key=SecretStr(client.key_in(answer)))
        for uuid, number, answer in osds
    ]
    return tuple(tickets), said[: len(also)]
