"""How many copies the pools keep, and that no machine is counted which did not come."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcloud import Node, Step, StepContext
from mcloud_ceph import client
from mcloud_ceph.layout import copies
from mcloud_ceph.settings import CephNode, CephSettings

_SURE = ("--yes-i-really-mean-it",)


def replication(
    nodes: Sequence[Node], settings: CephSettings, node_settings: Mapping[str, CephNode]
) -> Mapping[tuple[str, str], str]:
    """Return the options that say how many copies new pools keep."""
    number = copies(nodes, settings, node_settings)
    single = {("global", "mon_allow_pool_size_one"): "true"} if number == 1 else {}
    return {("global", "osd_pool_default_size"): str(number), **single}


def converge(nodes: Sequence[Node], settings: CephSettings, node_settings: Mapping[str, CephNode]) -> Step:
    """Return the step that fits the cluster to the machines that are in: copies, and entries of no other."""
    wanted = replication(nodes, settings, node_settings)
    number = str(copies(nodes, settings, node_settings))
    names = {node.name for node in nodes}

    def run(ctx: StepContext) -> None:
        client.tell(ctx.host, _changes(ctx))

    def probe(ctx: StepContext) -> tuple[()] | None:
        return None if _changes(ctx) else ()

    def _changes(ctx: StepContext) -> Sequence[client.Command]:
        """Return the commands that are still missing; none if all is as it should be."""
        dump, osds, status = client.ask(ctx.host, ["config", "dump"], ["osd", "dump"], ["quorum_status"])
        present = client.options(dump)
        return [
            *client.set_options({key: value for key, value in wanted.items() if present.get(key) != value}),
            *(("osd", "purge-new", str(osd["osd"]), *_SURE) for osd in osds["osds"] if _never_came(osd)),
            *(("mon", "remove", name) for name in _lost(status, names)),
            *(
                ("osd", "pool", "set", pool["pool_name"], "size", number, *(_SURE if number == "1" else ()))
                for pool in osds["pools"]
                if str(pool["size"]) != number
            ),
        ]

    return Step(name="replication", run=run, probe=probe)


def _never_came(osd: Mapping[str, Any]) -> bool:
    """Say whether an OSD was given a number and then never started: its machine was left out."""
    return "new" in osd["state"] and not osd["up"]


def _lost(status: Mapping[str, Any], names: set[str]) -> Sequence[str]:
    """Return the monitors in the map of machines that are not with us and do not answer."""
    known = [monitor["name"] for monitor in status["monmap"]["mons"]]
    return [name for name in known if name not in names and name not in status["quorum_names"]]
