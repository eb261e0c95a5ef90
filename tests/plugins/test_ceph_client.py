"""Talking to Ceph and to disks: what is asked, what is believed of the answers."""

import pytest

from mcloud import Content, Result, ServiceError
from mcloud.testing import FakeHost
from mcloud_ceph import client, disks
from mcloud_ceph.health import condition

UUID = "00000000-0000-4000-8000-00000000000a"


def host(stdout="", stderr="", status=0):
    return FakeHost(answer=lambda _call: Result(status, stdout, stderr))


def test_commands_go_by_standard_input_and_are_bounded():
    machine = host('\n{"a": 1}\n\n[2]\n')
    assert client.ask(machine, ["auth", "get", "osd.1"], ["x", "two words"]) == [{"a": 1}, [2]]
    (call,) = machine.calls
    assert call == ("ceph", "--connect-timeout", "24", "--format", "json")
    assert call.stdin == "auth get osd.1\nx 'two words'\n"


def test_a_refusal_is_an_error_although_ceph_ends_well():
    with pytest.raises(ServiceError, match=r"osd pool delete.*Error EPERM: you must not"):
        client.tell(
            host(stderr="pool 'x' exists\nError EPERM: you must not"), [("osd", "pool", "delete", "x")]
        )
    client.tell(host(stderr="pool 'x' created"), [("osd", "pool", "create", "x")])


@pytest.mark.parametrize("said", ["", "[1] [2]", "key = hidden"])
def test_answers_that_are_none_are_not_believed(said):
    with pytest.raises(ServiceError) as error:
        client.ask(host(said), ["status"])
    assert "hidden" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_cluster_without_quorum_does_not_answer():
    assert not client.answers(host(stderr="timed out", status=1))
    assert client.answers(host("{}"))


def test_a_daemon_that_is_not_there_says_nothing():
    assert client.daemon(host(status=1), "osd.1", "status") is None
    assert client.daemon(host('{"state": "active"}'), "osd.1", "status") == {"state": "active"}


CLUSTER = "22222222-3333-4444-8555-666666666666"


@pytest.mark.parametrize(
    ("start", "owner", "cluster"),
    [
        (f"bluestore block device\n{UUID}\nmore", UUID, ""),
        (f"bluestore block device\n{UUID}\n..\x09\0\0\0ceph_fsid\x24\0\0\0{CLUSTER}..", UUID, CLUSTER),
        ("bluestore block device\nnonsense\n", "", ""),
        (f"other\n{UUID}\nceph_fsid\x24\0\0\0{CLUSTER}", "", ""),
        ("", "", ""),
    ],
)
def test_the_owner_of_a_disk_and_its_cluster_are_read_from_bluestores_label(start, owner, cluster):
    content = Content("ceph_bluestore", head=start.encode("latin-1"))
    assert (disks.owner(content), disks.cluster_of(content)) == (owner, cluster)


def osd(number, *, up=1, on="a disk"):
    return {"osd": number, "uuid": on, "up": up, "in": 1}


def cluster(*, strange=(), **changes):
    status = {
        "health": {"status": "HEALTH_OK", "checks": {}},
        "quorum_names": ["n1", "n2", "n3"],
        "monmap": {"num_mons": 3},
        "mgrmap": {"available": True},
        "pgmap": {"pgs_by_state": [{"state_name": "active+clean", "count": 33}]},
    }
    osds = [osd(number) for number in range(3)]
    pools = [{"pg_num": 32}, {"pg_num": 1}]
    whole = {**status, "osds": osds, "pools": pools, **changes}
    return condition(whole, whole, strange)


def test_a_sound_cluster_misses_nothing():
    assert cluster().missing == ()
    scrubbing = [
        {"state_name": "active+clean", "count": 30},
        {"state_name": "active+clean+scrubbing+deep", "count": 3},
    ]
    assert cluster(pgmap={"pgs_by_state": scrubbing}).missing == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quorum_names": ["n1", "n3"]}, "1 of 3 monitors are not in the quorum"),
        ({"mgrmap": {"available": False}}, "no manager is active yet"),
        ({"osds": [osd(4, up=0), osd(5)]}, "not up and in: osd.4"),
        ({"osds": []}, "no OSD is up"),
        ({"health": {"status": "HEALTH_ERR", "checks": {}}}, "HEALTH_ERR"),
        ({"pgmap": {"pgs_by_state": []}}, "0 of 33 placement groups are active+clean (others unknown)"),
        (
            {"pgmap": {"pgs_by_state": [{"state_name": "active+undersized", "count": 33}]}},
            "0 of 33 placement groups are active+clean (33 active+undersized)",
        ),
    ],
)
def test_health_ok_is_not_believed_alone(changes, said):
    assert said in cluster(**changes).missing


def test_what_machines_brought_that_fell_out_is_not_missed():
    osds = [osd(4), osd(5, up=0, on="of one that fell out")]
    assert cluster(osds=osds).missing == ("not up and in: osd.5",)
    assert cluster(osds=osds, strange={"of one that fell out"}).missing == ()


def test_warnings_are_kept_apart_with_their_text():
    checks = {"MON_CLOCK_SKEW": {"summary": {"message": "clock skew detected on mon.n2"}}}
    seen = cluster(health={"status": "HEALTH_WARN", "checks": checks})
    assert seen.missing == ()
    assert seen.warnings == {"MON_CLOCK_SKEW": "clock skew detected on mon.n2"}
