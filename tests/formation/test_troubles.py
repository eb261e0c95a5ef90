"""What goes wrong between machines: wrong codes, broken connections, failing joiners, people who leave."""

import pytest

from mcloud import errors
from mcloud.session.transport import ConnectionLost

# ---- the code ------------------------------------------------------------------------------------------


def test_a_wrong_code_and_then_the_right_one(make_cloud):
    cloud = make_cloud(3)
    cloud["n2"].codes = ["wrong words these are"]
    cloud.form().good()
    assert any("gave a wrong code" in said for said in cloud["n1"].person.notices)
    assert any("the code is wrong" in said for said in cloud["n2"].person.notices)
    assert not any("the code is wrong" in said for said in cloud["n3"].person.notices)


def test_the_code_in_other_letters_and_blanks_is_the_right_one(make_cloud):
    cloud = make_cloud(2)
    cloud["n2"].codes = ["  Acorn-BLIMP  crisp dove "]
    cloud.form().good()


def test_a_code_that_stays_wrong_ends_the_joiner_and_not_the_session(make_cloud):
    cloud = make_cloud(2)
    cloud["n2"].codes = ["wrong words these are"] * 4
    outcome = cloud.form()
    # The fourth try with the same words is not made; then the right ones are typed.
    outcome.good()
    assert sum("gave a wrong code" in said for said in cloud["n1"].person.notices) == 1
    assert any("failed too often" in said for said in cloud["n2"].person.notices)


# ---- connections ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ("ask", "started"),
        ("ask", "done"),
        ("token", "waiting"),
        ("enter", "started"),
        ("brick", "done"),
        ("adapt", "started"),
        ("record", "started"),
    ],
)
@pytest.mark.parametrize("who", ["n1", "n2"])
def test_a_connection_that_breaks_at_any_moment_is_made_anew(make_cloud, deeds, step, what, who):
    broken = []

    def on_happening(machine, happening):
        if (machine, happening.machine, happening.step, happening.what) == (
            who,
            "n2",
            step,
            what,
        ) and not broken:
            broken.append(machine)
            cloud.drop("n1", "n2")

    cloud = make_cloud(2, on_happening=on_happening)
    cloud.form().good()
    assert broken == [who]
    assert set(deeds.values()) == {1}
    assert cloud["n2"].cloud == cloud["n1"].cloud


def test_a_step_in_hand_goes_on_while_the_connection_is_cut(make_cloud):
    """The joiner works on alone, and tells what came of it when it is heard again."""

    def on_happening(machine, happening):
        if (machine, happening.step, happening.what) == ("n2", "enter", "started"):
            cloud.cut("n1", "n2")
        if (machine, happening.step, happening.what) == ("n2", "brick", "done"):
            cloud.mend("n1", "n2")

    cloud = make_cloud(2, on_happening=on_happening)
    cloud.form().good()
    assert any("n1 is away" in said for said in cloud["n2"].person.notices)


def test_a_connection_that_stays_cut_ends_the_joiner_and_cuts_it_from_the_roster(make_cloud):
    def on_happening(machine, happening):
        if (machine, happening.machine, happening.step, happening.what) == ("n1", "n3", "ask", "done"):
            cloud.cut("n1", "n3")

    cloud = make_cloud(3, patience=0.7, on_happening=on_happening)
    outcome = cloud.form()
    assert set(outcome.failures) == {"n3"}
    assert isinstance(outcome.failures["n3"], ConnectionLost)
    assert [member["name"] for member in outcome.cloud["members"]] == ["n1", "n2"]


# ---- failures ------------------------------------------------------------------------------------------


def test_the_others_go_on_when_one_fails(make_cloud, store, compute, failing, files):
    cloud = make_cloud(3, plugins={"store": store, "compute": compute, "failing": failing("n3")})
    outcome = cloud.form()
    assert set(outcome.failures) == {"n3"}
    failure = outcome.failures["n3"]
    assert isinstance(failure, errors.RunFailed)
    assert [str(inside) for inside in failure.exceptions] == ["the disk is on fire"]
    assert [member["name"] for member in outcome.cloud["members"]] == ["n1", "n2"]
    assert files(cloud["n2"])["/compute/members"] == "n1,n2"
    assert files(cloud["n1"])["/store/pool"] == "n1,n2"
    assert cloud["n1"].lines().count(("cut", "")) == 1
    assert "n3 is out: join/failing/n3/n3/try: the disk is on fire" in cloud["n1"].person.notices


def test_all_stop_when_one_fails_if_that_is_wanted(make_cloud, store, compute, failing):
    service = failing("n3")
    cloud = make_cloud(3, plugins={"store": store, "compute": compute, "failing": service}, others="stop")
    outcome = cloud.form()
    assert set(outcome.failures) == {"n1", "n2", "n3"}
    assert "n3 failed: join/failing/n3/n3/try: the disk is on fire" in str(
        outcome.failures["n1"].exceptions[0]
    )
    assert "gave up" in str(outcome.failures["n2"])
    assert "`mcloud undo`" in outcome.failures["n2"].hint
    assert all(machine.cloud is None for machine in cloud.machines.values())
    service.fails = False
    cloud.form().good()


def test_a_failure_of_the_initiator_is_told_to_all(make_cloud, store, compute, failing):
    service = failing("n1")
    cloud = make_cloud(2, plugins={"store": store, "compute": compute, "failing": service})
    outcome = cloud.form()
    assert isinstance(outcome.failures["n1"], errors.RunFailed)
    assert "n1 gave up" in str(outcome.failures["n2"])
    service.fails = False
    cloud.form().good()


def test_a_failure_after_all_are_in_does_not_lose_the_others(make_cloud, store, compute, failing):
    service = failing("n2", stage="adapt")
    cloud = make_cloud(3, plugins={"store": store, "compute": compute, "failing": service})
    outcome = cloud.form()
    assert set(outcome.failures) == {"n2"}
    assert cloud["n3"].cloud == cloud["n1"].cloud


def test_when_all_joiners_fail_the_initiator_has_a_cloud_of_its_own(make_cloud, failing, compute):
    outcome = make_cloud(2, plugins={"compute": compute, "failing": failing("n2")}).form()
    assert [member["name"] for member in outcome.cloud["members"]] == ["n1"]


# ---- people --------------------------------------------------------------------------------------------


def test_an_initiator_waits_for_machines_that_are_expected(make_cloud):
    cloud = make_cloud(3, patience=1.5)
    outcome = cloud.form(without=["n3"])
    assert isinstance(outcome.failures["n1"], errors.DiscoveryError)
    assert "n3 did not come" in str(outcome.failures["n1"])
    assert "n3 did not come" in str(outcome.failures["n2"])


def test_a_joiner_alone_says_that_nobody_is_there(make_cloud):
    outcome = make_cloud(2, patience=0.3).form(without=["n1"])
    assert isinstance(outcome.failures["n2"], errors.DiscoveryError)


def test_a_machine_that_is_not_on_the_list_is_refused(make_cloud, deeds):
    cloud = make_cloud(3, roster=["n1", "n2"])
    outcome = cloud.form()
    assert [member["name"] for member in outcome.cloud["members"]] == ["n1", "n2"]
    assert {name for name, _path in deeds} == {"n1", "n2"}
    if "n3" in cloud.story().partition("n2 (127.0.0.1) is here")[0]:
        assert "did not pick this machine" in str(outcome.failures["n3"])
