"""Completing an order by asking: the interview, the checks, and the answers changed until they fit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr

from mcloud.answersfile import network_of, order_from, tree_of
from mcloud.completing import Gather
from mcloud.errors import SettingsError
from mcloud.forms.answering import answer
from mcloud.forms.interview import Interview
from mcloud.forms.questions import questions
from mcloud.forms.shape import is_secret
from mcloud.inputs import Inputs
from mcloud.order import Order
from mcloud.plugins import Plugins
from mcloud.prompting import Prompter
from mcloud.secrets import Secrets
from mcloud.session.code import FOR_A_FILE, make_code

CHANGE_ALL = "Change the answers?"


@dataclass
class Questionnaire:
    """A `Complete`: asks one person all that the services' plugins ask."""

    plugins: Plugins
    known: Secrets
    prompter: Prompter = field(repr=False)
    tell: Callable[[str], None] = lambda _text: None
    """Shows a line that is no question."""
    again: bool = True
    """Whether the person may change answers that the checks refuse."""
    tree: Mapping[str, Any] | None = field(default=None, repr=False)
    """The file's tree of the latest answers, secrets and a new code included; None before there are any."""

    def __call__(self, order: Order, gather: Gather) -> Order:
        """Ask, until plan and checks accept the answers. Raises their SettingsError if not."""
        nodes = gather(replace(order, services=())).nodes
        code = make_code(FOR_A_FILE)
        self.known.add(code)
        interview = Interview(
            nodes=nodes,
            manifests=self.plugins.manifests,
            services=order.services,
            prompter=self.prompter,
            tell=self.tell,
            network=network_of(nodes),
        )
        while True:
            answers = interview.hold()
            self.tree = tree_of(answers, self.plugins, nodes, order, code=code)
            try:
                complete = order_from(self.tree, self.plugins, order)
                for fields in complete.secrets.values():
                    for secret in fields.values():
                        self.known.add(secret)
                gather(complete)
            except SettingsError as error:
                if not self.again:
                    raise
                for reason in error.problems or (str(error),):
                    self.prompter.complain(self.known.mask(reason))
                if not self.prompter.agree(CHANGE_ALL, default=True):
                    raise
            else:
                return complete


def secrets_again(
    inputs: Inputs, plugins: Plugins, prompter: Prompter
) -> Mapping[str, Mapping[str, SecretStr]]:
    """Ask again for the secrets of an unfinished run, by plugin and field: they are never stored."""
    given: dict[str, dict[str, SecretStr]] = {}
    for question in questions(plugins.manifests, inputs.services):
        if question.own or not is_secret(question.info.annotation):
            continue
        prompt = f"{question.ask.prompt} (as before)"
        value = answer(prompter, question.info, prompt, otherwise=question.otherwise)
        if isinstance(value, SecretStr):
            given.setdefault(question.plugin, {})[question.name] = value
    return given
