"""Steps for monitors: the first one, which founds the cluster, and those that join it."""

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from functools import partial

from pydantic import SecretStr

from mcloud import Host, JoinToken, Node, ServiceError, Step, StepContext, wait_with_units
from mcloud_ceph import client, daemons, tokens, units
from mcloud_ceph.conffile import write_conf
from mcloud_ceph.files import (
    ADMIN_CAPS,
    ADMIN_KEYRING,
    CONF,
    MANAGER_CAPS,
    MARK,
    STATE,
    client_caps,
    conf,
    keyring,
    monitor_addresses,
    new_key,
)
from mcloud_ceph.layout import CLIENT, has_filesystem, public_address
from mcloud_ceph.replication import replication
from mcloud_ceph.settings import CephNode, CephSettings
from mcloud_ceph.timing import FORMING, PROBE_TIMEOUT, USUAL_PROBE_TIMEOUT

_MAP = f"{STATE}/mcloud.monmap"
_KEYS = f"{STATE}/mcloud.keyring"
"""What a new monitor is made from; both are removed when it is made, or taken back."""


def found(
    node: Node, nodes: Sequence[Node], settings: CephSettings, node_settings: Mapping[str, CephNode]
) -> Step:
    """Return the step that founds a cluster of one monitor, a quorum by itself, and one manager."""
    options = {
        # Clients that cannot keep their id after a reconnect are long gone; allowed, it is a HEALTH_WARN.
        ("mon", "auth_allow_insecure_global_id_reclaim"): "false",
        **replication(nodes, settings, node_settings),
    }

    def run(ctx: StepContext) -> None:
        fsid = ctx.keep("fsid", str(uuid.uuid4())) or ""
        for path in (CONF, ADMIN_KEYRING):
            ctx.keep_file(path)
        write_conf(ctx.host, conf(fsid, node, nodes, settings))
        if not _is_made(ctx.host, node):
            _make_first(ctx.host, node, nodes, settings, fsid=fsid)
        units.start(ctx.host, _unit(node))
        # As early as can be: it loads its modules for four seconds, and nothing is clean before it counts.
        units.start(ctx.host, daemons.unit("mgr", node))
        wait_with_units(
            ctx,
            lambda: _is_there(ctx.host, node, {"leader", "peon"}) or None,
            units=(_unit(node),),
            what=f"monitor {node.name} to be a quorum",
        )
        client.tell(ctx.host, client.set_options(options | FORMING))

    def probe(ctx: StepContext) -> tuple[()] | None:
        there = (
            ctx.host.stat(CONF) is not None
            and _is_made(ctx.host, node)
            and units.runs(ctx.host, _unit(node))
            and units.runs(ctx.host, daemons.unit("mgr", node))
            and options.items() <= client.config(ctx.host).items()
        )
        return () if there else None

    def undo(ctx: StepContext) -> None:
        units.stop(ctx.host, daemons.unit("mgr", node))
        ctx.host.run(["rm", "--recursive", "--force", daemons.data_folder("mgr", node)])
        _remove(node, ctx)
        for path in (ADMIN_KEYRING, CONF):
            ctx.restore_file(path)

    return Step(
        name="cluster",
        run=run,
        probe=probe,
        undo=undo,
        loses=("the Ceph cluster and all that is kept in it",),
    )


def join(node: Node, *, back: bool = False) -> Step:
    """Return the step that adds a monitor to the quorum of those that are there.

    With `back` it may have been written out since: such a one never gets in again, so it is made anew
    out of what the others have, unless it is in their quorum.
    """

    def run(ctx: StepContext) -> None:
        lost = back and not _is_there(ctx.host, node, {"leader", "peon"})
        if lost or not _is_made(ctx.host, node):
            units.stop(ctx.host, _unit(node))
            _make_next(ctx.host, node, key=tokens.read(ctx).monitor)
        shorter = {"Environment": f"CEPH_ARGS=--mon-probe-timeout={PROBE_TIMEOUT}"}
        units.add_to(ctx.host, _unit(node), shorter, until_boot=True)
        units.start(ctx.host, _unit(node))
        wait_with_units(
            ctx,
            lambda: _is_there(ctx.host, node, {"leader", "peon"}) or None,
            units=(_unit(node),),
            what=f"monitor {node.name} to join the quorum",
        )
        usual = {"var": "mon_probe_timeout", "val": [USUAL_PROBE_TIMEOUT]}
        client.daemon(ctx.host, f"mon.{node.name}", "config set", **usual)
        units.take_from(ctx.host, _unit(node), until_boot=True)

    def probe(ctx: StepContext) -> tuple[()] | None:
        if units.is_changed(ctx.host, _unit(node), until_boot=True):
            return None
        # In the map is enough here: while the next monitor comes in, all of them vote anew.
        return () if _is_there(ctx.host, node, {"leader", "peon", "electing"}) else None

    return Step(name="monitor", run=run, probe=probe, undo=partial(_remove, node), needs=(JoinToken,))


def leave(node: Node) -> Step:
    """Return the step that takes a monitor away which the smaller roster does not want."""

    def probe(ctx: StepContext) -> tuple[()] | None:
        return None if _is_made(ctx.host, node) else ()

    def run(ctx: StepContext) -> None:
        known = {monitor["name"] for monitor in client.ask(ctx.host, ["mon", "dump"])[0]["mons"]}
        if known == {node.name}:
            raise ServiceError(f"the monitor on {node.name} is the only one: it cannot be taken away")
        _remove(node, ctx)

    # Not taken back by itself: there was one for the larger roster, and what it kept is with the others.
    return Step(name="no-monitor", run=run, probe=probe)


def _unit(node: Node) -> str:
    return f"ceph-mon@{node.name}.service"


def _store(node: Node) -> str:
    return f"{STATE}/mon/ceph-{node.name}"


def _is_made(host: Host, node: Node) -> bool:
    """Say whether the monitor's store is complete; `done` is the mark that Ceph's own tools leave."""
    return host.stat(f"{_store(node)}/done") is not None


def _is_there(host: Host, node: Node, states: set[str]) -> bool:
    """Say whether the monitor is made, will come back at boot, and calls itself one of `states`."""
    if not _is_made(host, node) or not units.runs(host, _unit(node)):
        return False
    status = client.daemon(host, f"mon.{node.name}", "mon_status")
    return bool(status) and status["state"] in states


def _make_first(host: Host, node: Node, nodes: Sequence[Node], settings: CephSettings, *, fsid: str) -> None:
    """Make the store of the first monitor, with the keys of those who are there from the beginning."""
    admin = keyring("client.admin", new_key(), ADMIN_CAPS)
    manager = new_key()
    keys = [
        keyring("mon.", new_key(), {"mon": "allow *"}),
        admin,
        keyring(f"mgr.{node.name}", manager, MANAGER_CAPS),
        keyring(f"client.{CLIENT}", new_key(), client_caps(filesystem=has_filesystem(nodes, settings))),
    ]
    host.write(ADMIN_KEYRING, f"{MARK}\n{admin}", mode=0o600)
    daemons.write_key(host, "mgr", node, manager)
    addresses = monitor_addresses(public_address(node, settings), encrypted=settings.encrypt_traffic)
    host.run(["monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", node.name, addresses, _MAP])
    _make_store(host, node, keys="".join(keys))


def _make_next(host: Host, node: Node, *, key: SecretStr | None) -> None:
    """Make the store of a further monitor, which copies the rest from the others."""
    if key is None:
        raise ServiceError(f"the token for {node.name} holds no key for a monitor")
    host.run(["ceph", *client.connecting(host, 20), "mon", "getmap", "--out-file", _MAP], seconds=30)
    _make_store(host, node, keys=keyring("mon.", key.get_secret_value(), {"mon": "allow *"}))


def _make_store(host: Host, node: Node, *, keys: str) -> None:
    host.run(["rm", "--recursive", "--force", _store(node)])
    host.write(_KEYS, keys, mode=0o600, owner="ceph:ceph")
    files = ["--monmap", _MAP, "--keyring", _KEYS]
    host.run(["ceph-mon", "--mkfs", "--id", node.name, *files, "--setuser", "ceph", "--setgroup", "ceph"])
    host.write(_KEYS, None)
    host.write(_MAP, None)
    host.write(f"{_store(node)}/done", f"{MARK}\n", owner="ceph:ceph")


def _remove(node: Node, ctx: StepContext) -> None:
    """Take a monitor out of the others' map if they answer, and away from this machine in any case."""
    host = ctx.host
    # What cannot be had from the others must not keep this machine from being freed.
    with contextlib.suppress(ServiceError):
        if _is_made(host, node) and client.answers(host):
            _leave(ctx, node)
    units.stop(host, _unit(node))
    units.take_from(host, _unit(node), until_boot=True)
    host.run(["rm", "--recursive", "--force", _store(node)])
    for path in (_KEYS, _MAP):
        host.write(path, None)


def _leave(ctx: StepContext, node: Node) -> None:
    """Leave the map, and see it committed: `mon remove` answers before that, and a vote short is no quorum.

    Before the monitor is stopped: the others would miss a stopped leader for 10 s before they elect another.
    """

    def others() -> Sequence[str]:
        monitors = [monitor["name"] for monitor in client.ask(ctx.host, ["mon", "dump"])[0]["mons"]]
        return [name for name in monitors if name != node.name] if node.name in monitors else []

    if others():
        client.tell(ctx.host, [("mon", "remove", node.name)])
        ctx.wait(lambda: None if others() else True, what=f"the others to let {node.name} go", patience=20)
