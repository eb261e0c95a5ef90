"""The reference for operators is made out of the program, and up to date."""

import importlib.util
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "make_reference.py"


def test_the_reference_is_what_the_program_says():
    spec = importlib.util.spec_from_file_location("make_reference", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.REFERENCE.read_text() == tool.reference(), f"run {TOOL.name}: commands or settings changed"
