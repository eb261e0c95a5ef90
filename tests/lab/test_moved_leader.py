"""OVN's databases elect for themselves: that one's leader is elsewhere by now stops no forming cloud."""

import clouds
import faults
import pytest

from mcloud.lab.forming import begin, hand_out

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

CONTROL = "/var/run/ovn/ovnnb_db.ctl"


def _leader(machine):
    status = clouds.asked(machine, "ovn-appctl", "-T", "2", "-t", CONTROL, "cluster/status", "OVN_Northbound")
    return next((line for line in status.splitlines() if line.startswith("Leader: ")), "Leader: unknown")


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
        clouds.eventually(
            lambda: [] if _leader(lab.machine("n2")) not in {"Leader: unknown", _of_the_first(lab)} else ["n1 leads"],
            seconds=30,
        )
    finally:
        n1.run(["kill", "-CONT", pid])
    ended = {name: process.wait(timeout=200) for name, process in running.items()}
    assert not any(ended.values()), f"{ended}\n{clouds.logs(lab)}"
    assert clouds.amiss(lab, monitors=3) == []


def _of_the_first(lab):
    """Return how the second machine's server calls that of the first as leader."""
    status = clouds.asked(
        lab.machine("n2"), "ovn-appctl", "-T", "2", "-t", CONTROL, "cluster/status", "OVN_Northbound"
    )
    line = next(line for line in status.splitlines() if "10.10.0.11:6643" in line and " at " in line)
    return f"Leader: {line.split()[0]}"
