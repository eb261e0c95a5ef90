from ipaddress import IPv4Network, ip_address

import pytest

CORE = "mcloud: 1\ncloud: {name: home, initiator: n1, network: 10.10.0.0/24}\n"
NOT_YET = "choosing disks by 'match' and 'max' is not possible yet; name each disk by its path"
ONE = CORE + "machines: {n1: {address: 10.10.0.11}}\n"

WHOLE = """\
mcloud: 1
cloud: {name: home, initiator: n2, network: 10.10.0.0/24, on_failure: undo}
meet: {discovery: [multicast], code: "acorn blimp crisp dove ember fritz", patience: 1h30m}
storage:
net: {gateway: 192.0.2.1/24, token: 0123456789abc}
each:
  net: {uplink: eth2}
  storage: {disks: [/dev/sdb, /dev/sdc], journal: {size: 128}}
machines:
  n1: {address: 10.10.0.11, net: {underlay: 10.10.2.11}, storage: {journal: {path: /dev/a}}}
  n2: {address: 10.10.0.12, net: {underlay: 10.10.2.12}, storage: {journal: {path: /dev/b, size: 1}}}
  n3:
    address: 10.10.0.13
    net: {underlay: 10.10.2.13, uplink: enp3s0}
    storage: {disks: [{path: /dev/sdd, wipe: true}], journal: null}
"""


def test_the_whole_file(installed):
    made = installed.read(WHOLE)
    assert made.cloud.network == IPv4Network("10.10.0.0/24")
    assert made.cloud.on_failure == "undo"
    assert made.cloud.others == "go-on"
    assert made.meet.discovery == ("multicast",)
    assert made.meet.code.get_secret_value() == "acorn blimp crisp dove ember fritz"
    assert made.meet.patience.total_seconds() == 5400
    assert made.meet.port == 9442
    assert made.services == ("net", "storage")
    assert made.settings("storage").replicas == 3
    assert made.settings("multicast").interface == "eth0"
    assert made.settings("plain") is None
    assert made.machine("n3").address == ip_address("10.10.0.13")
    assert made.machine("n4") is None


def test_the_initiator_comes_first_and_the_rest_in_the_order_of_the_file(installed):
    made = installed.read(WHOLE)
    assert [machine.name for machine in made.machines] == ["n2", "n1", "n3"]
    assert list(made.node_settings("net")) == ["n2", "n1", "n3"]


def test_each_is_merged_key_by_key_and_lists_are_replaced(installed):
    storage = installed.read(WHOLE).node_settings("storage")
    assert [disk.path for disk in storage["n1"].disks] == ["/dev/sdb", "/dev/sdc"]
    assert [(disk.path, disk.wipe) for disk in storage["n3"].disks] == [("/dev/sdd", True)]
    assert (storage["n1"].journal.path, storage["n1"].journal.size) == ("/dev/a", 128)
    assert (storage["n2"].journal.path, storage["n2"].journal.size) == ("/dev/b", 1)
    assert storage["n3"].journal is None
    net = installed.read(WHOLE).node_settings("net")
    assert [net[name].uplink for name in ("n1", "n2", "n3")] == ["eth2", "eth2", "enp3s0"]


def test_a_section_even_empty_switches_its_service_on(installed):
    assert installed.read(ONE).services == ()
    assert installed.read(ONE + "plain:\nstorage: {}\n").services == ("plain", "storage")
    assert installed.read(ONE).node_settings("storage") == {}
    assert installed.read(ONE + "storage:\n").node_settings("storage")["n1"].disks == ()


def test_a_section_switches_on_no_way_of_meeting(installed):
    made = installed.read(ONE + "multicast: {interface: eth5}\n")
    assert made.services == ()
    assert made.settings("multicast").interface == "eth5"


def test_five_mistakes_are_five_messages_with_their_lines(installed):
    text = """\
mcloud: 1
cloud:
  name: home
  initiator: n1
  network: 10.10.0.5/24
storage:
  public_netwrk: 10.10.0.0/24
  replicas: many
each:
  storage:
    disks:
      - /dev/sdb
      - {match: "type == nvme", max: 4}
machines:
  n1: {address: 10.10.0.11}
  n2: {address: 10.10.0.12, adress: 1}
"""
    assert installed.problems(text) == (
        "cloud.yaml:5 cloud.network: names an address inside the network; the network is 10.10.0.0/24",
        "cloud.yaml:7 storage.public_netwrk: unknown key (did you mean public_network?)",
        "cloud.yaml:8 storage.replicas: should be a whole number",
        f"cloud.yaml:13 each.storage.disks[1]: {NOT_YET}",
        "cloud.yaml:16 machines.n2.adress: unknown key (did you mean address?)",
    )


def test_faults_of_the_text_and_of_values_are_reported_together(installed):
    text = ONE + "storage: {replicas: 1, replicas: x}\nplain: &p {a: 1}\nnet: *p\n"
    assert installed.problems(text) == (
        "cloud.yaml:3 machines.n1.net.underlay: missing",
        "cloud.yaml:4 storage.replicas: a second time in the same mapping; the first is in line 4",
        "cloud.yaml:5 plain: anchors (&name) are not supported",
        "cloud.yaml:5 plain.a: unknown key",
        "cloud.yaml:6 net: aliases (*name) are not supported; write the value out",
    )


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("mcloud: 1\ncloud: {name: x}\n", ["1 machines: should name", "2 cloud.initiator: missing"]),
        (ONE.replace("mcloud: 1", "mcloud: one"), ["1 mcloud: should be 1"]),
        (ONE.removeprefix("mcloud: 1\n"), ["1 mcloud: should be 1"]),
        (ONE.replace("name: home", "name: Home!"), ["2 cloud.name: is not a host name"]),
        (
            ONE.replace("initiator: n1", "initiator: n11"),
            ["2 cloud.initiator: is none of the machines (did you mean n1?)"],
        ),
        (ONE.replace("10.10.0.0/24", "10.10.0.0"), ["2 cloud.network: should be a network such as"]),
        (
            ONE.replace("10.10.0.11", "10.10.1.11"),
            ["3 machines.n1.address: is not in the cloud's network, 10.10.0.0/24"],
        ),
        (
            ONE.replace("10.10.0.11", "127.0.0.1"),
            ["3 machines.n1.address: is an address that other machines cannot reach"],
        ),
        (ONE.replace("10.10.0.11", "n1.example"), ["3 machines.n1.address: should be an IP address"]),
        (ONE.replace("10.10.0.11", "5"), ["3 machines.n1.address: should be an IP address"]),
        (ONE.replace("{n1: {address: 10.10.0.11}}", "[n1]"), ["3 machines: should be a mapping"]),
        (ONE.replace("{address: 10.10.0.11}", "10.10.0.11"), ["3 machines.n1: should be a mapping"]),
        (
            CORE + "machines:\n  n1: {address: 10.10.0.11}\n  N_2: {address: 10.10.0.12}\n",
            ["5 machines.N_2: is not a host name"],
        ),
        (
            CORE + "machines:\n  n1: {address: 10.10.0.11}\n  n2: {address: 10.10.0.11}\n",
            ["5 machines.n2.address: is the address of n1, too"],
        ),
        (ONE + "each: 5\n", ["4 each: should be a mapping"]),
        (ONE + "storage: on\n", ["4 storage: should be a mapping"]),
        (ONE + "storage:\neach: {storage: on}\n", ["5 each.storage: should be a mapping"]),
        (ONE + "plain: {a: 1}\n", ["4 plain.a: unknown key"]),
        (ONE + "storege:\n", ["4 storege: no plugin named storege is installed (did you mean storage?)"]),
        (ONE + "ecah:\n", ["4 ecah: no plugin named ecah is installed (did you mean each?)"]),
        (ONE + "each: {storage: {}}\n", ["4 each.storage: storage is off; a section `storage:` of its own"]),
        (ONE + "net: {gateway: 192.0.2.1/24}\n", ["3 machines.n1.net.underlay: missing"]),
        (
            ONE + "meet: {discovery: [multicats]}\n",
            ["4 meet.discovery: no plugin named multicats is installed (did"],
        ),
        (ONE + "meet: {discovery: []}\n", ["4 meet.discovery: should have at least 1 item"]),
        (ONE + "meet: {trust: web}\n", ["4 meet.trust: no plugin named web is installed"]),
        (ONE + "meet: {patience: 10 m}\n", ["4 meet.patience: should be a duration"]),
        (ONE + "meet: {patience: 0}\n", ["4 meet.patience: should be greater than"]),
        (ONE + "meet: {patience: 99999999999d}\n", ["4 meet.patience: is too long"]),
        (ONE + "meet: {code_file: code}\n", ["4 meet.code_file: should be an absolute path"]),
        (
            ONE + "meet: {code: aaaa-bbbb-cccc, code_file: /x}\n",
            ["4 meet: give `code` or `code_file`, not both"],
        ),
        (
            ONE + "meet: {code: 123456789012}\n",
            ["4 meet.code: should be text (numbers, true and false need quotes)"],
        ),
        (ONE + "storage: {replicas: 9}\n", ["4 storage.replicas: should be less than or equal to 5"]),
        (ONE + '"a\\nb\\e[31m": {}\n', ["4 'a\\nb\\x1b[31m': no plugin named"]),
    ],
)
def test_mistakes(installed, text, problems):
    found = installed.problems(text)
    for problem in problems:
        assert any(line.startswith(f"cloud.yaml:{problem}") for line in found), found
    if "cloud: {name: x}" not in text:
        assert len(found) == len(problems), found


def test_a_mistake_in_each_is_said_once_where_it_was_written(installed):
    text = WHOLE.replace("disks: [/dev/sdb, /dev/sdc]", "disks: [sdb], disk: x")
    assert installed.problems(text) == (
        r"cloud.yaml:8 each.storage.disks[0]: should match pattern '^/dev/\S+$'",
        "cloud.yaml:8 each.storage.disk: unknown key (did you mean disks?)",
    )


def test_a_mistake_in_each_is_said_even_if_every_machine_lays_something_over_it(installed):
    text = ONE.replace("10.10.0.11}", "10.10.0.11, storage: {disks: []}}") + "storage:\n"
    text += "each: {storage: {disks: [{path: sdb, wip: true}]}}\n"
    found = installed.problems(text)
    assert [problem.partition(": ")[0] for problem in found] == [
        "cloud.yaml:5 each.storage.disks[0].path",
        "cloud.yaml:5 each.storage.disks[0].wip",
    ]


def test_what_each_leaves_out_is_missing_at_the_machine(installed):
    text = ONE + "storage:\neach: {storage: {journal: {size: 1}}}\n"
    assert installed.problems(text) == ("cloud.yaml:5 each.storage.journal.path: missing",)


def test_a_broken_plugin_is_not_called_missing(installed):
    found = installed.problems(ONE + "tape:\n", broken={"tape": "ImportError: no module"})
    assert found == ("cloud.yaml:4 tape: the plugin tape cannot be used: ImportError: no module",)


def test_a_newer_format_is_not_judged(installed):
    assert installed.problems("mcloud: 2\nwhat: ever\n") == (
        "cloud.yaml:1: mcloud: format 2; this mcloud reads format 1",
    )


@pytest.mark.parametrize("text", ["", "null", "- a", "just text"])
def test_a_file_without_sections(installed, text):
    (problem,) = installed.problems(text)
    assert problem.startswith("cloud.yaml:1: should be a mapping of sections")


def test_a_wrong_value_never_shows_a_secret(installed):
    text = ONE + "net: {gateway: 192.0.2.1/24, token: hunter2, peers: [{name: x, key: [hunter22]}]}\n"
    text += "meet: {code: hunter2}\n"
    found = installed.problems(text)
    assert len(found) == 4  # and the underlay is missing
    assert "hunter2" not in "".join(found)


def test_stars_are_no_secret(installed):
    text = ONE.replace("10.10.0.11}", "10.10.0.11, net: {underlay: 10.10.2.11}}")
    text += 'net: {gateway: 192.0.2.1/24, token: "********", peers: [{name: x, key: "***"}]}\n'
    text += 'meet: {code: "****************"}\n'
    keys = [problem.split(" ")[1] for problem in installed.problems(text)]
    assert keys == ["net.token:", "net.peers[0].key:", "meet.code:"]
