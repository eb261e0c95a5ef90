"""On an ordinary IPv6 LAN all are in one /64: one guesser there keeps no honest neighbour out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcloud.session import sources

ROUTES = """\
fd000077000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 \
00000100 00000001 00000000 00000001     eth0
fd000078000000000000000000000000 40 00000000000000000000000000000000 00 fd000077000000000000000000000001 \
00000400 00000002 00000000 00000003     eth0
fd000079000000000000000000000005 80 00000000000000000000000000000000 00 00000000000000000000000000000000 \
00000000 00000003 00000000 80200001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 \
ffffffff 00000001 00000000 00200200       lo
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 \
00000400 00000002 00000000 00000001     tun0
fd00008
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")
@pytest.mark.timeout(180)
def test_a_guesser_on_the_same_ipv6_link_keeps_no_neighbour_out():
    """Three of five got in, because all of a /64 were one source and had its eight places."""
    script = Path(__file__).with_name("neighbours.py")
    command = ["unshare", "--net", sys.executable, str(script)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    told = ended.stdout.splitlines()
    assert [line.split()[0] for line in told] == ["in"] * 5, told


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Have a link, with a route through a gateway, an address of our own, and default routes."""
    routes = tmp_path / "ipv6_route"
    routes.write_text(ROUTES)
    monkeypatch.setattr(sources, "_links", sources.Links(routes))


@pytest.mark.usefixtures("link")
@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("fd00:77::5", "fd00:77::5"),
        ("fd00:77::5:6%eth0", "fd00:77::5:6"),
        ("fd00:78::5", "fd00:78::/64"),
        ("fd00:79::5", "fd00:79::/64"),
        ("2001:db8::1", "2001:db8::/64"),
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_who_is_on_a_link_of_ours_is_a_source_by_itself(address: str, source: str):
    assert sources.source_of(address) == source
    assert sources.carrier_of(address) == source  # nobody knows a neighbour there


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")
def test_a_neighbour_is_known_by_what_carries_it():
    """He may take as many addresses as he likes: they are carried by one."""
    script = """
        set -e
        unshare --net sleep 60 & other=$!
        trap 'kill $other' EXIT
        until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do :; done
        ip link set lo up
        ip link add v0 type veth peer name v1 address 02:00:00:00:00:77 netns $other
        ip -6 addr add fd00:77::1/64 dev v0 nodad
        ip link set v0 up
        for n in 5 6; do nsenter --net --target $other ip -6 addr add fd00:77::$n/64 dev v1 nodad; done
        nsenter --net --target $other ip link set v1 up
        for n in 5 6; do ping -6 -q -c 1 -w 10 fd00:77::$n; done >&2
        exec "$0" -c "from mcloud.session.sources import *
for n in 5, 6: print(source_of(f'fd00:77::{n}'), carrier_of(f'fd00:77::{n}'))"
    """
    command = ["unshare", "--net", "sh", "-c", script.replace("exec ", ""), sys.executable]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.stdout.splitlines() == [f"fd00:77::{n} 02:00:00:00:00:77" for n in (5, 6)], ended.stderr
