"""Ports that are taken, units that are masked and users that are missing are seen before the first change."""

import pytest

from mcloud import Node, Result, ServiceState, holder, listeners, obstacle_checks, obstacles
from mcloud.testing import FakeHost

LISTENING = """\
LISTEN 0      4096    10.0.0.1:8443       0.0.0.0:*    users:(("nginx",pid=512,fd=6),("nginx",pid=513,fd=6))
LISTEN 0      128      0.0.0.0:3300       0.0.0.0:*    users:(("python3",pid=99,fd=3))
LISTEN 0      128    127.0.0.1:6789       0.0.0.0:*    users:(("local",pid=7,fd=3))
LISTEN 0      128            *:6643             *:*    users:(("dual",pid=8,fd=3))
LISTEN 0      128         [::]:6644          [::]:*    users:(("six",pid=9,fd=3))
LISTEN 0      64 [fe80::1%eth0]:53            [::]:*
"""


def machine(*, masked=(), users=("ceph",), listening=LISTENING):
    def answer(argv):
        match list(argv):
            case ["ss", *_]:
                return listening
            case ["systemctl", "list-unit-files", *_]:
                return "".join(f"{unit} masked enabled\n" for unit in masked)
            case ["getent", "passwd", user]:
                return "x" if user in users else Result(2, "", "")
        return None

    return FakeHost(answer=answer)


def node(found, *, address="10.0.0.1"):
    state = ServiceState(installed=True, standing="idle", obstacles=found)
    return Node(name="n1", addresses=(address,), services={"x": state}), state


def test_who_listens_where_is_told():
    found = listeners(machine())
    assert [(one.address, one.port, one.program, one.pid) for one in found] == [
        ("10.0.0.1", 8443, "nginx", 512),
        ("0.0.0.0", 3300, "python3", 99),  # noqa: S104
        ("127.0.0.1", 6789, "local", 7),
        ("*", 6643, "dual", 8),
        ("::", 6644, "six", 9),
        ("fe80::1", 53, "", 0),
    ]


@pytest.mark.parametrize(
    ("port", "address", "program"),
    [
        (8443, "10.0.0.1", "nginx"),
        (8443, "10.0.0.2", None),
        (3300, "10.0.0.1", "python3"),
        (3300, "fd00::1", None),
        (6789, "10.0.0.1", None),
        (6643, "10.0.0.1", "dual"),
        (6643, "fd00::1", "dual"),
        (6644, "fd00::1", "six"),
        (1, "10.0.0.1", None),
    ],
)
def test_only_who_would_be_in_the_way_holds_a_port(port, address, program):
    found = holder(listeners(machine()), port, address)
    assert (found.program if found else None) == program


def test_a_taken_port_is_an_error_that_names_who_has_it():
    ports = {8443: "LXD", 6789: "a monitor", 1: "nobody"}
    here, state = node(obstacles(machine(), ports=ports))
    (check,) = obstacle_checks(here, state)
    assert (check.level, check.machine) == ("error", "n1")
    assert check.message == "port 8443, for LXD, is taken by nginx (process 512) at 10.0.0.1"
    assert "ss -ltnp" in check.hint


def test_a_port_is_in_the_way_only_where_the_service_will_listen():
    here, state = node(obstacles(machine(), ports={8443: "LXD"}))
    assert not list(obstacle_checks(here, state, address="10.9.9.9"))
    assert not list(obstacle_checks(here, state, without={"8443"}))


def test_what_the_service_itself_listens_on_is_no_obstacle():
    assert obstacles(machine(), ports={8443: "LXD"}, ours=("nginx",)) == ()


def test_masked_units_and_missing_users_are_named_all_at_once():
    host = machine(masked=("ceph-mon@.service", "other.service"), users=())
    here, state = node(obstacles(host, units=("ceph-mon@.service", "ceph-osd@.service"), users=("ceph",)))
    said = [(check.message, check.hint) for check in obstacle_checks(here, state)]
    assert [message for message, _ in said] == [
        "the unit ceph-mon@.service is masked: systemd starts it for nobody",
        "there is no user ceph, which its package makes",
    ]
    assert "systemctl unmask ceph-mon@.service" in said[0][1]


def test_a_machine_without_the_tools_to_tell_has_no_obstacles():
    assert obstacles(FakeHost(), ports={1: "x"}, units=("a.service",), users=("ceph",)) == ()
    assert list(obstacle_checks(node(())[0], None)) == []
