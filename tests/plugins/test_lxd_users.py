"""What uses a pool or network that an undo takes away: what was said to be lost goes, and nothing else."""

from types import SimpleNamespace

import pytest

from mcloud import ServiceError, UsedElsewhereError
from mcloud.testing import FakeHost
from mcloud_lxd.client import SOCKET, LxdError
from mcloud_lxd.everywhere import MARK, Wanted
from mcloud_lxd.users import remove_users, used_elsewhere

POOL = Wanted(kind="storage-pools", name="remote", type="ceph")
USED = (
    "/1.0/instances/a",
    "/1.0/instances/b?project=shop",
    "/1.0/instances/b/snapshots/s0?project=shop",
    "/1.0/images/0123",
    "/1.0/profiles/theirs",
    "/1.0/storage-pools/remote/volumes/custom/data?target=n2",
)


class Lxd:
    """An LXD with one pool and what uses it."""

    def __init__(self, used=USED, mark="yes"):
        self.pool = {"name": "remote", "config": {MARK: mark} if mark else {}, "used_by": list(used)}
        self.instances = {
            "a": {"status": "Running", "location": "n1"},
            "b": {"status": "Stopped", "location": "n2"},
        }
        self.changes = []

    def answer(self, request):
        path = request.path_url
        if request.method == "GET":
            said = {
                "/1.0/storage-pools/remote": self.pool,
                "/1.0": {
                    "environment": {"server_name": "n1", "server_version": "5.0.2", "certificate": ""},
                    "api_extensions": [],
                    "config": {},
                },
                **{f"/1.0/instances/{name}": one for name, one in self.instances.items()},
                "/1.0/instances/b?project=shop": self.instances["b"],
            }
            if path not in said:
                return 404, {"type": "error", "error": "not found", "error_code": 404}
            return 200, {"type": "sync", "metadata": said[path]}
        self.changes.append((request.method, path))
        return 200, {"type": "sync", "metadata": {}}


def after(lxd, **how):
    said = []
    host = FakeHost(sockets={SOCKET: lxd.answer})
    remove_users(SimpleNamespace(host=host, report=said.append), POOL, **how)
    return lxd.changes, said


def test_what_is_in_a_pool_goes_with_it_and_is_told():
    changes, said = after(Lxd())
    assert changes == [
        ("PUT", "/1.0/instances/a/state"),
        ("DELETE", "/1.0/instances/a"),
        ("DELETE", "/1.0/instances/b?project=shop"),
        ("DELETE", "/1.0/storage-pools/remote/volumes/custom/data?target=n2"),
    ]
    assert [line.partition(" goes")[0] for line in said] == [
        "the instance a on n1",
        "the instance b on n2",
        "the volume data",
    ]


def test_of_a_network_only_this_machines_instances_go():
    changes, _said = after(Lxd(), here_only=True)
    assert changes == [("PUT", "/1.0/instances/a/state"), ("DELETE", "/1.0/instances/a")]


def test_a_protected_instance_is_an_error_and_is_not_stopped_either():
    lxd = Lxd()
    lxd.instances["a"]["expanded_config"] = {"security.protection.delete": "true"}
    with pytest.raises(ServiceError, match="the instance a on n1 is protected"):
        after(lxd)
    assert lxd.changes == []


@pytest.mark.parametrize(("used", "kind"), [(USED[1:], UsedElsewhereError), (USED, LxdError), ((), LxdError)])
def test_in_use_by_others_instances_alone_is_told_apart(used, kind):
    lxd = Lxd(used)
    host = FakeHost(sockets={SOCKET: lxd.answer})
    with pytest.raises(ServiceError) as raised, used_elsewhere(host, "/1.0/storage-pools/remote"):
        raise LxdError("in use", status=400)
    assert type(raised.value) is kind


def test_what_uses_a_pool_that_is_not_ours_stays():
    assert after(Lxd(mark="")) == ([], [])


def test_where_nothing_uses_it_nothing_happens():
    assert after(Lxd(used=())) == ([], [])
    lxd = Lxd()
    lxd.pool["used_by"] = None
    assert after(lxd) == ([], [])
