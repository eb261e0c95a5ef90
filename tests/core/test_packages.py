"""What is missing is named, and what is asked for is installed, also on a fresh or interrupted machine."""

import pytest

from mcloud.errors import CommandError, PluginError, ServiceError
from mcloud.host import Result
from mcloud.localhost import LocalHost
from mcloud.model import Manifest
from mcloud.packages import install, install_line, missing
from mcloud.secrets import Secrets


class Machine:
    """A machine with a distribution and packages, whose apt-get behaves."""

    name = "n1"

    def __init__(self, release="ID=debian\n", installed=(), known=(), *, lists=True, interrupted=False):
        self.release = release
        self.installed, self.known = set(installed), {*installed, *known}
        self.lists, self.interrupted = lists, interrupted
        self.ran, self.env = [], {}

    def read(self, path):
        return self.release if path == "/etc/os-release" else None

    def run(self, argv, *, stdin=None, check=True, seconds=60, env=None):
        words = [word for word in argv if word in {"install", "update", "--configure", "-W"}]
        names = argv[argv.index("--", argv.index(words[0])) + 1 :] if words[0] in {"install", "-W"} else []
        if words[0] == "-W":
            found = [f"{name} installed\n" for name in names if name in self.installed]
            found += [f"{name} config-files\n" for name in names if name == "purged"]
            return Result(int(len(found) < len(names)), "".join(found), "dpkg-query: no packages found\n")
        self.ran.append(words[0])
        self.env = env
        assert seconds >= 300
        complaint = self._complaint(words[0], names)
        if complaint and check:
            raise CommandError(f"apt-get: exit status 100: {complaint}", exit_status=100, stderr=complaint)
        return Result(0, "", "")

    def _complaint(self, what, names):
        if what == "--configure":
            self.interrupted = False
        elif self.interrupted and what == "install":
            return "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"
        elif what == "update":
            self.lists = True
        elif not self.lists or not set(names) <= self.known:
            return "E: Unable to locate package"
        else:
            self.installed |= set(names)
        return ""


def _manifest(**packages):
    return Manifest(api=1, summary="x", packages=packages)


def test_what_is_missing_is_named_by_plugin():
    machine = Machine(installed=["lxd", "ceph-mon"])
    assert missing(
        machine,
        {
            "lxd": _manifest(debian=("lxd",)),
            "ceph": _manifest(debian=("ceph-osd", "ceph-mon", "purged")),
            "static": _manifest(),
        },
    ) == {"ceph": ("ceph-osd", "purged")}


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("ID=debian\n", {"x": ("for-debian",)}),
        ("ID=ubuntu\nID_LIKE=debian\n", {"x": ("for-ubuntu",)}),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', {"x": ("for-ubuntu",)}),
        ("ID=fedora\n", {}),
        ("", {}),
    ],
)
def test_packages_are_those_of_the_nearest_distribution(release, expected):
    manifests = {"x": _manifest(debian=("for-debian",), ubuntu=("for-ubuntu",))}
    assert missing(Machine(release), manifests) == expected


def test_install_says_what_it_does_and_asks_nobody(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:3128")
    machine, told = Machine(known=["lxd", "ovn-host"]), []
    install(machine, ["ovn-host", "lxd", "lxd"], told.append)
    assert machine.installed == {"lxd", "ovn-host"}
    assert (machine.ran, told) == (["install"], ["installing lxd, ovn-host"])
    assert machine.env["DEBIAN_FRONTEND"] == "noninteractive"
    assert machine.env["http_proxy"] == "http://192.0.2.1:3128"


def test_a_fresh_machine_gets_its_lists_first():
    machine = Machine(known=["lxd"], lists=False)
    install(machine, ["lxd"], lambda _text: None)
    assert (machine.ran, machine.installed) == (["install", "update", "install"], {"lxd"})


def test_an_interrupted_installation_is_finished():
    machine = Machine(known=["lxd"], interrupted=True)
    install(machine, ["lxd"], lambda _text: None)
    assert machine.ran == ["install", "--configure", "update", "install"]


def test_a_package_nobody_has_is_aptgets_to_say():
    with pytest.raises(CommandError, match="Unable to locate"):
        install(Machine(), ["lxd"], lambda _text: None)


def test_nothing_is_nothing():
    machine = Machine()
    install(machine, [], pytest.fail)
    assert machine.ran == []
    assert missing(machine, {}) == {}


def test_a_yes_is_not_taken_for_a_fact():
    machine = Machine(known=["lxd"])
    machine._complaint = lambda _what, _names: ""
    with pytest.raises(ServiceError, match="still not installed") as caught:
        install(machine, ["lxd"], lambda _text: None)
    assert "apt-get install" in caught.value.hint


def test_the_line_a_person_types():
    assert install_line(["b", "a1", "a1", "b2"][1:]) == "apt-get install --no-install-recommends a1 b2"


@pytest.mark.parametrize("name", ["--purge", "lxd;reboot", "", "A"])
def test_what_is_no_package_reaches_no_command(name):
    machine = Machine()
    with pytest.raises(PluginError, match="not the name of a package"):
        install(machine, [name], lambda _text: None)
    with pytest.raises(PluginError, match="not the name of a package"):
        missing(machine, {"x": _manifest(debian=(name, "lxd"))})
    assert machine.ran == []


def test_here_and_now():
    manifests = {"x": _manifest(debian=("coreutils", "no-such-package-here"))}
    host = LocalHost(Secrets())
    if host.stat("/usr/bin/dpkg-query") is None:
        pytest.skip("no Debian")
    assert missing(host, manifests) == {"x": ("no-such-package-here",)}
