"""The screen on a terminal: nothing that is printed meanwhile garbles it, and it leaves no traces."""

import signal
import sys
import textwrap

import pytest
from terminals import Terminal

BEGIN = """
    import logging, select, sys, threading, time, warnings
    from mcloud.cli.screen import Screen
    from mcloud.cli.stopping import stoppable
    from mcloud.errors import ServiceError
    from mcloud.secrets import Secrets
    from mcloud.session.protocol import OutlookLine
    from mcloud.watch import Happening

    MACHINES, STEPS = ["n1", "n2", "n3"], ["one", "two", "three"]
    screen = Screen(Secrets())

    def happen(machine, plugin, what, step, seconds=0.0, text=""):
        screen.happened(Happening(machine=machine, plugin=plugin, hook="join", about=machine, step=step,
                                  what=what, seconds=seconds, text=text))

    def plans(machines=MACHINES, services=("ceph", "lxd")):
        return {m: [OutlookLine(key=f"join/{s}/{m}/{m}/{step}", to_do=True)
                    for s in services for step in STEPS]
                for m in machines}
"""


def program(body, **options):
    source = textwrap.dedent(BEGIN) + textwrap.dedent(body)
    return Terminal([sys.executable, "-c", source], **options)


def test_lanes_of_all_machines_are_live_and_gone_at_the_end():
    terminal = program(
        """
        screen.show_plans(plans(), [])
        with screen.running():
            for machine in MACHINES:
                happen(machine, "ceph", "started", "one")
                happen(machine, "ceph", "report", "one", text="half of it")
            happen("n1", "lxd", "done", "one", 2.0)
            print("now")
            sys.stdin.readline()
            screen.notice("something came in between")
            sys.stdin.readline()
        screen.say("the end", type="end")
        """,
        echo=False,
    )
    terminal.expect("now")
    terminal.expect("half of it")
    live = terminal.screen
    assert live[live.index("now") + 1].endswith("s  1 of 18 steps done")
    shown = [line.split()[:3] for line in live if line.startswith("  n") and "/" in line]
    assert shown == [
        [machine, service, "1/3" if (machine, service) == ("n1", "lxd") else "0/3"]
        for machine in ("n1", "n2", "n3")
        for service in ("ceph", "lxd")
    ]
    terminal.type("")
    terminal.expect("something came in between")
    terminal.type("")
    assert terminal.end() == 0
    assert not any("0/3" in line or "steps done" in line for line in terminal.lines)
    assert terminal.lines[-1] == "the end"
    assert terminal.cursor_shown


def test_lines_from_many_threads_logs_and_stray_prints_stay_whole_while_lanes_are_drawn():
    terminal = program("""
        def work(machine):
            for number in range(25):
                happen(machine, "ceph", "started", f"step-{number}")
                screen.notice(f"{machine} says {number} " + "and so on " * 12 + f"end-{machine}-{number}")
                if number % 5 == 0:
                    print(f"stray {machine} {number}")
                    print(f"error {machine} {number}", file=sys.stderr)
                happen(machine, "ceph", "done", f"step-{number}", 0.1)
                time.sleep(0.005)
        with screen.running():
            threads = [threading.Thread(target=work, args=(machine,)) for machine in MACHINES]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        screen.say("the end", type="end")
    """)
    assert terminal.end() == 0
    said = " ".join(" ".join(terminal.lines).split())
    for machine in ("n1", "n2", "n3"):
        for number in range(25):
            assert f"{machine} says {number} {'and so on ' * 12}end-{machine}-{number}" in said
        for number in range(0, 25, 5):
            assert f"stray {machine} {number}" in terminal.lines
            assert f"error {machine} {number}" in terminal.lines
    assert terminal.lines[-1] == "the end"
    assert not any("steps done" in line for line in terminal.lines)


def test_an_enter_too_many_confirms_no_plan():
    terminal = program("""
        screen.ask("The last question")
        print("planning", flush=True)
        select.select([sys.stdin], [], [])  # until the second Enter is there
        print("agreed", screen.confirm([]))
    """)
    terminal.expect("The last question: ")
    terminal.press("\r")
    terminal.expect("planning")
    terminal.press("\r")
    terminal.expect(r"Carry out this plan\? \[Y/n\] ")
    terminal.type("n")
    assert terminal.end() == 0
    assert terminal.lines[-1] == "agreed False"


def test_a_question_stays_below_what_is_said_meanwhile_and_lanes_wait_for_it():
    terminal = program("""
        def others():
            time.sleep(0.3)
            screen.notice("n3 is here")
            happen("n1", "lxd", "started", "one")
        with screen.running():
            happen("n1", "lxd", "started", "one")
            threading.Thread(target=others).start()
            agreed = screen.confirm(["all on n1:/dev/sdb"])
        screen.say(f"agreed: {agreed}", type="end")
    """)
    question = "Carry out this plan, and lose what is named above for good? [y/N]"
    terminal.expect(r"\[y/N\] ")
    terminal.expect("n3 is here")
    terminal.expect(r"\[y/N\] ")
    assert terminal.lines == ["n3 is here", question]
    terminal.type("what?")
    terminal.expect(r"\[y/N\] ")
    terminal.type("yes")
    assert terminal.end() == 0
    assert terminal.lines[-1] == "agreed: True"


def _fits_with_a_word_on_the_rest(shown):
    lanes = [line for line in shown if line.startswith("  machine-")]
    return len(lanes) >= 8 and any(line.startswith("... and ") for line in shown[-2:])


def test_a_small_terminal_is_never_overrun():
    terminal = program(
        """
        machines = [f"machine-{number}" for number in range(1, 31)]
        screen.show_plans(plans(machines), [])
        with screen.running():
            for machine in machines:
                happen(machine, "ceph", "started", "a-step-with-a-long-name-that-does-not-fit")
            print("now")
            sys.stdin.readline()
        """,
        columns=40,
        rows=12,
        echo=False,
    )
    terminal.expect("now")
    terminal.until(_fits_with_a_word_on_the_rest)
    terminal.type("")
    assert terminal.end() == 0
    assert not any("steps done" in line for line in terminal.lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_tells_and_ends_in_order_and_the_cursor_is_back(number):
    terminal = program("""
        try:
            with stoppable(screen, lambda: screen.notice("told the others")), screen.running():
                happen("n1", "lxd", "started", "one")
                try:
                    while True: time.sleep(1)
                finally:
                    time.sleep(0.5)
                    screen.notice("the step in hand has ended")
        except KeyboardInterrupt as stopped:
            sys.exit(stopped.exit_code)
    """)
    terminal.expect("steps done")
    terminal.kill(number)
    assert terminal.end() == 128 + number
    assert terminal.lines == [
        "stopping: what is in hand comes to its end (once more stops at once)",
        "told the others",
        "the step in hand has ended",
    ]
    assert terminal.cursor_shown


def test_the_second_ctrl_c_ends_it_on_the_spot():
    terminal = program("""
        with stoppable(screen), screen.running():
            happen("n1", "lxd", "started", "one")
            try:
                while True: time.sleep(1)
            finally:
                time.sleep(60)
    """)
    terminal.expect("steps done")
    terminal.interrupt()
    terminal.expect("once more stops at once")
    terminal.interrupt()
    assert terminal.end() == 130
    assert terminal.cursor_shown


def test_a_dumb_terminal_and_plain_get_lines():
    body = """
        screen.say("it is " + screen.mode, type="end")
    """
    dumb = program(body, term="dumb")
    assert dumb.end() == 0
    assert dumb.raw == "it is plain\r\n"
