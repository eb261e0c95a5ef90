"""From those who came to a roster: who is taken, in which order, and who is waited for."""

import pytest
from pydantic import SecretStr

from mcloud import McloudError
from mcloud.gathering import all_planned, gathered, proposal
from mcloud.model import Node
from mcloud.order import Order
from mcloud.plugins import Plugins
from mcloud.session.certificates import make_credentials
from mcloud.session.lobby import Lobby
from mcloud.session.protocol import Introduction, Outlook

ME = Node(name="n1", addresses=("10.0.0.1",), founder=True)


@pytest.fixture(scope="module")
def certificates():
    return {name: make_credentials(name).certificate for name in ("n2", "n3", "n4")}


@pytest.fixture
def lobby(certificates):
    """Return a lobby in which three machines are, the last one first."""
    made = Lobby()
    for name in ("n4", "n3", "n2"):
        guest = made.pin(name, certificates[name])
        node = Node(name=name, addresses=("10.0.0.9",))
        guest.standing, guest.introduction = "here", Introduction(node=node, versions={})
    return made


def _order(*machines, **more):
    listed = dict.fromkeys(machines, "10.0.0.9")
    return Order(command="init", cloud="home", services=(), machines=listed, **more)


def _roster(order, lobby):
    return [node.name for node in gathered(order, ME, lobby.here(), Plugins.of()).nodes]


def test_the_files_order_gives_the_roles(lobby):
    assert _roster(_order("n1", "n3", "n2", "n4"), lobby) == ["n1", "n3", "n2", "n4"]


def test_who_is_not_in_the_file_is_not_taken(lobby):
    assert _roster(_order("n1", "n3"), lobby) == ["n1", "n3"]


def test_without_a_file_all_are_taken_by_name(lobby):
    assert _roster(_order(), lobby) == ["n1", "n2", "n3", "n4"]


def test_nobody_makes_itself_the_founder(lobby):
    guest = lobby.named("n2")
    boast = guest.introduction.node.model_copy(update={"founder": True, "standing": "member"})
    guest.introduction = guest.introduction.model_copy(update={"node": boast})
    nodes = gathered(_order(), ME, lobby.here(), Plugins.of()).nodes
    assert [node.name for node in nodes if node.founder] == ["n1"]
    assert {node.standing for node in nodes[1:]} == {"joining"}


def test_each_run_has_an_id_of_its_own(lobby):
    runs = {gathered(_order(), ME, lobby.here(), Plugins.of()).run for _ in range(3)}
    assert len(runs) == 3


def test_secrets_travel_beside_the_inputs(lobby):
    order = _order(secrets={"ceph": {"key": SecretStr("tulip-hammer")}}, settings={"ceph": {"key": None}})
    said = proposal(order, gathered(order, ME, lobby.here(), Plugins.of()))
    assert said.secrets == {"ceph": {"key": "tulip-hammer"}}
    assert "tulip" not in said.inputs.model_dump_json()


def test_all_plans_are_waited_for(lobby):
    inputs = gathered(_order("n1", "n2", "n3"), ME, lobby.here(), Plugins.of())
    for name in ("n2", "n3"):
        assert not all_planned(lobby, inputs)
        lobby.named(name).outlook = Outlook(lines=(), digest="0" * 64)
    assert all_planned(lobby, inputs)


@pytest.mark.parametrize("standing", ["failed", "parted"])
def test_who_left_is_not_waited_for(lobby, standing):
    inputs = gathered(_order("n1", "n2", "n3"), ME, lobby.here(), Plugins.of())
    lobby.named("n2").standing, lobby.named("n2").reason = standing, "its plugins differ"
    with pytest.raises(McloudError, match="n2 left: its plugins differ"):
        all_planned(lobby, inputs)


def test_a_machine_that_is_away_may_come_back(lobby):
    inputs = gathered(_order("n1", "n2"), ME, lobby.here(), Plugins.of())
    lobby.named("n2").standing = "away"
    assert not all_planned(lobby, inputs)
