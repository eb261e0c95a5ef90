"""ceph.conf as Ceph itself reads it: the real `ceph-conf` where it is installed, which needs no cluster."""

import shutil
import subprocess

import pytest
from test_ceph_layout import FSID, cloud, machine

from mcloud import Result, ServiceError
from mcloud.testing import FakeFile, FakeHost
from mcloud_ceph import conffile
from mcloud_ceph.conffile import fsid_at, fsid_here, write_conf
from mcloud_ceph.files import CONF, MARK, conf
from mcloud_ceph.settings import CephSettings

OTHER = "99999999-2222-4333-8444-555555555555"
real = pytest.mark.skipif(shutil.which("ceph-conf") is None, reason="ceph-common is not installed")


@pytest.fixture
def host(tmp_path):
    """Return a machine whose ceph-conf is this one's."""

    def answer(call):
        if call[0] != conffile.READER:
            return None
        path = tmp_path / "ceph.conf"
        path.write_bytes(made.files[CONF].content)
        argv = ["ceph-conf", *(str(path) if word == CONF else word for word in call[1:])]
        ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
        return Result(ended.returncode, ended.stdout, ended.stderr)

    made = FakeHost(answer=answer, files={conffile.READER: FakeFile()})
    return made


LEGAL = {
    "plain": f"[global]\nfsid = {FSID}\n",
    "comment": f"[global]\nfsid = {FSID} ; of the old rack\n",
    "hash": f"[global]\nfsid = {FSID} # of the old rack\n",
    "quotes": f'[global]\nfsid = "{FSID}"\n',
    "single quotes": f"[global]\nfsid = '{FSID}'\n",
    "no section": f"fsid={FSID}\n",
    "upper case": f"[global]\nfsid = {FSID.upper()}\n",
    "continued": f"[global]\nfsid = \\\n   {FSID}\n",
    "braces": f"[global]\nfsid = {{{FSID}}}\n",
    "twice": f"[global]\nfsid = {OTHER}\nfsid = {FSID}\n",
    "of monitors": f"[mon]\nfsid = {FSID}\n",
}


@real
@pytest.mark.parametrize("text", LEGAL.values(), ids=LEGAL)
def test_what_ceph_reads_as_its_cluster_is_recognised(host, text):
    host.files[CONF] = FakeFile(content=text.encode())
    assert fsid_at(host) == FSID


@pytest.mark.parametrize("installed", [True, False])
def test_what_is_no_text_is_read_all_the_same(installed):
    """Ceph's own parser may end at such letters."""
    content = f"[global]\n# Gr\xfc\xdfe\nfsid = {FSID}\n".encode("latin-1")
    files = {CONF: FakeFile(content=content), **({conffile.READER: FakeFile()} if installed else {})}
    host = FakeHost(answer=lambda _call: Result(-6, "", "Assertion failed"), files=files)
    assert fsid_at(host) == (None if installed else FSID)


@pytest.mark.parametrize("which", ["plain", "comment", "quotes", "single quotes", "no section", "twice"])
def test_without_ceph_s_own_reader_it_is_recognised_all_the_same(which):
    host = FakeHost(files={CONF: FakeFile(content=LEGAL[which].encode())})
    assert fsid_at(host) == FSID


NONE = ["", "[global]\n", "fsid = no\n", f"# fsid = {FSID}\n", f"fsid_of = {FSID}\n", f"[x]\nFSID = {FSID}\n"]


@real
@pytest.mark.parametrize("text", NONE)
def test_a_conf_without_a_cluster_names_none(host, text):
    host.files[CONF] = FakeFile(content=text.encode())
    assert fsid_at(host) is None
    with pytest.raises(ServiceError, match="names no cluster"):
        fsid_here(host)


def test_our_own_is_read_without_asking():
    """Steps look at it while they wait."""
    text = f"{MARK}. More\n[global]\nfsid = {FSID}\n"
    host = FakeHost(files={CONF: FakeFile(content=text.encode())})
    assert fsid_at(host) == FSID
    assert host.calls == []


@real
def test_our_own_with_a_comment_of_the_operators_is_still_ours(host):
    """Seen: nothing was found any more, and every step that needs the cluster failed."""
    host.files[CONF] = FakeFile(content=f"{MARK}.\n[global]\nfsid = {FSID} ; the new rack\n".encode())
    assert fsid_here(host) == FSID


@real
@pytest.mark.parametrize("address", ["10.0.0.{}", "fd00::{}"])
def test_all_that_we_write_is_read_as_it_stands_there(host, address):
    nodes = [machine(number, address=address.format(number)) for number in (1, 2, 3)]
    internal = "10.0.0.0/24" if "." in address else "fd00::/64"
    # With encryption the monitors' addresses are in a section of their own, which clients do not read.
    for encrypted in (False, True):
        settings = CephSettings(internal_network=internal, encrypt_traffic=encrypted)
        write_conf(host, conf(FSID, nodes[1], nodes, settings))
    write_conf(host, conf(FSID, cloud(3)[0], cloud(3), CephSettings()))


@real
def test_what_ceph_leaves_out_without_a_word_is_an_error_that_names_each_line(host):
    lines = ["ms_bind_ipv6 = yes", "osd_memory_target = 4GiB", "mon_lease = 30s", "public_addr = 10.0.0.300"]
    text = "\n".join(["[global]", f"fsid = {FSID}", *lines, "no_such_option = 1", "mon_tick_interval = 7"])
    with pytest.raises(ServiceError) as caught:
        write_conf(host, f"{text}\n")
    told = str(caught.value)
    for line in lines:
        assert f"{line} (it takes" in told
    assert "no_such_option = 1 (it knows no such option)" in told
    assert "fsid" not in told
    assert "mon_tick_interval" not in told
    with pytest.raises(ServiceError, match="mon_lease = 30s"):
        write_conf(host, f"[global]\nfsid = {FSID}\n[mon]\nmon_lease = 30s\n")


def test_a_reader_that_tells_nothing_is_no_proof():
    host = FakeHost(answer=lambda _call: "", files={conffile.READER: FakeFile()})
    with pytest.raises(ServiceError, match="does not tell"):
        write_conf(host, f"[global]\nfsid = {FSID}\n")
