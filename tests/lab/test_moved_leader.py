"""OVN's databases elect for themselves: that one's leader is elsewhere by now stops no forming cloud."""

import re

import clouds
import faults
import pytest

from mcloud.lab.forming import begin, hand_out

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

CONTROL = "/var/run/ovn/ovnnb_db.ctl"


def _leads_elsewhere(lab):
    """Return nothing once the second machine's server says that another one leads than the first's."""
    asked = ["ovn-appctl", "-T", "2", "-t", CONTROL, "cluster/status", "OVN_Northbound"]
    status = clouds.asked(lab.machine("n2"), *asked)
    leader = re.search(r"^Leader: (\S+)$", status, flags=re.MULTILINE)
    first = re.search(r"^ +(\S+) \(\S+ at ssl:10.10.0.11:6643\)", status, flags=re.MULTILINE)
    known = leader and first and leader[1] not in {"unknown", first[1]}
    return [] if known else [status or "no answer"]


def test_northd_of_the_founder_finds_a_leader_that_is_elsewhere(make_lab):
    lab = make_lab(machines=3)
    hand_out(lab, clouds.cloud_file(3))
    running = {name: begin(lab.machine(name)) for name in lab.names()}
    for name in ("n2", "n3"):
        assert not faults.wait_for_start(lab, name, f"join/ovn/{name}/{name}/northd", running[name])
    n1 = lab.machine("n1")
    pid = n1.run(["cat", "/var/run/ovn/ovnnb_db.pid"]).stdout.strip()
    n1.run(["kill", "-STOP", pid])
    try:
        clouds.eventually(lambda: _leads_elsewhere(lab), seconds=30)
    finally:
        n1.run(["kill", "-CONT", pid])
    ended = {name: process.wait(timeout=200) for name, process in running.items()}
    assert not any(ended.values()), f"{ended}\n{clouds.logs(lab)}"
    assert clouds.amiss(lab, monitors=3) == []
