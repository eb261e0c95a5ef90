"""Questions and the picker on a terminal: keys, sizes, what is said meanwhile, and no traces after."""

import re
import signal
import sys
import textwrap
import time

import pytest
from terminals import Terminal

UP, DOWN, RIGHT, LEFT, END = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[F"
ESCAPE, ENTER, CTRL_C, CTRL_D = "\x1b", "\r", "\x03", "\x04"
CURSOR_REQUEST = "\x1b[6n"

BEGIN = """
    import os, sys, threading, time
    from mcloud.cli.screen import Screen
    from mcloud.cli.stopping import stoppable
    from mcloud.errors import ServiceError
    from mcloud.prompting import Pick, Row
    from mcloud.secrets import Secrets

    screen = Screen(Secrets(), plain="plain" in sys.argv)
    rows = [Row(key=f"k{n}", cells=(f"n{n}", f"10.10.0.{n}", "7f3a 09bc 55d1 e2f4")) for n in range(1, 6)]

    def pick(**options):
        return screen.pick(Pick(question="Which machines?", columns=("NAME", "ADDRESS", "FINGERPRINT"),
                                rows=lambda: list(rows), **options))
"""


def program(body, *arguments, **options):
    source = textwrap.dedent(BEGIN) + textwrap.dedent(body)
    return Terminal([sys.executable, "-c", source, *arguments], **{"rows": 24, "seconds": 10} | options)


def shows(*parts):
    """Return a condition: every part is in some line of the screen."""
    return lambda screen: all(any(part in line for line in screen) for part in parts)


PICKED = "print('picked', *pick(least=1))"


def opened(body=PICKED, *arguments, **options):
    terminal = program(body, *arguments, **options)
    terminal.until(shows("> [ ] n1", "Enter takes"))
    return terminal


def test_the_keyboard_picks_and_the_table_gives_way_to_what_was_picked():
    terminal = opened()
    terminal.press(f"{DOWN} {DOWN}{DOWN} {END}{UP}{UP}")
    terminal.until(shows("  [x] n2", "> [ ] n3", "  [x] n4", "2 of 5 picked"))
    terminal.press(ENTER)
    assert terminal.end() == 0
    assert terminal.lines == ["Which machines?", "  n2, n4", "picked k2 k4"]
    assert terminal.cursor_shown
    assert CURSOR_REQUEST not in terminal.raw


def test_typing_filters_and_all_and_none_are_about_what_is_shown():
    terminal = opened()
    terminal.press(RIGHT)
    terminal.until(shows("5 of 5 picked"))
    terminal.press("0.3")
    terminal.until(lambda screen: shows('search "0.3"', "> [x] n3")(screen) and not shows("n2")(screen))
    terminal.press(LEFT + "\x7f")
    terminal.until(shows('search "0."', "4 of 5 picked"))
    terminal.press(ESCAPE)
    terminal.until(lambda screen: not shows('search "')(screen))
    terminal.press(ENTER)
    terminal.end()
    assert terminal.lines[-1] == "picked k1 k2 k4 k5"


def test_one_enter_too_many_is_no_answer_to_the_next_table():
    terminal = opened("""
        print('picked', *pick(least=1))
        rows.append(Row(key="k6", cells=("n6", "", "")))
        print('picked', *pick())
    """)
    terminal.press(f" {ENTER}{ENTER}{ENTER}")
    terminal.until(shows("picked k1", "[ ] n6", "0 of 6 picked"))
    terminal.press(f"{END} {ENTER}")
    assert terminal.end() == 0
    assert terminal.lines[-1] == "picked k6"


def test_while_nothing_changes_nothing_is_sent():
    terminal = opened("""
        threading.Thread(target=lambda: (time.sleep(1.2), rows.pop()), daemon=True).start()
        pick()
    """)
    terminal.until(shows("0 of 4 picked"))
    assert terminal.raw.count("\x1b[?25l") <= 4  # an empty frame hides the cursor, too
    terminal.press(ENTER)
    assert terminal.end() == 0


def test_a_reason_is_shown_and_the_table_stays():
    terminal = opened("print('picked', *pick(check=lambda keys: '' if 'k2' in keys else 'n2 is needed'))")
    terminal.press(ENTER)
    terminal.until(shows("n2 is needed", "> [ ] n1"))
    terminal.press(f"{DOWN} {ENTER}")
    terminal.end()
    assert terminal.lines[-1] == "picked k2"


def test_of_one_enter_takes_the_cursors_row():
    terminal = program("print('picked', *pick(least=1, most=1))")
    terminal.until(shows("> n1", "5 to pick from"))
    terminal.press(DOWN + DOWN + ENTER)
    terminal.end()
    assert terminal.lines[-1] == "picked k3"


def test_rows_come_change_and_go_and_cursor_and_marks_stay_with_theirs(tmp_path):
    sign = tmp_path / "sign"
    terminal = opened("""
        def change():
            while not os.path.exists(sys.argv[1]): time.sleep(0.02)
            rows.insert(0, Row(key="k0", cells=("n0", "10.10.0.9", "")))
            del rows[2]
            rows[4] = Row(key="k5", cells=("n5", "10.10.0.5", ""), closed="ceph is missing")
        threading.Thread(target=change, daemon=True).start()
        print('picked', *pick(least=1))
    """, str(sign))  # fmt: skip
    terminal.press(f"{DOWN} {DOWN} {END}")
    terminal.until(shows("[x] n2", "[x] n3", "> [ ] n5"))
    sign.touch()
    terminal.until(
        shows("[ ] n0", "[x] n3", "> [-] n5", "(ceph is missing)", "n2 is gone and no longer picked")
    )
    terminal.press(" ")
    terminal.until(shows("n5 cannot be picked: ceph is missing", "1 of 5 picked"))
    terminal.press(ENTER)
    terminal.end()
    assert terminal.lines[-1] == "picked k3"


def test_what_is_said_meanwhile_stands_above_in_order_and_whole():
    terminal = program("""
        def work(name):
            for number in range(20):
                screen.notice(f"{name} says {number} " + "and so on " * 9 + f"end-{name}-{number}")
                time.sleep(0.01)
            done.append(name)
            if len(done) == 3: rows.append(Row(key="k9", cells=("n9", "all is said", "")))
        done = []
        for name in "abc": threading.Thread(target=work, args=(name,), daemon=True).start()
        print('picked', *pick())
        screen.notice("after it")
    """)
    terminal.until(shows("n9    all is said", "Enter takes"))
    terminal.press(f" {ENTER}")
    assert terminal.end() == 0
    assert terminal.lines[-4:] == ["Which machines?", "  n1", "picked k1", "after it"]
    said = " ".join(" ".join(terminal.lines[:-4]).split())
    places = [
        said.index(f"{name} says {number} {'and so on ' * 9}end-{name}-{number}")
        for name in "abc"
        for number in range(20)
    ]
    assert all(places[20 * n : 20 * n + 20] == sorted(places[20 * n : 20 * n + 20]) for n in range(3))
    assert "picked" not in said


def test_a_small_window_a_larger_one_and_a_small_one_again():
    body = """
        rows += [Row(key=f"k{n}", cells=(f"machine-{n}", f"10.10.0.{n}", "7f3a")) for n in range(6, 51)]
        print('picked', *pick(least=1))
    """
    terminal = program(body, columns=40, rows=10)
    terminal.until(shows("> [ ] n1", "0 of 50 picked, rows 1-3 of 50"))
    terminal.press(END)
    terminal.until(shows("> [ ] machine-50"))
    terminal.resize(columns=80, rows=24)
    terminal.until(shows("rows 34-50 of 50", "> [ ] machine-50  10.10.0.50", "[ ] machine-34"))
    terminal.resize(columns=40, rows=10)
    terminal.until(shows("rows 48-50 of 50", "> [ ] machine-50"))
    assert sum("Which machines?" in line for line in terminal.screen) == 1
    terminal.press(f" {ENTER}")
    assert terminal.end() == 0
    assert terminal.screen[-1] == "picked k50"


@pytest.mark.parametrize("minded", [False, True])
def test_ctrl_c_is_the_same_as_elsewhere_and_the_terminal_as_it_was(minded):
    body = f"""
        try:
            if {minded}:
                with stoppable(screen, lambda: screen.notice("told the others")):
                    try:
                        pick()
                    finally:
                        time.sleep(0.3)
            else:
                pick()
        except KeyboardInterrupt as stopped:
            print("stopped", getattr(stopped, "exit_code", None), flush=True)
        sys.stdin.readline()
    """
    terminal = Terminal(["/bin/cat"], rows=24)
    before = terminal.settings
    terminal.press(CTRL_D)
    terminal.end()
    terminal = opened(body)
    assert terminal.settings != before
    terminal.press(CTRL_C)
    terminal.expect("stopped 130" if minded else "stopped None")
    assert terminal.settings == before
    assert terminal.cursor_shown
    assert not any("[ ]" in line for line in terminal.lines)
    assert any("told the others" in line for line in terminal.lines) == minded
    terminal.type("")
    assert terminal.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_is_open_ends_in_order(number):
    terminal = opened("""
        try:
            with stoppable(screen):
                pick()
        except KeyboardInterrupt as stopped:
            sys.exit(stopped.exit_code)
    """)
    terminal.kill(number)
    assert terminal.end() == 128 + number
    assert not any("[ ]" in line or "Traceback" in line for line in terminal.lines)
    assert terminal.cursor_shown


@pytest.mark.parametrize("minded", [False, True])
def test_a_terminal_that_is_closed_ends_it(minded, tmp_path):
    said = tmp_path / "said"
    terminal = opened(
        f"""
        import pathlib, signal
        said = pathlib.Path(sys.argv[1])
        try:
            if {minded}:
                with stoppable(screen):
                    pick()
            else:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
                pick()
        except BaseException as error:
            name, status = type(error).__name__, getattr(error, "exit_code", "")
            said.with_suffix(".new").write_text(f"{{name}} {{status}}".strip())
            said.with_suffix(".new").rename(said)
        """,
        str(said),
    )
    terminal.close()
    deadline = time.monotonic() + 10
    while not said.exists():
        assert time.monotonic() < deadline, "it did not end"
        time.sleep(0.02)
    assert said.read_text() == ("Stopped 129" if minded else "Abort")


def test_the_end_of_the_input_is_abort_and_what_rows_raise_comes_through():
    terminal = opened("""
        import click
        try: pick()
        except click.Abort: print("abort")
        looks = []
        def failing():
            looks.append(1)
            if len(looks) > 3:
                raise ServiceError("the session is over")
            return rows
        try: screen.pick(Pick(question="?", columns=("A",), rows=failing))
        except ServiceError as error: print("error:", error)
    """)
    terminal.press(CTRL_D)
    assert terminal.end() == 0
    assert terminal.lines == ["abort", "error: the session is over"]


def test_with_no_colour_wanted_there_is_none_and_marks_are_the_same(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = opened()
    terminal.press(f" {ENTER}")
    terminal.end()
    assert not re.search("\x1b\\[[0-9;]*[349][0-9]m", terminal.raw)


# ---- the plain way -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "term"), [(["plain"], "xterm-256color"), ([], "dumb")])
def test_the_plain_way_has_no_escape_codes_and_says_what_comes(arguments, term):
    terminal = program("""
        def come():
            time.sleep(0.5)
            rows.append(Row(key="k6", cells=("n6", "10.10.0.6", "")))
            screen.notice("n6 (10.10.0.6) is here")
        threading.Thread(target=come, daemon=True).start()
        print('picked', *pick(least=1))
    """, *arguments, term=term)  # fmt: skip
    terminal.expect("6 is new: n6, 10.10.0.6\r\n")
    terminal.type("2 6")
    terminal.expect("2 of 6 picked: 2 n2, 6 n6")
    terminal.type("")
    assert terminal.end() == 0
    assert "\x1b" not in terminal.raw
    assert max(map(len, terminal.lines)) < 80
    assert terminal.lines[-1] == "picked k2 k6"


def test_whoever_always_wants_it_plain_says_so_once(monkeypatch):
    monkeypatch.setenv("MCLOUD_PLAIN", "1")
    terminal = program("""
        import click
        from mcloud.cli.common import shown
        @click.command()
        @shown
        def command(screen):
            print("it is", screen.mode)
        command()
    """)
    assert terminal.end() == 0
    assert terminal.raw == "it is plain\r\n"


# ---- lines ---------------------------------------------------------------------------------------------


def test_a_secret_is_not_shown_and_the_terminal_shows_what_is_typed_after():
    terminal = program("""
        print("got", len(screen.ask("The key", secret=True)))
        print("got", screen.ask("The name", default="cloud"))
    """)
    terminal.expect("not shown while you type")
    terminal.type("hunter2-hunter2")
    terminal.expect(r"The name \[cloud\]: ")
    terminal.type("cirrus")
    assert terminal.end() == 0
    assert "hunter2" not in terminal.raw
    assert terminal.lines == [
        "The key (not shown while you type):", "got 15", "The name [cloud]: cirrus", "got cirrus",
    ]  # fmt: skip


def test_ctrl_c_at_a_secret_leaves_the_terminal_as_it_was():
    # Whoever runs the tests in the background may have made us ignore Ctrl-C.
    terminal = program("""
        import signal, termios
        signal.signal(signal.SIGINT, signal.default_int_handler)
        before = termios.tcgetattr(0)
        try: screen.ask("The key", secret=True)
        except KeyboardInterrupt: print("same:", termios.tcgetattr(0) == before)
    """)
    terminal.expect("not shown")
    terminal.interrupt()
    terminal.end()
    assert terminal.lines[-1] == "same: True"


def test_choices_are_offered_and_completed_and_others_are_taken_too():
    terminal = program("""
        for _ in range(2):
            print("got", screen.ask("Uplink", choices=("enp5s0", "enp6s0", "wlan0"), default="enp5s0"))
    """)
    terminal.until(shows("Uplink (enp5s0, enp6s0, wlan0) [enp5s0]:"))
    terminal.press("w\t" + ENTER)
    terminal.expect("got wlan0")
    terminal.until(lambda screen: screen[-1].endswith("[enp5s0]:"))
    terminal.press("eth7" + ENTER)
    terminal.expect("got eth7")
    assert terminal.end() == 0
    assert CURSOR_REQUEST not in terminal.raw


def test_what_is_said_while_one_types_a_choice_does_not_take_what_was_typed():
    terminal = program("""
        threading.Thread(target=lambda: (time.sleep(0.6), screen.notice("n9 is here")), daemon=True).start()
        print("got", screen.ask("Uplink", choices=("enp5s0",)))
    """)
    terminal.until(shows("Uplink (enp5s0):"))
    terminal.press("et")
    terminal.until(lambda screen: screen == ["n9 is here", "Uplink (enp5s0): et"])
    terminal.press("h7" + ENTER)
    assert terminal.end() == 0
    assert terminal.lines[-1] == "got eth7"


def test_yes_and_no_in_words():
    terminal = program("print('got', screen.agree('Set up Ceph?', default=True))")
    terminal.expect(r"Set up Ceph\? \[Y/n\] ")
    terminal.type("perhaps")
    terminal.expect("Please type y or n.")
    terminal.type("NO")
    terminal.end()
    assert terminal.lines[-1] == "got False"
