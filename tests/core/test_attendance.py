"""What machines bring, in short; and whether they fit what the initiator sets up."""

import pytest

from mcloud import Manifest, ServiceState, hookimpl
from mcloud.attendance import brings, rows, state
from mcloud.fitting import differing, leading, own_version, unfit
from mcloud.model import Node, Survey
from mcloud.plugins import Plugins
from mcloud.session.certificates import fingerprint, make_credentials, short
from mcloud.session.lobby import Lobby
from mcloud.session.protocol import Introduction, Refusal


def _node(name="n2", *, disks=(), memory=8 * 10**9, **versions):
    services = {
        plugin: ServiceState(installed=version is not None, version=version or "")
        for plugin, version in versions.items()
    }
    found = [{"device": f"/dev/sd{number}", **disk} for number, disk in enumerate(disks)]
    survey = Survey.model_validate({"disks": found, "memory": memory})
    return Node(name=name, addresses=("10.0.0.2",), fingerprint=f"{name}'s", survey=survey, services=services)


# ---- what it brings ------------------------------------------------------------------------------------

BARE = "no free disk; 8 GB RAM"


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (_node(lxd="5.0.2", ceph="16.2.15+ds", ovn="23.03.1"), f"lxd 5.0.2, ceph 16.2, ovn 23.03; {BARE}"),
        (_node(lxd="5.21.1 LTS", ceph=None), f"lxd 5.21; {BARE}"),
        (_node(lxd=""), f"lxd; {BARE}"),
        (_node(disks=[{"size": 10**12}], memory=1_500_000_000), "no service; 1 disk 1 TB; 1.5 GB RAM"),
        (_node(disks=[{"size": 10**10}] * 2), "no service; 2 disks 20 GB; 8 GB RAM"),
        (_node(disks=[{"size": 10**10, "busy": "mounted on /"}]), f"no service; {BARE}"),
        (_node(disks=[{"size": 10**10, "read_only": True}]), f"no service; {BARE}"),
        (_node(memory=512 * 10**6), "no service; no free disk; 512 MB RAM"),
    ],
)  # fmt: skip
def test_what_a_machine_brings_is_said_in_short(node, said):
    assert brings(node) == said
    assert len(said) <= 56


@pytest.mark.parametrize(
    ("standing", "reason", "said"),
    [
        ("here", "", ""),
        ("away", "pulled", "away: pulled"),
        ("trusted", "", "on its way"),
        ("failed", "the disk\nburns", "failed: the disk burns"),
    ],
)
def test_a_row_is_closed_while_its_machine_is_not_here(standing, reason, said):
    lobby, certificate = Lobby(), make_credentials("n2").certificate
    guest = lobby.pin("n2", certificate, "10.0.0.2")
    guest.standing, guest.reason = standing, reason
    (row,) = rows(lobby)
    assert (row.key, row.closed, row.picked) == (fingerprint(certificate), said, False)
    assert row.cells == ("n2", "10.0.0.2", short(row.key), "")


def test_who_quit_is_not_in_the_table_any_more():
    lobby = Lobby()
    lobby.pin("n2", make_credentials("n2").certificate).standing = "parted"
    assert rows(lobby) == []


def test_who_is_refused_says_each_reason():
    guest = Lobby().pin("n2", make_credentials("n2").certificate)
    guest.refuse(Refusal(reason="it does not fit", problems=("lxd is old", "ceph is missing")))
    assert state(guest) == "refused: lxd is old; ceph is missing"


# ---- whether it fits -----------------------------------------------------------------------------------


class Service:
    def __init__(self, parts):
        self.parts = parts

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="", release_parts=self.parts)


def _problems(mine, theirs, *, parts=2, versions=None):
    plugins = Plugins.of(lxd=Service(parts))
    told = {"mcloud": own_version(), "lxd": "0"} if versions is None else versions
    services = {} if theirs is ... else {"lxd": theirs}
    refusal = unfit(
        Introduction(node=_node("n2", **services), versions=told),
        me=_node("n1", **({} if mine is ... else {"lxd": mine})),
        services=("lxd",),
        plugins=plugins,
    )
    return refusal.problems if refusal else ()


@pytest.mark.parametrize(
    ("mine", "theirs", "parts"),
    [
        ("5.0.2", "5.0.2", 2),
        ("5.0.2", "5.0.11", 2),
        ("16.2.15+ds", "16.1", 1),
        ("5.0.2", "4.0", None),
        ("5.0.2", "", 2),
        ("", "5.0.2", 2),
        (None, None, 2),
        (..., None, 2),
    ],
)
def test_what_fits_or_cannot_be_told_is_let_pass(mine, theirs, parts):
    assert _problems(mine, theirs, parts=parts) == ()


@pytest.mark.parametrize(
    ("mine", "theirs", "parts", "problem"),
    [
        ("5.0.2", "5.1.0", 2, "lxd: wanted 5.0.x, as on n1; found 5.1.0"),
        ("16.2.15", "17.2.5", 1, "lxd: wanted 16.x, as on n1; found 17.2.5"),
        ("23.03", "23.09", 2, "lxd: wanted 23.03, as on n1; found 23.09"),
        ("5.0.2", None, 2, "lxd: wanted 5.0.x, as on n1; found nothing installed"),
        ("5.0.2", ..., 2, "lxd: wanted 5.0.x, as on n1; found nothing installed"),
        ("", None, 2, "lxd: wanted it installed, as on n1; found nothing installed"),
        ("5.0.2", None, None, "lxd: wanted it installed, as on n1; found nothing installed"),
    ],
)
def test_what_does_not_fit_is_named_with_wanted_and_found(mine, theirs, parts, problem):
    assert _problems(mine, theirs, parts=parts) == (problem,)


def test_mcloud_and_its_plugins_must_be_the_same():
    assert _problems("5.0", "5.0", versions={"lxd": "0.9"}) == (
        f"mcloud itself: wanted {own_version()}, as on the initiator; found none",
        "plugin lxd: wanted 0, as on the initiator; found 0.9",
    )
    assert differing({"lxd": "1"}, {"lxd": "1"}) == []


def test_what_others_say_of_themselves_is_made_printable():
    assert differing({"lxd": "1\x1b[2J"}, {"lxd": "1"}) == [
        "plugin lxd: wanted 1, as on the initiator; found 1"
    ]


@pytest.mark.parametrize(
    ("version", "parts", "found"),
    [("5.0.2", 2, ("5", "0")), ("16.2.15+ds", 1, ("16",)), ("5", 2, ("5",)), ("1:2-3", 3, ("1", "2", "3"))],
)
def test_leading_parts(version, parts, found):
    assert leading(version, parts) == found
