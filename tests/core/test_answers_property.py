"""Whatever is answered, the file made of the answers gives the same order and the same plans."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from mcloud.answersfile import network_of, order_from, text_of, tree_of
from mcloud.cloud import plan_for
from mcloud.forms import plain, read
from mcloud.forms.interview import CHANGE, Interview
from mcloud.inputs import Inputs
from mcloud.model import Disk, Nic, Node, ServiceState, Survey
from mcloud.order import Order, order_of
from mcloud.plugins import Plugins
from mcloud.prompting import Pick
from mcloud.record import record_step, unknown_yet
from mcloud.state import State

PLUGINS = Plugins.load()
SERVICES = ("ceph", "lxd", "ovn")
CODE = SecretStr("acorn blimp crisp dove ember fritz")
CONTENTS = st.sampled_from(["", "", "ext4", "LVM2_member", "partitions"])
ABILITIES = ("ceph", "rbd", "openvswitch", "geneve", "zfs", "btrfs", "dm-thin", "dm-crypt")
TYPED = {
    "IPv4 gateway": ["192.0.2.1/24", "10.0.0.1/24", "192.0.2.0/24", "yes", "", "192.0.2.1"],
    "Addresses there": [
        "192.0.2.100-192.0.2.200",
        "10.0.0.100-10.0.0.200",
        "192.0.2.1-192.0.2.9",
        "9-1",
        "192.0.2.7-192.0.2.9",
    ],
    "IPv6 gateway": ["2001:db8::1/64", "::", ""],
    "DNS servers": ["192.0.2.53", "192.0.2.53, 2001:db8::53", "", "none"],
    "Ceph's": ["10.0.0.0/24", "10.1.0.0/24", "10.1.0.1/24", "172.16.0.0/12", ""],
    "Storage driver": ["auto", "zfs", "btrfs", "lvm", "ext4", "no", ""],
    "Copies": ["1", "2", "3", "11", "many", ""],
    "The default profile": ["keep-others", "replace", "leave", ""],
}


@st.composite
def disks(draw):
    number = draw(st.integers(0, 4))
    return tuple(
        Disk(
            device=f"/dev/sd{letter}",
            size=draw(st.sampled_from([10**9, 10**11, 2 * 10**11])),
            content=draw(CONTENTS),
            busy=draw(st.sampled_from(["", "", "", "mounted on /"])),
            read_only=draw(st.booleans()) and draw(st.booleans()),
            links=draw(st.sampled_from([(), (f"/dev/disk/by-id/ata-{letter}",)])),
        )
        for letter in "abcd"[:number]
    )


@st.composite
def machines(draw):
    number = draw(st.integers(1, 4))
    second, free = draw(st.booleans()), draw(st.integers(0, 2))
    kernel = tuple(name for name in ABILITIES if draw(st.booleans()))
    made = []
    for own in range(1, number + 1):
        nics = [Nic(name="eth0", addresses=(f"10.0.0.{own + 10}/24",))]
        if second:
            nics.append(Nic(name="eth1", addresses=(f"10.1.0.{own + 10}/24",)))
        nics += [Nic(name=f"eth{2 + more}") for more in range(free)]
        states = {
            name: ServiceState(installed=True, standing="idle", features=("default-profile:eth0",))
            for name in SERVICES
        }
        survey = Survey(disks=draw(disks()), nics=tuple(nics), abilities=kernel)
        address = (f"10.0.0.{own + 10}",)
        made.append(Node(name=f"n{own}", addresses=address, survey=survey, services=states, founder=own == 1))
    return made


@dataclass
class Anybody:
    """Answers at random; after a few wrong answers to one question, takes the first that fits."""

    random: object
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def heading(self, text: str) -> None:
        pass

    def complain(self, reason: str) -> None:
        self.complaints.append(reason)

    def ask(self, prompt, *, default="", choices=(), secret=False, otherwise="") -> str:
        self.asked.append(prompt)
        (likely,) = [texts for start, texts in TYPED.items() if prompt.startswith(start)]
        times = self.asked.count(prompt)
        return self.random.choice(likely) if times < 4 else likely[(times - 4) % len(likely)]

    def agree(self, question, *, default, otherwise="") -> bool:
        self.asked.append(question)
        return question != CHANGE and self.random.random() < 0.5 if self.asked.count(question) < 9 else False

    def pick(self, pick: Pick) -> Sequence[str]:
        self.asked.append(pick.question)
        open_ = [row for row in pick.rows() if not row.closed]
        for _ in range(5):
            keys, groups = [], set()
            for row in open_:
                if self.random.random() < 0.6 and not (pick.per_group == 1 and row.group in groups):
                    keys.append(row.key)
                    groups.add(row.group)
            if not pick.check(keys):
                return tuple(keys)
        for keys in ((), _one_of_each(open_)):
            if not pick.check(keys):
                return tuple(keys)
        raise AssertionError(f"{pick.question}: nothing fits: {pick.check(keys)}")


def _one_of_each(rows):
    return list({row.group: row.key for row in rows}.values())


def _shape(inputs):
    nowhere = record_step(State("/nowhere"), inputs, unknown_yet)
    return {
        node.name: [
            (key, lane.stage, getattr(step, "destroys", ()))
            for key, (lane, step) in plan_for(PLUGINS, inputs, node.name, nowhere).steps.items()
        ]
        for node in inputs.nodes
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nodes=machines(), random=st.randoms(use_true_random=False))
def test_the_file_of_the_answers_plans_the_same(nodes, random):
    person = Anybody(random)
    interview = Interview(
        nodes=nodes,
        manifests=PLUGINS.manifests,
        services=SERVICES,
        prompter=person,
        network=network_of(nodes),
    )
    answers = interview.hold()
    ordered = Order(command="init", cloud="c", services=SERVICES)
    tree = tree_of(answers, PLUGINS, nodes, ordered, code=CODE)
    interactive = order_from(tree, PLUGINS, ordered)
    preseed = read(text_of(tree), "answers.yaml", PLUGINS.manifests, services=PLUGINS.services)
    by_file = order_of(preseed, command="preseed")

    def inputs(order):
        known = {"services": order.services, "settings": order.settings, "node_settings": order.node_settings}
        return Inputs(run="0" * 16, command="init", cloud=order.cloud, nodes=tuple(nodes), **known)

    assert inputs(by_file) == inputs(interactive)
    assert by_file.services == answers.services
    assert by_file.given == interactive.given
    for name in answers.services:
        wide = PLUGINS.manifests[name].settings.model_validate(answers.wide.get(name, {}))
        assert by_file.settings[name] == plain(wide), "the answers themselves, without any file"
        for node in nodes:
            own = PLUGINS.manifests[name].node_settings.model_validate(answers.of(name, node.name))
            assert by_file.node_settings[name][node.name] == plain(own)
    assert _shape(inputs(by_file)) == _shape(inputs(interactive))
    _nothing_is_given_twice_or_wiped_unasked(nodes, answers)


def _nothing_is_given_twice_or_wiped_unasked(nodes, answers):
    for node in nodes:
        local = answers.of("lxd", node.name).get("disk")
        chosen = [*answers.of("ceph", node.name).get("disks", ()), *([local] if local else [])]
        found = [
            next(disk for disk in node.survey.disks if choice.path in (disk.device, *disk.links))
            for choice in chosen
        ]
        assert len({disk.device for disk in found}) == len(found)
        assert not any(disk.busy or disk.read_only for disk in found)
        for choice, disk in zip(chosen, found, strict=True):
            assert choice.wipe == bool(disk.content), (
                "wiped is what holds something and may be, and only that"
            )
