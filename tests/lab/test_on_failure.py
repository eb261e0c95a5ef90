"""`on_failure: undo`: a run that fails on a machine is taken back there at once."""

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

FILE = """\
mcloud: 1
cloud: {name: home, initiator: n1, network: 10.10.0.0/24, on_failure: undo}
lxd: {local: dir}
machines:
  n1: {address: 10.10.0.11}
"""


def test_a_run_that_fails_is_taken_back_and_the_next_one_begins_anew(make_lab):
    n1 = make_lab(machines=1).machine("n1")
    n1.run(["sh", "-c", "umask 077; cat > /root/cloud.yaml"], input=FILE)
    n1.run(["ip", "link", "add", "lxdbr0", "type", "veth", "peer", "name", "other"])  # in the way of LXD's
    failed = n1.run(["mcloud", "preseed", "/root/cloud.yaml"], check=False)
    assert failed.returncode == 6
    assert "already exists" in failed.stderr
    assert "all was taken back (on_failure: undo)" in failed.stderr
    assert n1.run(["lxc", "cluster", "list"], check=False).returncode != 0
    n1.run(["ip", "link", "delete", "lxdbr0"])
    n1.run(["mcloud", "preseed", "/root/cloud.yaml"])
    assert "n1" in n1.run(["lxc", "cluster", "list", "--format", "csv"]).stdout
