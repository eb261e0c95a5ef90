"""What `mcloud init` asks before machines meet."""

import pytest

from mcloud import Manifest, McloudError, ServiceState, SettingsError, hookimpl
from mcloud.cli.beginning import OTHERS, WHICH_ADDRESS, joiners_wanted, own_address_asked, services_asked
from mcloud.forms.defaults import Defaults
from mcloud.here import Here
from mcloud.model import Nic, Survey
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.testing import FakeHost, Scripted


class Service:
    def __init__(self, *, installed):
        self.installed = installed

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="Serves")

    @hookimpl
    def inspect(self):
        return ServiceState(installed=self.installed)

    @hookimpl
    def join(self):
        return ()


@pytest.fixture
def here():
    plugins = Plugins.of(one=Service(installed=True), two=Service(installed=False))
    return Here(plugins=plugins, host=FakeHost(name="n1"), known=Secrets())


def nics(*addresses):
    return Survey(nics=tuple(Nic(name=f"eth{at}", addresses=own) for at, own in enumerate(addresses)))


@pytest.fixture
def surveyed(monkeypatch):
    """Return a function that says what this machine's interfaces are."""

    def say(*addresses):
        monkeypatch.setattr("mcloud.cli.beginning.survey", lambda _host: nics(*addresses))

    return say


def test_of_several_interfaces_a_person_picks_the_address(here, surveyed):
    surveyed(("10.0.0.1/24", "fe80::1/64"), ("10.1.0.1/24", "2001:db8::1/64"))
    person = Scripted(["10.1.0.1"])
    assert own_address_asked(here, person, None) == "10.1.0.1"
    assert [row.cells for row in person.picks[WHICH_ADDRESS]] == [
        ("10.0.0.1/24", "eth0"),
        ("10.1.0.1/24", "eth1"),
        ("2001:db8::1/64", "eth1"),
    ]


def test_one_interface_needs_no_question_and_a_given_address_neither(here, surveyed):
    surveyed(("10.0.0.1/24",), ())
    assert own_address_asked(here, Scripted(), None) == "10.0.0.1"
    surveyed(("10.0.0.1/24",), ("10.1.0.1/24",))
    assert own_address_asked(here, Scripted(), "10.1.0.1") == "10.1.0.1"
    with pytest.raises(SettingsError, match="has no address"):
        own_address_asked(here, Scripted(), "10.9.9.9")


def test_without_a_person_several_addresses_are_an_error_that_names_the_option(here, surveyed):
    surveyed(("10.0.0.1/24",), ("10.1.0.1/24",))
    with pytest.raises(SettingsError) as caught:
        own_address_asked(here, Defaults(), None)
    assert "--address" in caught.value.hint


def test_a_missing_service_is_asked_about_once(here):
    person = Scripted(["yes"])
    assert services_asked(here, person, ()) == ("one",)
    assert person.asked == ["Not installed here: two. Go on without?"]
    with pytest.raises(McloudError, match="nothing was changed") as caught:
        services_asked(here, Scripted(["no"]), ())
    assert "--install" in caught.value.hint
    assert services_asked(here, Scripted(), ("two",)) == ("two",)
    assert services_asked(here, Defaults(), ()) == ("one",)


def test_where_no_service_is_installed_there_is_no_cloud():
    bare = Here(plugins=Plugins.of(two=Service(installed=False)), host=FakeHost(name="n1"), known=Secrets())
    with pytest.raises(SettingsError, match="no service is installed here, of two"):
        services_asked(bare, Scripted(), ())


def test_others_join_unless_somebody_says_no():
    assert joiners_wanted(Scripted([""]))
    assert not joiners_wanted(Scripted({OTHERS: "no"}))
