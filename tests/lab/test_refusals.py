"""Bad input and bad luck on real machines: what is refused, and that nothing was touched."""

import clouds
import pytest

from mcloud.lab.forming import FILE, LOG, begin, hand_out

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab(machines=2)


SQUATTER = """
import socket, time
held = [socket.create_server(("0.0.0.0", port)) for port in (3300, 6643, 8443)]
time.sleep(600)
"""


def test_taken_ports_a_masked_unit_and_a_missing_user_are_named_before_anything_is_changed(lab):
    first, second = lab.machine("n1"), lab.machine("n2")
    first.run(["systemd-run", "--unit=squatter", "/usr/bin/python3", "-c", SQUATTER])
    second.run(["sh", "-c", "systemctl mask ceph-osd@.service; sed -i s/^ceph:/cephs:/ /etc/passwd"])
    clouds.eventually(
        lambda: [] if clouds.asked(first, "ss", "-Hltn", "sport = :8443") else ["8443"], seconds=20
    )
    statuses = clouds.form(lab, clouds.cloud_file(2))
    said = " ".join(first.run(["cat", LOG]).stdout.split())
    first.run(["systemctl", "stop", "squatter"])
    second.run(["sh", "-c", "systemctl unmask ceph-osd@.service; sed -i s/^cephs:/ceph:/ /etc/passwd"])
    assert statuses["n1"] == 2, said
    for words in (
        "n1: port 3300, for Ceph's monitor (msgr2), is taken by python3 (process",
        "n1: port 6643, for the raft of OVN_Northbound, is taken by python3 (process",
        "n1: port 8443, for LXD's API, is taken by python3 (process",
        "n2: the unit ceph-osd@.service is masked",
        "n2: there is no user ceph",
    ):
        assert words in said, said
    assert [clouds.journal(machine) for machine in (first, second)] == [[], []]


def test_a_machine_whose_lxd_is_clustered_is_refused_before_anything_is_changed(lab):
    second = lab.machine("n2")
    second.run(["lxd", "init", "--minimal"])
    second.run(["lxc", "config", "set", "core.https_address", "10.10.0.12:8443"])
    second.run(["lxc", "cluster", "enable", "n2"])
    statuses = clouds.form(lab, clouds.cloud_file(2, services=["lxd"]))
    assert statuses["n1"] == 2
    assert "cluster" in lab.machine("n1").run(["tail", "-n", "8", LOG]).stdout
    assert clouds.journal(lab.machine("n1")) == []
    assert clouds.journal(second) == []
    assert clouds.of_a_cluster(lab.machine("n1")) == []


CLUSTER = "5d1c8ac2-aaaa-4bbb-8ccc-9ddd0eee0fff"
THEIRS = f"""
umask 027
printf '[global]\\nfsid = "{CLUSTER}" ; the old rack\\nmon_host = 192.0.2.1\\n' > /etc/ceph/ceph.conf
printf '[client.admin]\\n\\tkey = AQtheirs==\\n' > /etc/ceph/ceph.client.admin.keyring
chown 4711:4712 /etc/ceph/ceph.client.admin.keyring
"""
LOOK = "cd /etc/ceph && ls && sha256sum ceph.* && stat --format='%n %a %u:%g' ceph.*"


def test_a_client_of_another_ceph_is_refused_and_stays_one_through_a_reset(lab):
    second = lab.machine("n2")
    second.run(["sh", "-c", THEIRS])
    before = second.run(["sh", "-c", LOOK]).stdout
    assert clouds.form(lab, clouds.cloud_file(2, services=["lxd", "ceph"]))["n1"] == 2
    said = " ".join(lab.machine("n1").run(["cat", LOG]).stdout.split())
    assert (
        f"n2 is a client of another Ceph (cluster {CLUSTER}): /etc/ceph/ceph.conf, /etc/ceph/ceph.c" in said
    )
    assert "put them away (`mkdir /root/ceph && mv /etc/ceph/ceph.conf" in said
    assert clouds.journal(second) == []
    told = second.run(["mcloud", "reset", "--yes"]).stdout
    assert f"of Ceph {CLUSTER} that mcloud did not make" in told
    assert second.run(["sh", "-c", LOOK]).stdout == before
    second.run(["sh", "-c", "rm /etc/ceph/ceph.*"])


def test_a_file_with_mistakes_gets_all_of_them_told_with_their_lines(lab):
    machine = lab.machine("n1")
    hand_out(lab, clouds.cloud_file(2, services=["lxd"]))
    wrong = clouds.cloud_file(2, services=["lxd"], lxd={"locl": "auto"}, colour="blue")
    machine.run(["sh", "-c", f"cat > {FILE}"], input=wrong.replace("10.10.0.12", "10.10.0.1234"))
    done = machine.run(["mcloud", "preseed", FILE], check=False)
    assert done.returncode == 2
    for word in ("locl", "address", "colour"):
        assert any(
            f"{FILE.rsplit('/', 1)[1]}:" in line and word in line for line in done.stderr.splitlines()
        ), done.stderr
    assert clouds.journal(machine) == []


def test_a_wrong_code_is_refused_and_the_session_goes_on(lab):
    second = lab.machine("n2")
    second.run(
        ["sh", "-c", "systemctl stop lxd.socket lxd; rm -rf /var/lib/lxd/*; systemctl start lxd.socket"],
        check=False,
    )
    hand_out(lab, clouds.cloud_file(2, services=["lxd"]))
    right = second.run(["cat", "/root/mcloud.code"]).stdout
    second.run(["sh", "-c", "echo wrong words that nobody ever said > /root/mcloud.code"])
    first = begin(lab.machine("n1"))
    wrong = second.run(["mcloud", "preseed", FILE], check=False, timeout=60)
    assert wrong.returncode == 7, wrong.stdout + wrong.stderr
    assert "code" in wrong.stderr
    second.run(["sh", "-c", "cat > /root/mcloud.code"], input=right)
    good = begin(second)
    assert (first.wait(timeout=120), good.wait(timeout=120)) == (0, 0), clouds.logs(lab)
    assert "10.10.0.12 gave a wrong code" in lab.machine("n1").run(["cat", LOG]).stdout
