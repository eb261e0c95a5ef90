"""Putting one plugin to the test: its settings as models, its plans, and runs of them on fake machines."""

import functools
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from mcloud import hookimpl
from mcloud.errors import McloudError
from mcloud.forms import plain, secrets
from mcloud.inputs import Inputs
from mcloud.model import API, Manifest, Node, Settings, Survey
from mcloud.offers import Offer
from mcloud.plan import Gate, Plan
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.steps import Step
from mcloud.testing.host import FakeHost
from mcloud.testing.walk import Walk

NEIGHBOUR = "neighbour"


class Neighbour:
    """A plugin that offers on every machine what the one on trial wants or needs."""

    def __init__(self, offers: Sequence[Offer]) -> None:
        """Take the offers."""
        self._offers = tuple(offers)

    @hookimpl
    def manifest(self) -> Manifest:
        """Say what this is."""
        return Manifest(api=API, summary="Offers what the plugin on trial wants")

    @hookimpl
    def join(self) -> Iterator[Step]:
        """Offer all there is."""
        kinds = tuple(dict.fromkeys(type(offer) for offer in self._offers))
        yield Step(name="offer", run=lambda _ctx: None, probe=lambda _ctx: self._offers, offers=kinds)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One plugin with its settings, on so many machines."""

    name: str
    plugins: Plugins
    inputs: Inputs
    secrets: Mapping[str, Mapping[str, SecretStr | None]]

    @classmethod
    def of(
        cls,
        name: str,
        plugin: object,
        *,
        settings: Mapping[str, Any],
        node_settings: Mapping[str, Any],
        machines: int,
        survey: Survey,
        offered: Sequence[Offer],
    ) -> "Trial":
        """Check the settings with the plugin's models and describe the machines."""
        plugins = Plugins.of(**{name: plugin, NEIGHBOUR: Neighbour(offered)})
        manifest = plugins.manifests[name]
        wide = manifest.settings.model_validate(settings) if manifest.settings else None
        single = manifest.node_settings.model_validate(node_settings) if manifest.node_settings else None
        nodes = [
            Node.model_validate(
                {
                    "name": f"n{number}",
                    "addresses": (f"10.0.0.{number}",),
                    "fingerprint": f"{number:064x}",
                    "survey": survey,
                    "founder": number == 1,
                }
            )
            for number in range(1, machines + 1)
        ]
        inputs = Inputs(
            run="0" * 16,
            command="init",
            cloud="trial",
            nodes=tuple(nodes),
            services=(name, NEIGHBOUR),
            settings={name: _plain(wide)},
            node_settings={name: {node.name: _plain(single) for node in nodes}},
            versions=plugins.versions,
        )
        return cls(name=name, plugins=plugins, inputs=inputs, secrets={name: dict(secrets(wide))})

    @property
    def machines(self) -> tuple[str, ...]:
        """Names of the machines, the founder first."""
        return tuple(node.name for node in self.inputs.nodes)

    def walk(self, hosts: Mapping[str, FakeHost], folder: Path) -> Walk:
        """Return a run on these machines; with the same folder it is the same run."""
        known = Secrets()
        for secret in self.secrets[self.name].values():
            known.add(secret)
        return Walk(
            plugins=self.plugins,
            inputs=self.inputs,
            hosts=hosts,
            folder=folder,
            secrets=self.secrets,
            known=known,
        )

    def plans(self) -> tuple[Plan, ...]:
        """Return the plans of all machines, made anew."""
        walk = self.walk({}, Path())
        return tuple(walk.plan(machine) for machine in self.machines)


def _plain(settings: Settings | None) -> dict[str, Any]:
    return plain(settings) if settings is not None else {}


def described(plan: Plan) -> list[str]:
    """Return what can be compared of a plan: each step with what its functions were given."""
    return [f"{key} {_said(step)}" for key, (_lane, step) in plan.steps.items()]


def _said(step: Step | Gate) -> str:
    if isinstance(step, Gate):
        return repr(step)
    parts = [step.needs, step.wants, step.offers, step.destroys, step.loses]
    return repr([*parts, *(_function(one) for one in (step.run, step.probe, step.undo))])


def _function(function: Any) -> str:
    """Return a function's name and what is bound to it, without what has no text of its own."""
    if isinstance(function, functools.partial):
        bound = [*function.args, *function.keywords.values()]
        return f"{_function(function.func)}({', '.join(map(_value, bound))})"
    inside = [_value(cell.cell_contents) for cell in getattr(function, "__closure__", None) or ()]
    return f"{getattr(function, '__qualname__', type(function).__name__)}[{', '.join(inside)}]"


def _value(value: Any) -> str:
    if callable(value):
        return _function(value)
    text = repr(value)
    return type(value).__name__ if " at 0x" in text else text


def all_text(error: BaseException) -> str:
    """Return all that anybody could see of an error: with causes, notes, members and hints."""
    hints = [one.hint for one in _inside(error) if isinstance(one, McloudError)]
    stderr = [str(getattr(one, "stderr", "")) for one in _inside(error)]
    return "\n".join([*traceback.format_exception(error), *hints, *stderr])


def _inside(error: BaseException | None) -> Iterator[BaseException]:
    if error is None:
        return
    yield error
    yield from _inside(error.__cause__ or error.__context__)
    for member in getattr(error, "exceptions", ()):
        yield from _inside(member)
