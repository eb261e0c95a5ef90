"""Steps for a machine's manager and its metadata server."""

from mcloud import Host, Node, Step, StepContext
from mcloud_ceph import client, units
from mcloud_ceph.files import ADMIN_KEYRING, MANAGER_CAPS, METADATA_CAPS, STATE, Caps, keyring_file


def manager(node: Node) -> Step:
    """Return the step that starts a manager; the first one leads, others stand by.

    It is not waited for: loading its modules takes seconds in which the rest can go on.
    """
    return _daemon(node, kind="mgr", name="manager", caps=MANAGER_CAPS)


def metadata_server(node: Node) -> Step:
    """Return the step that starts a metadata server, which waits for a file system to serve."""
    return _daemon(node, kind="mds", name="metadata-server", caps=METADATA_CAPS)


def write_key(host: Host, kind: str, node: Node, key: str) -> None:
    """Give a daemon its key, and with it the folder it lives in."""
    folder = data_folder(kind, node)
    host.write(f"{folder}/keyring", keyring_file(f"{kind}.{node.name}", key), mode=0o600)
    host.run(["chown", "--recursive", "ceph:ceph", folder])


def data_folder(kind: str, node: Node) -> str:
    """Return the folder of a machine's daemon of one kind."""
    return f"{STATE}/{kind}/ceph-{node.name}"


def unit(kind: str, node: Node) -> str:
    """Return the systemd unit of a machine's daemon of one kind."""
    return f"ceph-{kind}@{node.name}.service"


def _daemon(node: Node, *, kind: str, name: str, caps: Caps) -> Step:
    entity, folder, own = f"{kind}.{node.name}", data_folder(kind, node), unit(kind, node)

    def run(ctx: StepContext) -> None:
        if ctx.host.stat(f"{folder}/keyring") is None:
            write_key(ctx.host, kind, node, client.get_or_create_key(ctx.host, entity, caps))
        units.start(ctx.host, own)

    def probe(ctx: StepContext) -> tuple[()] | None:
        there = ctx.host.stat(f"{folder}/keyring") is not None and units.runs(ctx.host, own)
        return () if there else None

    def undo(ctx: StepContext) -> None:
        units.stop(ctx.host, own)
        ctx.host.run(["rm", "--recursive", "--force", folder])
        if ctx.host.stat(ADMIN_KEYRING) is not None and client.answers(ctx.host):
            client.tell(ctx.host, [("auth", "rm", entity)])

    return Step(name=name, run=run, probe=probe, undo=undo)
