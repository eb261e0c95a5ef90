"""Steps for what a machine needs to reach the cluster: ceph.conf and the keys of its clients."""

import re
from collections.abc import Sequence

from mcloud import JoinToken, Node, Step, StepContext, StorageAccess
from mcloud_ceph import client, tokens
from mcloud_ceph.conffile import fsid_at, write_conf
from mcloud_ceph.files import (
    ADMIN_CAPS,
    ADMIN_KEYRING,
    CLIENT_KEYRING,
    CONF,
    conf,
    keyring_file,
    monitor_hosts,
)
from mcloud_ceph.layout import CLIENT, has_filesystem, monitors, runs_monitor
from mcloud_ceph.settings import CephSettings


def access(node: Node, nodes: Sequence[Node], settings: CephSettings) -> Step:
    """Return the step that lets this machine reach the cluster: ceph.conf and the keys of its clients."""
    drivers = ["ceph", *(["cephfs"] if has_filesystem(nodes, settings) else [])]

    def run(ctx: StepContext) -> None:
        host = ctx.host
        if node.founder:
            key = client.key_in(client.ask(host, ["auth", "get", f"client.{CLIENT}"])[0])
        else:
            ticket = tokens.read(ctx)
            key = ticket.client.get_secret_value()
            if ticket.admin:
                admin = keyring_file("client.admin", ticket.admin.get_secret_value(), ADMIN_CAPS)
                _give(ctx, ADMIN_KEYRING, admin)
            ctx.keep_file(CONF)
            write_conf(host, conf(ticket.fsid, node, nodes, settings))
        # Last: the probe takes it as the sign that the others are there.
        _give(ctx, CLIENT_KEYRING, keyring_file(f"client.{CLIENT}", key))

    def probe(ctx: StepContext) -> Sequence[StorageAccess] | None:
        if fsid_at(ctx.host) is None or ctx.host.stat(CLIENT_KEYRING) is None:
            return None
        # A machine that gets a monitor only since others fell out has been here without it.
        if runs_monitor(node, nodes) and ctx.host.stat(ADMIN_KEYRING) is None:
            return None
        return [StorageAccess(driver=driver) for driver in drivers]

    def undo(ctx: StepContext) -> None:
        # The founder's conf and admin key came with its monitor, and go with it.
        for path in (CLIENT_KEYRING, *(() if node.founder else (ADMIN_KEYRING, CONF))):
            ctx.restore_file(path)

    return Step(
        name="access",
        run=run,
        probe=probe,
        undo=undo,
        needs=() if node.founder else (JoinToken,),
        offers=(StorageAccess,),
    )


def _give(ctx: StepContext, path: str, keyring: str) -> None:
    ctx.keep_file(path)
    ctx.host.write(path, keyring, mode=0o600)


def known_monitors(nodes: Sequence[Node], settings: CephSettings) -> Step:
    """Return the step that completes the list of monitors, now that those who come have come."""
    line = f"mon_host = {monitor_hosts(monitors(nodes), settings)}"

    def run(ctx: StepContext) -> None:
        text = ctx.host.read(CONF) or ""
        ctx.change_file(CONF, re.sub(r"^mon_host = .*$", line, text, flags=re.MULTILINE))

    def probe(ctx: StepContext) -> tuple[()] | None:
        return () if line in (ctx.host.read(CONF) or "").splitlines() else None

    # Not taken back by itself: the rest of an undo needs to know all monitors, and removes the file.
    return Step(name="known-monitors", run=run, probe=probe)
