"""What our own services ask: only what there is a choice of, with defaults that are right for most."""

from mcloud.forms.interview import CHANGE, Interview
from mcloud.forms.tables import WHICH_WIPED
from mcloud.model import Disk, Nic, Node, ServiceState, Survey
from mcloud.plugins import Plugins
from mcloud.testing import Scripted

MANIFESTS = Plugins.load().manifests
KERNEL = ("ceph", "rbd", "openvswitch", "geneve", "zfs", "dm-crypt")
GB = 10**9
SMALL, LARGE = Disk(device="/dev/sda", size=50 * GB), Disk(device="/dev/sdb", size=500 * GB)
FULL = Disk(device="/dev/sdc", size=500 * GB, content="ext4")
LOCAL = "Which disk does each machine give to local storage?"
DRIVER = "Storage driver for these disks"
CEPH = "Which disks does Ceph get?"
COPIES = "Copies of all data, each on another machine"
CEPHFS = "Make a shared file system (CephFS) as well?"
INTERNAL = "Ceph's internal network, for copies between disks"
PUBLIC = "Ceph's public network, for clients and monitors"
ENCRYPT = "Encrypt Ceph's traffic between machines?"
GATEWAY4 = "IPv4 gateway of the uplink network, with prefix (empty: none)"
RANGE = "Addresses there that virtual routers may take, first-last"
GATEWAY6 = "IPv6 gateway of the uplink network, with prefix (empty: none)"
UPLINK = "Which interface of each machine leads to the uplink network?"
DNS = "DNS servers of instances, separated by commas"
UNDERLAY = "Which address carries instances' traffic between machines (none picked: each one's own)?"
PROFILE = "The default profile has devices already: keep them and add what is missing, replace, leave it"


def machine(number, *, disks=(SMALL, LARGE), second=False, free=1, kernel=KERNEL, lxd=()):
    nics = [Nic(name="eth0", addresses=(f"10.0.0.{number}/24",))]
    nics += [Nic(name=f"eth{3 + at}") for at in range(free)]
    if second:
        nics.append(Nic(name="eth2", addresses=(f"10.2.0.{number}/24",)))
    return Node(
        name=f"n{number}",
        addresses=(f"10.0.0.{number}",),
        founder=number == 1,
        survey=Survey(disks=disks, nics=tuple(nics), abilities=kernel),
        services={"lxd": ServiceState(installed=True, features=lxd)},
    )


def asked(nodes, answers=(), services=("ceph", "lxd", "ovn")):
    person, told = Scripted(dict(answers), easy=True), []
    interview = Interview(
        nodes=nodes,
        manifests=MANIFESTS,
        services=services,
        prompter=person,
        tell=told.append,
        network="10.0.0.0/24",
    )
    return interview.hold(), person, told


def three(**more):
    return [machine(number, **more) for number in (1, 2, 3)]


def test_with_one_network_and_enter_throughout_there_is_little_to_ask():
    answers, person, told = asked(three())
    assert person.asked == [LOCAL, DRIVER, CEPH, CEPHFS, GATEWAY4, GATEWAY6]
    assert [len(answers.of("ceph", name)["disks"]) for name in ("n1", "n2", "n3")] == [1, 1, 1]
    assert answers.of("lxd", "n2")["disk"].path == "/dev/sda"
    assert answers.of("ceph", "n2")["disks"][0].path == "/dev/sdb"
    assert told == [
        "Who can listen on Ceph's networks can read all data.",
        "No gateway, so no uplink: instances get a network of each machine's own, not one across all.",
    ]


def test_all_there_is_to_ask_in_its_order():
    said = {GATEWAY4: "192.0.2.1/24", RANGE: "192.0.2.10-192.0.2.20", GATEWAY6: "2001:db8::1/64"}
    nodes = [machine(number, second=True, lxd=("default-profile:root",)) for number in (1, 2, 3, 4)]
    answers, person, _told = asked(nodes, said)
    assert person.asked == [
        *(LOCAL, DRIVER, CEPH, COPIES, CEPHFS, INTERNAL, PUBLIC, ENCRYPT),
        *(GATEWAY4, RANGE, GATEWAY6, UPLINK, DNS, UNDERLAY, PROFILE),
    ]
    assert person.defaults[DNS] == "192.0.2.1, 2001:db8::1"
    assert [str(one) for one in answers.wide["ovn"]["dns_servers"]] == ["192.0.2.1", "2001:db8::1"]
    assert answers.of("ovn", "n3") == {"uplink_interface": "eth3"}


def test_the_public_network_follows_the_internal_one():
    nodes = three(second=True)
    _answers, person, _told = asked(nodes, {INTERNAL: "10.2.0.0/24"})
    assert (person.defaults[INTERNAL], person.defaults[PUBLIC]) == ("10.0.0.0/24", "10.2.0.0/24")


def test_a_ceph_network_in_which_a_machine_is_not_is_asked_again():
    _answers, person, _told = asked(three(second=True), {INTERNAL: "10.9.0.0/24", PUBLIC: "10.0.0.0/24"})
    assert person.asked.count(INTERNAL) == 2
    assert person.complaints == ["no address in 10.9.0.0/24 on n1, n2, n3"]


def test_fewer_than_three_machines_with_disks_are_doubted():
    nodes = [*three()[:2], machine(3, disks=())]
    answers, person, told = asked(nodes)
    assert told[0].startswith("no disk was picked on n3: there the pool `local` is a file")
    assert told[1].startswith("disks were picked on n1, n2 only: data is kept 2x")
    assert person.asked.count(CHANGE) == 2
    assert answers.services == ("ceph", "lxd", "ovn")


def test_without_disks_ceph_is_left_out_and_asks_nothing_more():
    answers, person, told = asked(three(), {CEPH: "none"})
    assert answers.services == ("lxd", "ovn")
    assert "Ceph is left out: no machine gives it a disk." in told
    assert CEPHFS not in person.asked


def test_a_disk_that_holds_something_is_never_picked_beforehand_and_wiped_only_on_demand():
    nodes = [machine(1, disks=(FULL,))]
    answers, person, _told = asked(nodes)
    assert answers.services == ("lxd", "ovn")
    assert not any(row.picked for row in person.picks[CEPH])
    wiped, person, _told = asked(nodes, {CEPH: "n1:/dev/sdc", WHICH_WIPED: "n1:/dev/sdc"})
    assert wiped.of("ceph", "n1")["disks"][0].wipe is True


def test_a_single_blank_disk_is_left_to_ceph():
    answers, _person, told = asked(three(disks=(LARGE,)))
    assert "disk" not in answers.of("lxd", "n1")
    assert answers.of("ceph", "n1")["disks"][0].path == "/dev/sdb"
    assert told[0].startswith("No disk for local storage")


def test_kernels_decide_what_is_asked_and_picked():
    slow = three(second=True, kernel=())
    answers, person, _told = asked(slow)
    assert CEPHFS not in person.asked
    assert answers.of("ovn", "n2") == {"underlay_ip": answers.of("ovn", "n2")["underlay_ip"]}
    assert str(answers.of("ovn", "n2")["underlay_ip"]) == "10.2.0.2", (
        "userspace needs an interface of its own"
    )


def test_without_a_free_interface_everywhere_no_gateway_is_asked_for():
    nodes = [*three()[:2], machine(3, free=0)]
    _answers, person, told = asked(nodes)
    assert GATEWAY4 not in person.asked
    assert told[-1].startswith("No uplink, as n3 has no free interface")


def test_of_two_free_interfaces_none_is_picked_beforehand():
    said = {GATEWAY6: "2001:db8::1/64", UPLINK: "n1:eth3 n2:eth4 n3:eth3"}
    answers, person, _told = asked(three(free=2), said)
    assert not any(row.picked for row in person.picks[UPLINK])
    assert answers.of("ovn", "n2") == {"uplink_interface": "eth4"}
    assert RANGE not in person.asked


def test_nothing_is_encrypted_as_neither_service_can():
    _answers, person, _told = asked(three())
    assert not any("encrypted" in question for question in person.asked)


def test_only_the_founders_default_profile_counts():
    nodes = [machine(1), machine(2, lxd=("default-profile:eth0",))]
    assert PROFILE not in asked(nodes)[1].asked
    assert PROFILE in asked([machine(1, lxd=("default-profile:eth0",))])[1].asked


def test_what_was_not_asked_before_has_its_usual_default_when_answers_are_changed():
    person = Scripted(easy=True)
    interview = Interview(
        nodes=three(), manifests=MANIFESTS, services=("ovn",), prompter=person, network="10.0.0.0/24"
    )
    interview.hold()
    assert DNS not in person.asked
    person.asked.clear()
    person.answers = {GATEWAY4: "192.0.2.1/24", RANGE: "192.0.2.10-192.0.2.20"}
    answers = interview.hold()
    assert person.defaults[DNS] == "192.0.2.1"
    assert answers.of("ovn", "n2") == {"uplink_interface": "eth3"}


def test_ceph_left_out_once_is_asked_about_again_with_what_was_said():
    person = Scripted({CEPH: "none"}, easy=True)
    interview = Interview(
        nodes=three(), manifests=MANIFESTS, services=("ceph",), prompter=person, network="10.0.0.0/24"
    )
    assert interview.hold().services == ()
    assert interview.hold().services == ()
    assert not any(row.picked for row in person.picks[CEPH])


def test_a_disk_with_data_that_nobody_knows_is_never_picked_beforehand():
    strange = Disk(device="/dev/sdd", size=20 * GB, content="unknown data", content_id="sha256:1")
    answers, _person, _told = asked(three(disks=(strange, SMALL, LARGE)))
    for name in ("n1", "n2", "n3"):
        taken = [answers.of("lxd", name)["disk"], *answers.of("ceph", name)["disks"]]
        assert [disk.path for disk in taken] == ["/dev/sda", "/dev/sdb"]
