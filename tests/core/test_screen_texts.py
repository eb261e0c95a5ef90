"""Texts of the screen: plans, checks, errors and lines, as people read them."""

from mcloud.cli.failing import error_fields, error_lines, spoken
from mcloud.cli.lines import clean, step_line, wrapped
from mcloud.cli.plans import check_lines, loss_lines, work_lines
from mcloud.errors import RunFailed, ServiceError, SettingsError
from mcloud.model import Check
from mcloud.session.protocol import OutlookLine
from mcloud.watch import Happening


def plan(machine, *keys, there=(), destroys=None):
    destroys = destroys or {}
    return [
        OutlookLine(
            key=key.replace("@", machine), to_do=key not in there, destroys=tuple(destroys.get(key, ()))
        )
        for key in keys
    ]


def text(lines):
    return "\n".join(line for line, _style in lines)


def test_a_plan_names_the_steps_of_each_service_and_no_step_of_the_core():
    plans = {
        "n1": plan(
            "n1",
            "bootstrap/lxd/@/@/cluster",
            "issue_token/lxd/@/n2/token",
            "issue_token/lxd/@/n3/token",
            "configure/ceph/@/@/pool",
            "close/core/@/@/record",
        )
    }
    assert text(work_lines(plans)) == "Plan\n  n1\n    lxd   cluster, token for n2 n3\n    ceph  pool"


def test_machines_of_the_same_plan_are_shown_once():
    plans = {name: plan(name, "join/lxd/@/@/member") for name in ("n2", "n3", "n4")}
    assert text(work_lines(plans)) == "Plan\n  n2, n3, n4\n    lxd  member"


def test_a_plan_of_fifty_machines_says_first_what_they_have_in_common():
    names = [f"n{number}" for number in range(1, 51)]
    plans = {
        name: plan(
            name,
            *(
                ["bootstrap/lxd/@/@/cluster", *(f"issue_token/lxd/@/{other}/token" for other in names[1:])]
                if name == "n1"
                else ["join/lxd/@/@/member"]
            ),
            "join/ceph/@/@/monitor",
            "join/ovn/@/@/package",
            f"join/ceph/@/@/osd-disk-of-{name}",
            there=("join/ovn/@/@/package",),
        )
        for name in names
    }
    said = text(work_lines(plans)).splitlines()
    assert said[:9] == [
        "Plan",
        "  all 50 machines",
        "    ceph  monitor",
        "    ovn   (1 there already)",
        "  all 50 machines but n1",
        "    lxd  member",
        "  n1",
        "    lxd   cluster, token for 49 machines",
        "    ceph  osd-disk-of-n1",
    ]
    assert said[9:] == [f"  {name}  ceph  osd-disk-of-{name}" for name in names[1:]]
    everything = " ".join(said)
    assert all(f"osd-disk-of-{name}" in everything for name in names)


def test_losses_are_named_one_by_one_however_many_and_alike_they_are():
    names = [f"n{number}" for number in range(1, 51)]
    osd = "join/ceph/@/@/osd-sdb"
    plans = {name: plan(name, osd, destroys={osd: ["all on /dev/sdb"]}) for name in names}
    assert [line for line, _style in loss_lines(plans)] == [
        f"DESTROYS FOR GOOD on {name}: all on /dev/sdb" for name in names
    ]
    assert text(work_lines(plans)) == "Plan\n  all 50 machines\n    ceph  osd-sdb"


def test_what_is_there_already_is_counted_not_listed():
    plans = {"n1": plan("n1", "join/lxd/@/@/a", "join/lxd/@/@/b", there=("join/lxd/@/@/a",))}
    assert text(work_lines(plans)).endswith("lxd  b (1 there already)")
    plans = {"n1": plan("n1", "join/lxd/@/@/a", there=("join/lxd/@/@/a",))}
    assert text(work_lines(plans)).endswith("lxd  (1 there already)")


def test_losses_name_the_machine_and_only_what_will_be_done():
    osd = "join/ceph/@/@/osd-sdb"
    plans = {
        "n1": plan("n1", osd, destroys={osd: ["all on /dev/sdb (ext4)"]}),
        "n2": plan("n2", osd, there=(osd,), destroys={osd: ["all on /dev/sdb"]}),
    }
    assert loss_lines(plans) == [("DESTROYS FOR GOOD on n1: all on /dev/sdb (ext4)", "bold red")]


def test_checks_show_errors_first_and_leave_out_what_is_well():
    checks = [
        Check(level="ok", message="fine"),
        Check(level="warning", message="no quotas", hint="give a disk", machine="n2"),
        Check(level="error", message="in use"),
    ]
    assert text(check_lines(checks)) == "ERROR  in use\nWARNING  n2: no quotas\n         give a disk"


def test_alike_checks_of_several_machines_are_one():
    checks = [
        Check(level="warning", message="no quotas", hint="give a disk", machine=f"n{n}") for n in range(3)
    ]
    few = [*checks, Check(level="warning", message="another", machine="n1")]
    assert text(check_lines(few)) == (
        "WARNING  n0, n1, n2: no quotas\n         give a disk\nWARNING  n1: another"
    )
    many = [Check(level="warning", message="no quotas", machine=f"n{n}") for n in range(50)]
    assert text(check_lines(many)).startswith("WARNING  50 machines (n0, n1, ")


def test_keys_of_steps_are_spoken():
    assert spoken("join/ceph/n3/n3/osd-sdb: no space; issue_token/lxd/n1/n2/token: late") == (
        "n3 ceph osd-sdb: no space; n1 lxd token for n2: late"
    )
    assert spoken("see /var/lib/lxd/logs/n1/lxd.log") == "see /var/lib/lxd/logs/n1/lxd.log"


def test_an_error_shows_all_that_is_inside_with_step_and_hint():
    one, other = ServiceError("no space", hint="add a disk"), ValueError("strange\nsecond line")
    one.add_note("join/ceph/n3/n3/osd-sdb")
    group = RunFailed("2 steps failed", [one, ExceptionGroup("deep", [other])], hint="again")
    assert error_lines(group) == [
        "Error: 2 steps failed",
        "  n3 ceph osd-sdb: no space",
        "    add a disk",
        "  ValueError: strange",
        "    second line",
        "Hint: again",
    ]
    fields = error_fields(group)
    assert fields["exit_code"] == 6
    assert fields["inside"][0] == {
        "step": "join/ceph/n3/n3/osd-sdb",
        "message": "no space",
        "hint": "add a disk",
    }


def test_every_problem_of_a_file_is_a_line():
    error = SettingsError("f.yaml has 2 mistakes", problems=["f.yaml:3 a: no", "f.yaml:9 b: no"])
    assert error_lines(error) == ["Error: f.yaml has 2 mistakes", "  f.yaml:3 a: no", "  f.yaml:9 b: no"]


def test_a_step_is_a_line_with_machine_service_step_and_time():
    done = Happening(
        machine="n1", plugin="lxd", hook="issue_token", about="n2", step="token", what="done", seconds=1.25
    )
    assert step_line(done) == "n1  lxd    token for n2  done (1.2 s)"


def test_control_characters_never_pass():
    assert clean("a\x1b[2Jb\rc\x07d\u202ee\nf\tg") == "ab c d e\nf       g"
    assert clean("\x1b[\x1b[31m2J\x1b") == " [2J ", "what is left of one sequence makes no other"


def test_lines_are_wrapped_below_their_text_and_words_stay_whole():
    line = "WARNING  " + "word " * 30 + "/a/path/that/is/longer/than/the/line/is/wide/and/stays/whole"
    found = wrapped(line, 50).split("\n")
    assert all(part.startswith(" " * 9 + "word") or part.strip().startswith("/a") for part in found[1:])
    assert "/a/path/that/is/longer/than/the/line/is/wide/and/stays/whole" in found[-1]
    assert wrapped("short\n\nlines", 50) == "short\n\nlines"


def test_what_is_wrapped_of_a_loss_or_a_notice_is_seen_to_belong_to_it():
    loss = "DESTROYS FOR GOOD on a-machine-with-a-long-name: all on /dev/disk/by-id/wwn-0x5000c5001234"
    assert wrapped(loss, 60).split("\n") == [
        "DESTROYS FOR GOOD on a-machine-with-a-long-name: all on",
        "         /dev/disk/by-id/wwn-0x5000c5001234",
    ]
    assert wrapped("LOST FOR GOOD on n1: " + "all " * 9, 50).split("\n")[1].startswith("     all")
    assert wrapped("word " * 12, 50, hang=2).split("\n")[1] == "  word word"
    assert wrapped("  " + "word " * 12, 50, hang=4).split("\n")[1].startswith("    word")
