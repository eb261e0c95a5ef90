"""Picking with the keyboard: the table is drawn below what is said meanwhile, and gone after."""

import threading
from collections.abc import Callable

from prompt_toolkit.application import Application
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import FormattedTextControl, Layout, Window
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Attrs, Style

from mcloud.cli.output import Output
from mcloud.cli.picking import Picking
from mcloud.cli.picktable import table_lines
from mcloud.cli.terminal import forget_typed, minding_signals, terminal
from mcloud.prompting import Pick

REREAD = 0.25
"""Seconds between two looks at the rows."""
ESCAPE = 0.1
"""Seconds after which Esc is a key of its own, and not the beginning of another."""
MARK = 3
"""Where a row's mark is, behind the `> [`."""
DIM = "dim" if "dim" in Attrs._fields else ""
"""Older versions of prompt_toolkit cannot."""
STYLES = {"question": "bold", "head": "bold", "cursor": "bold", "closed": DIM, "reason": "bold", "foot": DIM}

Taken = tuple[str, ...]


def pick_live(pick: Pick, output: Output) -> tuple[Taken, list[str]]:
    """Let a person pick; return the keys and what their rows are called.

    Ctrl-C is the signal that it is elsewhere, and click.Abort; so is the end of the input. What
    `rows` and `check` raise ends it, too.
    """
    picker = _Picker(pick, output)
    forget_typed(picker.app)
    with minding_signals(picker.app) as begun, output.beside(picker.app.invalidate):
        taken = picker.run(begun)
    return taken, [picker.state.title(key) for key in taken]


class _Picker:
    def __init__(self, pick: Pick, output: Output) -> None:
        self.state = Picking(pick)
        self._output = output
        self._lost: dict[str, str] = {}
        self._news: dict[str, str] = {}
        control = FormattedTextControl(self._text, focusable=True, show_cursor=True)
        self.app: Application[Taken] = Application(
            layout=Layout(Window(control, wrap_lines=False, always_hide_cursor=False)),
            key_bindings=self._keys(),
            style=Style.from_dict({}),
            color_depth=ColorDepth.DEPTH_1_BIT,  # bold and dim need none
            erase_when_done=True,
            before_render=lambda _app: self._before_render(),
            output=terminal(output),
        )
        self.app.ttimeoutlen = ESCAPE

    def run(self, begun: Callable[[], None]) -> Taken:
        over = threading.Event()
        watching = threading.Thread(target=self._watch, args=(over,), name="rows", daemon=True)
        watching.start()
        try:
            return self.app.run(pre_run=begun, set_exception_handler=False, handle_sigint=False)
        finally:
            over.set()
            watching.join(REREAD)

    def _watch(self, over: threading.Event) -> None:
        """Have the table drawn anew when the rows are others; as long as they are not nothing is sent."""
        while not over.wait(REREAD):
            try:
                same = tuple(self.state.pick.rows()) == tuple(self.state.rows)
            except Exception:  # noqa: BLE001 - raised again when it is drawn, and there it ends the picking
                same = False
            if not same:
                self.app.invalidate()

    def _before_render(self) -> None:
        """Print what waits, and look at the rows anew."""
        self._output.catch_up(self.app.renderer.erase)
        self._guarded(self._reread)

    def _reread(self) -> None:
        for said in self.state.reread():
            if said.what == "lost":
                self._lost[said.key] = said.text
            elif said.what != "changed":
                self._news[said.key] = said.text

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do something; what it raises ends the picking, instead of being logged by the loop."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - raised again, where picking began
            if not self.app.is_done:
                self.app.exit(exception=error)

    def _text(self) -> StyleAndTextTuples:
        width, height = self._output.size
        found: StyleAndTextTuples = []
        # What was lost comes first: it may not all fit.
        news = [*self._lost.values(), *self._news.values()]
        for style, line in table_lines(self.state, news, width=width, height=height):
            # The terminal's own cursor is on the mark, for those who follow it.
            at = MARK if style == "cursor" else 0
            found += [("", line[:at]), ("[SetCursorPosition]", "")] if at else []
            found += [(STYLES.get(style, ""), line[at:]), ("", "\n")]
        return found[:-1]

    def _keys(self) -> KeyBindings:
        keys, state = KeyBindings(), self.state

        def on(*names: str | Keys, act: Callable[[KeyPressEvent], None]) -> None:
            for name in names:
                keys.add(name, eager=name == "escape")(lambda event: self._pressed(event, act))

        on("up", "c-p", act=lambda _: state.move(-1))
        on("down", "tab", act=lambda _: state.move(1))
        on("pageup", act=lambda _: state.move(-self._page))
        on("pagedown", act=lambda _: state.move(self._page))
        on("home", act=lambda _: state.move(-len(state.rows)))
        on("end", act=lambda _: state.move(len(state.rows)))
        on(" ", act=lambda _: self._space())
        on("right", "c-a", act=lambda _: None if state.single else state.all())
        on("left", "c-n", act=lambda _: None if state.single else state.none())
        on("backspace", act=lambda _: state.narrow(state.filter[:-1]))
        on("escape", "c-u", act=lambda _: state.narrow(""))
        on("enter", "c-j", act=self._take)
        on("c-c", act=lambda event: event.app.exit(exception=KeyboardInterrupt()))
        on("c-d", act=lambda event: event.app.exit(exception=EOFError()))
        typed = (Keys.Any, Keys.BracketedPaste)
        on(*typed, act=lambda event: state.narrow(state.filter + _printable(event.data)))
        return keys

    def _pressed(self, event: KeyPressEvent, act: Callable[[KeyPressEvent], None]) -> None:
        self._lost.clear()
        self._news.clear()
        if not event.app.is_done:
            self._guarded(lambda: act(event))

    @property
    def _page(self) -> int:
        return max(1, self._output.size[1] // 2)

    def _space(self) -> None:
        if self.state.cursor and not self.state.single:
            self.state.toggle(self.state.cursor)

    def _take(self, event: KeyPressEvent) -> None:
        self._reread()
        taken = self.state.take()
        if taken is not None:
            event.app.exit(result=taken)


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
