"""All questions of all plugins, to all machines at once, in an order that reads well."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcloud.forms.answering import UNSAID, answer
from mcloud.forms.answers import Answers
from mcloud.forms.ask import SoFar, Topic
from mcloud.forms.questions import Question, misfits, questions
from mcloud.forms.tables import Table
from mcloud.model import Manifest, Node
from mcloud.prompting import Prompter

CHANGE = "Change this answer?"
DOUBTS = frozenset({CHANGE})
"""Questions to which whoever wants no questions says no."""


@dataclass
class Interview:
    """Asks one person about one cloud; asked again, the former answers are the defaults."""

    nodes: Sequence[Node]
    manifests: Mapping[str, Manifest]
    services: Sequence[str]
    prompter: Prompter
    tell: Callable[[str], None] = lambda _text: None
    """Shows a line that is no question."""
    network: str = ""
    answers: Answers = field(default_factory=Answers)
    former: Answers = field(default_factory=Answers)
    _taken: dict[str, dict[tuple[str, str], str]] = field(default_factory=dict)
    _topic: Topic | None = None
    _answered: set[str] = field(default_factory=set)
    """Questions that were put in this round; only these have former answers in the next."""
    _before: set[str] = field(default_factory=set)

    def hold(self) -> Answers:
        """Ask everything; return the answers, each of which fits by itself and with those of its plugin."""
        self.former, self.answers = self.answers, Answers(services=tuple(self.services))
        self._before, self._answered = self._answered, set()
        self._taken, self._topic = {}, None
        for question in questions(self.manifests, self.services):
            self._put(question)
        while wrong := [one for one in self._unfit() if one.plugin in self.answers.services]:
            self.former, self._before = self.answers, set(self._answered)
            for question in wrong:
                self._put(question)
        return self.answers

    # ---- one question ---------------------------------------------------------------------------------

    def _put(self, question: Question) -> None:
        plugin, ask = question.plugin, question.ask
        if plugin not in self.answers.services:
            return
        if ask.when is None or ask.when(self._so_far(plugin)):
            former = self._former(question)
            self._answered.add(_place(question))
            while True:
                self._keep(question, self._asked(question, former))
                doubt = ask.doubt(self._so_far(plugin)) if ask.doubt else ""
                if not doubt:
                    break
                self.tell(doubt)
                if not self.prompter.agree(CHANGE, default=True, otherwise=question.otherwise):
                    break
                former = self._said(question, self.answers)
        else:
            self._keep(question, {})
        so_far = self._so_far(plugin)
        if ask.remark and (remark := ask.remark(so_far)):
            self.tell(remark)
        if ask.drops and (why := ask.drops(so_far)):
            self.tell(why)
            self.answers.services = tuple(name for name in self.answers.services if name != plugin)

    def _asked(self, question: Question, former: Mapping[str | None, Any]) -> Mapping[str | None, Any]:
        """Return the answer by machine, None for the cloud."""
        if not question.own:
            self._heading(question.ask.topic)
            return {None: self._one(question, [None], former, question.ask.prompt)}
        if question.ask.choices is not None:
            return self._table(question, former)
        self._heading(question.ask.topic)
        names = self._names
        said = [former.get(name, UNSAID) for name in names]
        alike = all(one == said[0] for one in said)
        if len(names) == 1 or self.prompter.agree(
            f"{question.ask.prompt}: the same for all machines?", default=alike, otherwise=question.otherwise
        ):
            value = self._one(question, names, former, question.ask.prompt)
            return dict.fromkeys(names, value)
        return {
            name: self._one(question, [name], former, f"{question.ask.prompt}, on {name}") for name in names
        }

    def _one(
        self,
        question: Question,
        machines: Sequence[str | None],
        former: Mapping[str | None, Any],
        prompt: str,
    ) -> Any:
        ask, so_far = question.ask, self._so_far(question.plugin)
        default = former.get(machines[0], UNSAID)
        if default is UNSAID and not former and ask.default:
            computed = ask.default(so_far)
            default = UNSAID if computed is None else computed

        def fits(value: Any) -> str:
            return self._check(question, dict.fromkeys(machines, value))

        return answer(
            self.prompter,
            question.info,
            prompt,
            default=default,
            suggestions=ask.suggestions(so_far) if ask.suggestions else (),
            fits=fits,
            otherwise=question.otherwise,
        )

    def _table(self, question: Question, former: Mapping[str | None, Any]) -> Mapping[str | None, Any]:
        self._taken.pop(_place(question), None)
        table = Table(
            prompter=self.prompter,
            nodes=self.nodes,
            info=question.info,
            ask=question.ask,
            taken={key: role for taken in self._taken.values() for key, role in taken.items()},
            fits=lambda values: self._check(
                question, {name: values.get(str(name), UNSAID) for name in self._places(question)}
            ),
            former={str(name): value for name, value in former.items() if value is not UNSAID}
            if former
            else None,
            otherwise=question.otherwise,
        )
        if not table.open:
            self.tell(f"{question.ask.prompt.rstrip('?')}: nothing can be picked ({table.why_closed()})")
            return {}
        self._heading(question.ask.topic)
        values = table.put()
        role = question.ask.role or question.plugin
        self._taken[_place(question)] = dict.fromkeys(table.resources(values), role)
        return {name: values.get(name, UNSAID) for name in self._names}

    def _heading(self, topic: Topic) -> None:
        if topic is not self._topic:
            self._topic = topic
            self.prompter.heading(topic.value)

    @property
    def _names(self) -> list[str]:
        return [node.name for node in self.nodes]

    # ---- what was said --------------------------------------------------------------------------------

    def _so_far(self, plugin: str, answers: Answers | None = None) -> SoFar:
        known = answers or self.answers
        return SoFar(
            nodes=self.nodes,
            network=self.network,
            settings=known.wide.get(plugin, {}),
            node_settings=known.own.get(plugin, {}),
        )

    def _check(self, question: Question, values: Mapping[Any, Any]) -> str:
        """Ask the plugin whether an answer fits, as if it was given already."""
        if question.ask.check is None:
            return ""
        plugin, before = question.plugin, self.answers
        wide, own = dict(before.wide.get(plugin, {})), before.own.get(plugin, {})
        tried = Answers(before.services, {plugin: wide}, {plugin: {name: {**own[name]} for name in own}})
        for machine, value in values.items():
            _set(tried.of(plugin, machine), question.name, value)
        return question.ask.check(self._so_far(plugin, tried))

    def _keep(self, question: Question, values: Mapping[str | None, Any]) -> None:
        for machine in self._places(question):
            _set(self.answers.of(question.plugin, machine), question.name, values.get(machine, UNSAID))

    def _places(self, question: Question) -> list[str | None]:
        return list(self._names) if question.own else [None]

    def _said(self, question: Question, answers: Answers) -> dict[str | None, Any]:
        """Return an answer as it was given; for what was left at its default UNSAID."""
        return {
            machine: answers.of(question.plugin, machine).get(question.name, UNSAID)
            for machine in self._places(question)
        }

    def _former(self, question: Question) -> dict[str | None, Any]:
        """Return the answer of an earlier round; nothing in the first one."""
        known = _place(question) in self._before
        return self._said(question, self.former) if known else {}

    def _unfit(self) -> Iterator[Question]:
        """Complain of what fits by itself and not together, and yield what to ask again."""
        for plugin in self.answers.services:
            manifest, put = self.manifests[plugin], questions(self.manifests, [plugin])
            for own, model in ((False, manifest.settings), (True, manifest.node_settings)):
                if model is None:
                    continue
                mine, again = [one for one in put if one.own is own], dict[str, Question]()
                for machine in self._names if own else [None]:
                    values = self.answers.of(plugin, machine)
                    again |= {one.name: one for one in misfits(model, values, mine, self.prompter.complain)}
                yield from again.values()


def _place(question: Question) -> str:
    return f"{question.plugin}.{question.name}"


def _set(values: dict[str, Any], name: str, value: Any) -> None:
    if value is UNSAID:
        values.pop(name, None)
    else:
        values[name] = value
