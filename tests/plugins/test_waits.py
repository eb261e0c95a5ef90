"""Waits of our plugins where what they wait for comes and goes: they end, and say what is wrong."""

import itertools
import json
import shlex
import threading

import pytest
from ceph_machines import Cluster

from mcloud import Node, ServiceError
from mcloud.context import Context, Surroundings
from mcloud.journal import Journal
from mcloud.plan import Lane, Plan
from mcloud.secrets import Secrets
from mcloud.testing import FakeFile, FakeHost
from mcloud_ceph.health import sound
from mcloud_ovn.cloudwide import gather_chassis

HURRIED = 0.01
"""As if all were a hundred times as fast: patiences of a minute are 0.6 s."""
THREE = [Node(name=f"n{number}", addresses=(f"10.0.0.{number}",)) for number in (1, 2, 3)]


@pytest.fixture
def run(tmp_path):
    """Return what runs a step on a machine and returns what it raised; None: it did not come to an end."""
    around = []

    def run(step, host, *, seconds=15):
        lane = Lane(stage="configure", hook="configure", plugin="x", machine="n1", about="n1", steps=(step,))
        journal = Journal.create(tmp_path / "run.jsonl", {}, Secrets())
        around.append(Surroundings(host=host, plan=Plan("n1", (lane,)), journal=journal))
        raised = []

        def call():
            try:
                step.run(Context(around[0], lane, step, doing="run"))
            except ServiceError as error:
                raised.append(error)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(seconds)
        return raised[0] if raised else None

    yield run
    for one in around:
        one.stopping.set()


def test_cloned_machines_that_push_each_other_out_of_ovn_are_not_waited_for_for_ever(run):
    """With one identity the last that registered is the only one: another one is missing each time."""
    there = itertools.cycle(["10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.3", "10.0.0.1 10.0.0.3"])
    host = FakeHost(answer=lambda _argv: next(there), stretch=HURRIED)
    error = run(gather_chassis(THREE, {}), host)
    assert error is not None, "it waits on"
    assert str(error).startswith("still waiting for all machines' controllers to register after 1 s without")
    assert "; missing: 10.0.0." in str(error)
    assert "cloned" in error.hint
    assert "system-id" in error.hint


class Flapping(Cluster):
    """Where one machine's internal network is dead: its OSD is reported and comes back, requests are slow."""

    looks = itertools.count()

    def do(self, words):
        if words == ["status"]:
            well = next(self.looks) % 2
            self.warnings = [] if well else ["SLOW_OPS"]
            self.osds[2]["up"] = self.osds[2]["in"] = well
        return super().do(words)


def test_a_ceph_that_is_never_sound_for_long_is_not_waited_for_for_ever(run):
    cluster = Flapping(monitors={"n1": True}, managers={"n1"}, pools={"p": {"pg_num": 8, "size": 2}})
    cluster.osds = {n: {"uuid": f"u{n}", "up": 1, "in": 1, "state": ["exists"]} for n in (1, 2, 3)}
    cluster.osds[3]["up"] = 0

    def answer(argv):
        return "\n".join(
            map(json.dumps, filter(None, map(cluster.do, map(shlex.split, argv.stdin.splitlines()))))
        )

    conf = FakeFile(content=b"[global]\nfsid = 4b5c8c0a-ff60-454b-a1b4-9747aa737d19\n")
    host = FakeHost(answer=answer, files={"/etc/ceph/ceph.conf": conf}, stretch=HURRIED)
    error = run(sound(2, node_settings={}, fallen=()), host)
    assert error is not None, "it waits on"
    assert str(error).startswith("Ceph is not sound: ")
    assert "osd.3" in str(error)
