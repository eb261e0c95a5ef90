"""Copies of our modules with one defence taken out, to show that the kit then gets through."""

import inspect
from types import ModuleType


def mutant(module: ModuleType, *changes: tuple[str, str], **names: object) -> ModuleType:
    """Return a copy of a module in whose source each first text, there once, is the second.

    `names` are put into it beforehand. AssertionError if the source no longer has that text: the
    defence looks different now, and the test that takes it out has to follow.
    """
    source = inspect.getsource(module)
    for old, new in changes:
        assert source.count(old) == 1, f"{module.__name__} has {source.count(old)} times: {old}"
        source = source.replace(old, new)
    # The name of the original: dataclasses look their annotations up there.
    made = ModuleType(module.__name__)
    vars(made).update(names)
    exec(compile(source, f"mutant of {module.__name__}", "exec"), vars(made))  # noqa: S102 - our own source
    return made
