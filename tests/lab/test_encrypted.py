"""A cloud whose Ceph encrypts all that it says, on two networks: who listens, and what can be read."""

import clouds
import pytest
import wires

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def test_nothing_of_an_object_can_be_read_and_nobody_speaks_the_first_messenger(make_lab):
    lab = make_lab(machines=3)
    ceph = {"internal_network": "10.10.2.0/24", "encrypt_traffic": True}
    clouds.formed(lab, clouds.cloud_file(3, services=("ceph",), ceph=ceph))
    assert not wires.is_read_on_the_wire(lab, writer="n1", listener="n2")
    for number, name in enumerate(lab.names(), 1):
        machine = lab.machine(name)
        found = wires.listening(machine, "ceph-")
        assert {address for address, _ in found} == {f"10.10.0.1{number}", f"10.10.2.1{number}"}
        assert 3300 in {port for _, port in found}
        assert 6789 not in {port for _, port in found}
    first = lab.machine("n1")
    for dump in ("mon", "osd", "mgr"):
        assert "v1:" not in first.run(["ceph", dump, "dump"]).stdout
    # What `rbd map`, which LXD calls, tells the kernel.
    said = first.run(["ceph-conf", "--name", "client.lxd", "--lookup", "rbd_default_map_options"])
    assert said.stdout.strip() == "ms_mode=secure"
