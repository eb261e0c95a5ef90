from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import PurePosixPath

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, TypeAdapter, ValidationError
from ruamel.yaml import YAML

from mcloud.errors import SettingsError
from mcloud.forms import Cloud, Machine, Meet, Preseed, differences, dump, public
from mcloud.forms.core import Duration
from mcloud.forms.document import parse
from mcloud.forms.write import yaml

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
odd = st.sampled_from(
    ["yes", "010", "0x1f", "1e3", ".5e1", "null", "~", "", "2001-01-01", "<<", "a: b", "# x"]
)
devices = st.from_regex(r"/dev/[a-z0-9/-]{1,20}", fullmatch=True)
disks = st.one_of(
    devices,
    st.fixed_dictionaries({"path": devices}, optional={"wipe": st.booleans(), "encrypt": st.booleans()}),
)
durations = st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=400))
codes = st.text(st.characters(categories=["L", "N"], max_codepoint=0x2FF), min_size=12, max_size=40)


@st.composite
def preseeds(draw, manifests):
    machines = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    storage, net = manifests["storage"], manifests["net"]
    meet = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "discovery": st.sampled_from([("static",), ("multicast", "static")]),
                "code": codes.map(SecretStr),
                "patience": durations,
                "initiator_address": st.just(ip_address("2001:db8::1")),
            },
        )
    )
    on = draw(st.sets(st.sampled_from(["storage", "net", "plain"])))
    wide = {
        "storage": st.builds(
            storage.settings,
            label=st.one_of(text, odd),
            replicas=st.integers(1, 5),
            grace=durations,
            public_network=st.just(ip_network("2001:db8::/64")),
        ),
        "net": st.builds(net.settings, gateway=st.just("192.0.2.1/24"), token=codes.map(SecretStr)),
    }
    single = {
        "storage": st.builds(storage.node_settings, disks=st.lists(disks, max_size=3)),
        "net": st.builds(net.node_settings, underlay=st.ip_addresses(), uplink=st.one_of(text, odd)),
    }
    return Preseed(
        cloud=Cloud(name=draw(names), initiator=machines[0], network=ip_network("10.0.0.0/24")),
        meet=Meet(**meet),
        machines=tuple(
            Machine(name=name, address=ip_address(f"10.0.0.{index}"))
            for index, name in enumerate(machines, 1)
        ),
        services=tuple(sorted(on)),
        plugin_settings={plugin: draw(wide[plugin]) for plugin in on & wide.keys()}
        | (
            {"multicast": manifests["multicast"].settings()}
            if "multicast" in meet.get("discovery", ())
            else {}
        ),
        plugin_node_settings={
            plugin: {name: draw(single[plugin]) for name in machines} for plugin in on & single.keys()
        },
    )


@settings(deadline=None, max_examples=60, phases=[Phase.generate, Phase.shrink])
@given(st.data())
def test_what_is_written_reads_back_the_same(installed, data):
    preseed = data.draw(preseeds(installed.manifests))
    again = installed.read(dump(preseed, show_secrets=True))
    assert again == preseed
    assert list(again.machines) == list(preseed.machines)
    assert public(again) == public(preseed)
    assert dump(again, show_secrets=True) == dump(preseed, show_secrets=True)


@settings(deadline=None, max_examples=300, phases=[Phase.generate, Phase.shrink])
@given(st.dictionaries(st.one_of(text, odd), st.one_of(text, odd, st.integers(), st.booleans(), st.none())))
def test_any_text_reads_back_as_that_text(tree):
    written = yaml({"x": tree})
    assert parse(written, "f").tree == {"x": tree}


def test_programs_that_read_yaml_1_1_see_the_same():
    tree = {"a": "yes", "b": "off", "c": "1e3", "d": "0o10", "e": "n"}
    old = YAML(typ="safe", pure=True)
    old.version = (1, 1)
    assert old.load("%YAML 1.1\n---\n" + yaml(tree)) == tree


FILE = """\
mcloud: 1
cloud: {name: home, initiator: n1, network: 10.10.0.0/24}
meet: {code: acorn-blimp-crisp}
net: {gateway: 192.0.2.1/24, token: 0123456789abc, peers: [{name: west, key: hunter22}]}
machines: {n1: {address: 10.10.0.11, net: {underlay: 10.10.2.11}}}
"""


def test_secrets_are_stars_unless_asked_for_and_stars_do_not_read_back(installed):
    preseed = installed.read(FILE)
    shown, hidden = dump(preseed, show_secrets=True), dump(preseed)
    for secret in ("acorn-blimp-crisp", "0123456789abc", "hunter22"):
        assert secret in shown
        assert secret not in hidden
        assert secret not in repr(preseed)
    assert installed.read(shown) == preseed
    with pytest.raises(SettingsError) as caught:
        installed.read(hidden)
    assert len(caught.value.problems) == 3


def test_only_what_was_said_is_written(installed):
    assert (
        dump(installed.read(FILE.replace("meet:", "#")))
        == """\
mcloud: 1
cloud:
  name: home
  initiator: n1
  network: 10.10.0.0/24
net:
  gateway: 192.0.2.1/24
  token: "********"
  peers:
    - name: west
      key: "********"
machines:
  n1:
    address: 10.10.0.11
    net:
      underlay: 10.10.2.11
""".replace('"********"', "'********'")
    )


def test_what_a_digest_is_made_of_has_defaults_and_no_secrets(installed):
    made = public(installed.read(FILE))
    assert made["meet"]["code"] is None
    assert made["meet"]["patience"] == "10m"
    assert made["net"]["token"] is None
    assert made["net"]["peers"] == [{"name": "west", "key": None}]
    other = FILE.replace("hunter22", "hunter23").replace("acorn", "adobe")
    assert public(installed.read(other)) == made
    assert public(installed.read(FILE.replace("/24, token", "/24, datapath: kernel, token"))) == made


def test_differences_are_named_by_key(installed):
    mine = public(installed.read(FILE))
    text = FILE.replace("10.10.2.11", "10.10.2.12").replace("name: home", "name: away") + "plain:\n"
    theirs = public(installed.read(text.replace("name: west, key", "name: east, key")))
    assert differences(mine, theirs) == ("cloud.name", "net.peers", "machines.n1.net.underlay", "plain")
    assert differences(mine, mine) == ()


@pytest.mark.parametrize(
    ("given", "seconds", "written"),
    [
        ("10m", 600, "10m"),
        ("90s", 90, "1m30s"),
        (90, 90, "1m30s"),
        ("1d2h", 93600, "1d2h"),
        (0.5, 0.5, "0.5s"),
        ("0s", 0, "0s"),
    ],
)
def test_durations(given, seconds, written):
    adapter = TypeAdapter(Duration)
    made = adapter.validate_python(given)
    assert made.total_seconds() == seconds
    assert adapter.dump_python(made, mode="json") == written


@pytest.mark.parametrize(
    "wrong", ["", "m", "10", "-1s", "1m1h", True, None, "1.5h", float("nan"), float("inf"), -5]
)
def test_what_is_no_duration(wrong):
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(wrong)


def test_a_path_is_written_as_text():
    assert Meet(code_file=PurePosixPath("/root/code")).model_dump(mode="json")["code_file"] == "/root/code"
