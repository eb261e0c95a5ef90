"""How machines find each other: by multicast in either family, by an address, by DNS."""

import sysconfig
from contextlib import contextmanager
from pathlib import Path

import pytest
from terminals import Terminal

from mcloud.lab.roots import environment

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

SRV = Path(__file__).parents[1] / "thirdparty" / "mcloud-discovery-srv"
IPV4 = {"n1": "10.10.0.11", "n2": "10.10.0.12"}
IPV6 = {"n1": "fd10:10::11", "n2": "fd10:10::12"}
OWN = "/root/own/bin/python"
BLOCKED = """table inet blocked {
    chain in { type filter hook input priority 0; udp dport 5353 drop; }
}
"""
SERVER = (
    *("--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--user=root"),
    *("--listen-address=10.10.0.11", "--bind-interfaces", "--local=/cloud.example/"),
    *("--log-queries", "--log-facility=/root/dns.log", "--pid-file=/run/dnsmasq.pid"),
)
RECORDS = (
    "--srv-host=_mcloud._tcp.cloud.example,n1.cloud.example,9442",
    "--host-record=n1.cloud.example,10.10.0.11",
)
ANOTHER = """
import sys, time
from mcloud import Beacon
from mcloud.session.protocol import VERSION
from mcloud_discovery_mdns import plugin
with plugin.announce(Beacon(name="n1", address="10.10.0.11", port=9999, session="another", version=VERSION)):
    print("announced", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab(machines=2)


@contextmanager
def initiating(lab, addresses):
    """Type `init` on the first machine; give the code once it is shown. It waits for more than there are."""
    own = ("--plain", "--defaults", "--expect", "2", "--service", "lxd", "--address", addresses["n1"])
    terminal = typed(lab, "n1", "mcloud", "init", *own)
    try:
        yield terminal.expect(r"code is:\s+(\S+ \S+ \S+ \S+)")
    finally:
        terminal.interrupt()
        terminal.end()


@pytest.fixture(scope="module")
def code(lab):
    """Give the code of an initiator that all tests over IPv4 find."""
    with initiating(lab, IPV4) as code:
        yield code


def joiner(lab, *options, addresses=IPV4, command=("mcloud",)):
    return typed(
        lab, "n2", *command, "join", "--plain", "--address", addresses["n2"], "--patience", "20", *options
    )


def typed(lab, name, *argv):
    return Terminal(lab.machine(name).argv(argv), env=environment(), seconds=30)


def assert_met(code, joiner):
    """Let the joiner in that has found the initiator, and have it leave again."""
    joiner.expect("Code shown by the initiator: ")
    let_in(code, joiner)


def let_in(code, joiner):
    joiner.type(code)
    joiner.expect("trust each other")
    joiner.interrupt()
    joiner.end()


def last_words(lab, *options):
    """Return what `join` says on the second machine without a terminal, in one line."""
    argv = ["mcloud", "join", "--address", IPV4["n2"], "--patience", "2.5", *options]
    ended = lab.machine("n2").run(argv, check=False)
    assert ended.returncode != 0
    return " ".join((ended.stdout + ended.stderr).split())


@contextmanager
def another_initiator(lab):
    """Announce another initiator of the same name, where nobody listens."""
    script = lab.machine("n1").popen(["python3", "-I", "-c", ANOTHER], stdin=-1, stdout=-1, text=True)
    try:
        assert script.stdout.readline().strip() == "announced"
        yield
    finally:
        script.communicate()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--discovery", "mdns"),
        ("--initiator-address", "n1"),
        ("--discovery", "static", "--discovery", "mdns", "--initiator-address", "10.10.0.11"),
        ("--discovery", "static", "--discovery", "mdns", "--initiator-address", "nosuch.invalid"),
    ],
    ids=["nothing said", "mdns", "static", "both", "both, one in vain"],
)
def test_swapped_by_settings_alone(lab, code, options):
    assert_met(code, joiner(lab, *options))


def test_two_initiators_are_both_told(lab, code):
    with another_initiator(lab):
        said = last_words(lab, "--discovery", "mdns")
    assert code not in said
    for part in ("several initiators", "10.10.0.11", "9442", "9999"):
        assert part in said


def test_multicast_that_is_blocked_is_told_and_an_address_does(lab, code):
    lab.machine("n2").run(["nft", "-f", "-"], input=BLOCKED)
    try:
        said = last_words(lab, "--discovery", "mdns")
        for part in ("on eth0 (224.0.0.251, ff02::fb), UDP port 5353", "nothing at all came back"):
            assert part in said
        assert "--initiator-address" in said
        assert_met(code, joiner(lab, "--initiator-address", IPV4["n1"]))
    finally:
        lab.machine("n2").run(["nft", "delete", "table", "inet", "blocked"])


def test_by_dns_with_a_plugin_from_outside(lab, code):
    install_srv(lab.machine("n2"))
    resolver = "nameserver 10.10.0.11\nsearch cloud.example\n"
    lab.machine("n2").run(["sh", "-c", "rm -f /etc/resolv.conf; cat > /etc/resolv.conf"], input=resolver)
    with dns(lab):
        searching = joiner(lab, "--discovery", "srv", command=(OWN, "-I", "-m", "mcloud"))
        wait_for_question(lab)
    with dns(lab, *RECORDS):
        assert_met(code, searching)


def test_by_multicast_over_ipv6_alone_late_and_again(make_lab):
    lab = make_lab(machines=2)
    for name in IPV6:
        lab.machine(name).run(["ip", "-4", "address", "flush", "dev", "eth0"])
    first = joiner(lab, "--discovery", "mdns", addresses=IPV6)
    with initiating(lab, IPV6):
        first.expect("Code shown by the initiator: ")
    with initiating(lab, IPV6) as code:
        let_in(code, first)


@contextmanager
def dns(lab, *records):
    """Run a DNS server on the first machine."""
    server = lab.machine("n1").popen(["dnsmasq", *SERVER, *records])
    try:
        yield
    finally:
        lab.machine("n1").run(["sh", "-c", "kill $(cat /run/dnsmasq.pid)"])
        server.wait(timeout=10)


def wait_for_question(lab):
    """Wait until the joiner has asked, and was told that there is no such name."""
    waiting = "until grep -q 'query.SRV. _mcloud._tcp.cloud.example' /root/dns.log; do sleep 0.05; done"
    lab.machine("n1").run(["timeout", "20", "sh", "-c", waiting])


def install_srv(machine):
    """Make a Python environment that sees this one's packages, and install the plugin into it, offline."""
    machine.run(["python3", "-m", "venv", "--without-pip", "/root/own"])
    own = machine.run([OWN, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).stdout.strip()
    seen = sysconfig.get_path("purelib")
    machine.run(["sh", "-c", f"cat > {own}/beside.pth"], input=f"import site; site.addsitedir({seen!r})\n")
    machine.run(["mkdir", "/root/srv"])
    for path in SRV.iterdir():
        if path.is_file():
            machine.run(["sh", "-c", "cat > /root/srv/$0", path.name], input=path.read_text())
    install = ("install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    machine.run([OWN, "-m", "pip", *install, "/root/srv"])
