import json
import re

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from pydantic import Field

from mcloud.cli.example import example as example_command
from mcloud.cli.schema import schema as schema_command
from mcloud.forms import example, read, schema
from mcloud.forms.document import parse
from mcloud.model import Manifest, Settings
from mcloud.plugins import Plugins

FILE = """\
mcloud: 1
cloud: {name: home, initiator: n1, network: 10.10.0.0/24}
meet: {patience: 90s}
net: {gateway: 192.0.2.1/24}
storage:
each:
  net: {uplink: eth2}
  storage: {journal: {size: 1}, disks: [/dev/sdb, {path: /dev/sdc, wipe: true}]}
machines:
  n1: {address: 10.10.0.11, net: {underlay: 10.10.2.11}, storage: {journal: {path: /dev/sdd}}}
"""


@pytest.fixture(scope="module")
def valid(installed):
    found = schema(installed.manifests, services=installed.services)
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found)


def test_the_schema_is_the_one_we_know(installed, golden):
    found = schema(installed.manifests, services=installed.services)
    golden("forms.schema.json", json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def test_the_example_is_the_one_we_know(installed, golden):
    golden("forms.example.yaml", example(installed.manifests, services=installed.services))


def test_the_example_reads_and_fits_the_schema(installed, valid):
    text = example(installed.manifests, services=installed.services)
    assert installed.read(text).services == ("net", "plain", "storage")
    valid.validate(parse(text, "f").tree)


def test_the_example_with_every_comment_taken_away_reads_too(installed):
    text = example(installed.manifests, services=installed.services)
    text = re.sub(r"(?m)^( *)#(?=[a-z_]+:)", r"\1", text)
    text = re.sub(r"(?m)^ *(code|code_file|token):.*\n", "", text)  # one of two; secrets have no example
    made = installed.read(text)
    assert made.settings("net").first is not None
    assert made.node_settings("storage")["n1"].disks


def test_what_reads_fits_the_schema(installed, valid):
    installed.read(FILE)
    valid.validate(parse(FILE, "f").tree)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mcloud: 1", "mcloud: 2"),
        ("storage:\n", "storage:\nstorege:\n"),
        ("patience: 90s", "patience: soon"),
        ("patience", "patients"),
        ("uplink: eth2", "uplnk: eth2"),
        ("gateway: 192.0.2.1/24", ""),
        ("address: 10.10.0.11, ", ""),
        ("n1: {address", "N_1: {address"),
        ("path: /dev/sdc, wipe", "wipe"),
        ("size: 1", "sise: 1"),
    ],
)
def test_what_does_not_read_does_not_fit_the_schema(installed, valid, old, new):
    assert old in FILE
    text = FILE.replace(old, new)
    assert installed.problems(text)
    with pytest.raises(ValidationError):
        valid.validate(parse(text, "f").tree)


def test_a_field_without_an_example_still_makes_an_example_that_reads(installed):
    class Inner(Settings):
        word: str = Field(description="Word")

    class Careless(Settings):
        name: str = Field(description="Name")
        inner: Inner = Field(description="Inner")
        many: tuple[int, ...] = Field(description="Many")

    manifests = {"careless": Manifest(api=1, summary="x", settings=Careless)}
    text = example(manifests, services={"careless"})
    assert "name: CHANGE-ME" in text
    assert type(installed)(manifests, {"careless"}).read(text).services == ("careless",)


def test_a_model_is_shown_with_what_it_needs_though_its_default_is_none(installed):
    class Disk(Settings):
        path: str = Field(description="Path", examples=["/dev/sdb"])
        wipe: bool = Field(default=False, description="Wipe")

    class Kept(Settings):
        disk: Disk | None = Field(default=None, description="Disk")

    text = example({"keeper": Manifest(api=1, summary="x", settings=Kept)}, services={"keeper"})
    assert "  #disk: {path: /dev/sdb}\n" in text


def test_the_schema_with_our_own_plugins_is_the_one_in_git(golden):
    """Settings are an interface: who changes them sees it here, and writes the file anew."""
    plugins = Plugins.load()
    ours = {name: plugins.manifests[name] for name in ("ceph", "lxd", "ovn", "static", "words")}
    found = schema(ours, services=set(plugins.services) & ours.keys())
    golden("cloud.schema.json", json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def test_the_example_with_our_own_plugins_reads():
    plugins = Plugins.load()
    text = example(plugins.manifests, services=plugins.services)
    made = read(text, "example", plugins.manifests, services=plugins.services)
    assert set(made.services) >= {"ceph", "lxd", "ovn"}


def test_the_commands_print_what_the_plugins_installed_here_make():
    printed = CliRunner().invoke(schema_command)
    assert printed.exit_code == 0
    Draft202012Validator.check_schema(json.loads(printed.output))
    printed = CliRunner().invoke(example_command, ["--without", "ovn"])
    assert "ovn:" not in printed.output
    assert "ceph:" in printed.output
    assert printed.exit_code == 0
    assert parse(printed.output, "f").tree["mcloud"] == 1
