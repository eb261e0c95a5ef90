"""One line of an answer, with the offered answers completed by Tab."""

from collections.abc import Iterable, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import DummyHistory
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.shortcuts import CompleteStyle

from mcloud.cli.output import Output
from mcloud.cli.terminal import minding_signals, terminal


class _Offered(Completer):
    """Completes what stands behind the last comma: some answers are lists."""

    def __init__(self, choices: Sequence[str]) -> None:
        self._choices = choices

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002 - the library's
    ) -> Iterable[Completion]:
        """Yield the choices that begin so."""
        begun = document.text_before_cursor.rpartition(",")[2].lstrip()
        for choice in self._choices:
            if choice.casefold().startswith(begun.casefold()):
                yield Completion(choice, start_position=-len(begun))


def ask_completed(question: str, choices: Sequence[str], output: Output) -> str:
    """Return what was typed. Raises as `pick_live` does."""
    session: PromptSession[str] = PromptSession(
        completer=_Offered(choices),
        complete_style=CompleteStyle.READLINE_LIKE,
        complete_while_typing=False,
        history=DummyHistory(),
        enable_system_prompt=False,
        enable_suspend=False,
        color_depth=ColorDepth.DEPTH_1_BIT,
        output=terminal(output),
    )
    session.app.before_render += lambda app: output.catch_up(app.renderer.erase)
    with minding_signals(session.app) as begun, output.beside(session.app.invalidate):
        said = session.prompt(question, pre_run=begun, set_exception_handler=False, handle_sigint=False)
    return said.strip()
