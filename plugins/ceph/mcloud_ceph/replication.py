"""How many copies the pools keep, and that no machine is counted which did not come."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from mcloud import Host, Node, ServiceError, Step, StepContext
from mcloud_ceph import client
from mcloud_ceph.conffile import fsid_here
from mcloud_ceph.layout import comes_back, copies, least_copies, osds_of
from mcloud_ceph.settings import CephNode, CephSettings

MOVING = 20
"""Seconds for what an OSD held to be copied elsewhere; while a cloud is formed that is next to nothing."""

_SURE = ("--yes-i-really-mean-it",)


def replication(
    nodes: Sequence[Node], settings: CephSettings, node_settings: Mapping[str, CephNode]
) -> Mapping[tuple[str, str], str]:
    """Return the options that say how many copies new pools keep."""
    number = copies(nodes, settings, node_settings)
    single = {("global", "mon_allow_pool_size_one"): "true"} if number == 1 else {}
    return {
        ("global", "osd_pool_default_size"): str(number),
        ("global", "osd_pool_default_min_size"): str(least_copies(number)),
        **single,
    }


def converge(
    nodes: Sequence[Node],
    settings: CephSettings,
    node_settings: Mapping[str, CephNode],
    fallen: Sequence[Node],
) -> Step:
    """Return the step that fits the cluster to the machines that are in, without those that fell out."""
    wanted = replication(nodes, settings, node_settings)
    number = copies(nodes, settings, node_settings)
    names = {node.name for node in fallen}
    newcomers = [node for node in nodes if comes_back(node, nodes)]

    def run(ctx: StepContext) -> None:
        missing = changes(ctx)
        for command in missing:
            if command[:3] == ("osd", "pool", "set"):
                ctx.report(f"pool {command[3]}: {command[4]} {command[5]}")
        client.tell(ctx.host, missing)
        _purge(ctx, osds_of(fsid_here(ctx.host), fallen, node_settings))

    def probe(ctx: StepContext) -> tuple[()] | None:
        return None if changes(ctx) else ()

    def changes(ctx: StepContext) -> Sequence[client.Command]:
        """Return the commands that are still missing; none if all is as it should be."""
        dump, osds, status = client.ask(ctx.host, ["config", "dump"], ["osd", "dump"], ["quorum_status"])
        present, fsid = client.options(dump), fsid_here(ctx.host)
        out = osds_of(fsid, fallen, node_settings)
        back = osds_of(fsid, newcomers, node_settings)
        return [
            *client.set_options({key: value for key, value in wanted.items() if present.get(key) != value}),
            *(command for osd in osds["osds"] if osd["uuid"] in out for command in _farewell(osd)),
            *(command for osd in osds["osds"] if osd["uuid"] in back for command in _welcome(osd)),
            *(("mon", "remove", mon["name"]) for mon in status["monmap"]["mons"] if mon["name"] in names),
            *(line for pool in osds["pools"] for line in _resize(pool, number)),
        ]

    return Step(name="replication", run=run, probe=probe)


def _farewell(osd: Mapping[str, Any]) -> Sequence[client.Command]:
    """Return what is to be done about an OSD of a machine that fell out: no data goes there any more."""
    number = str(osd["osd"])
    if "new" in osd["state"] and not osd["up"]:
        return [("osd", "purge-new", number, *_SURE)]
    return [("osd", "out", number)] if osd["in"] else []


def _welcome(osd: Mapping[str, Any]) -> Sequence[client.Command]:
    """Return what is to be done about an OSD that came back: one that was set out stays so by itself."""
    return [("osd", "in", str(osd["osd"]))] if osd["up"] and not osd["in"] else []


def _resize(pool: Mapping[str, Any], copies: int) -> Sequence[client.Command]:
    """Return what gives a pool a number of copies and says how many suffice to write; nothing if it has both.

    A change of the first sets the second by itself, to 1 for two copies, whatever the operator had set: so
    it is said each time. What he had set is kept as far as the copies allow.
    """
    name, least = pool["pool_name"], min(copies, max(least_copies(copies), pool["min_size"]))
    size = ("osd", "pool", "set", name, "size", str(copies), *(_SURE if copies == 1 else ()))
    changed = [size] if pool["size"] != copies else []
    enough = ("osd", "pool", "set", name, "min_size", str(least))
    return [*changed, enough] if changed or pool["min_size"] != least else []


def _purge(ctx: StepContext, fallen: Collection[str]) -> None:
    """Forget OSDs that are out and do not run, once all they held is elsewhere; else they stay listed."""
    for osd in client.ask(ctx.host, ["osd", "dump"])[0]["osds"]:
        number = str(osd["osd"])
        if osd["uuid"] not in fallen or osd["up"]:
            continue
        try:
            ctx.wait(
                partial(_is_empty, ctx.host, number),
                what=f"what osd.{number} held to be elsewhere",
                patience=MOVING,
            )
        except ServiceError:
            ctx.report(f"osd.{number} stays listed: what it held may not be elsewhere")
        else:
            client.tell(ctx.host, [("osd", "purge", number, *_SURE)])


def _is_empty(host: Host, number: str) -> bool | None:
    # An error says "not yet" as well: what it refuses is told by a line, not by JSON.
    said = client.ask(host, ["osd", "safe-to-destroy", number])[0]
    return int(number) in said.get("safe_to_destroy", ()) or None
