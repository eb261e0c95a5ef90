"""What the documents for operators say is so: files can be read, links lead somewhere."""

import re
from pathlib import Path

import pytest

from mcloud.forms import read
from mcloud.plugins import Plugins

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FILES = [
    pytest.param(text, id=f"{path.name}-{number}")
    for path in DOCUMENTS
    for number, text in enumerate(
        re.findall(r"^```yaml\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    )
]


def anchors(path):
    """Return the anchors of a document's headings, as they are made of them on the web."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("text", FILES)
def test_every_file_that_is_shown_can_be_read(text):
    plugins = Plugins.load()
    found = read(text, "shown.yaml", plugins.manifests, services=plugins.services)
    assert [machine.name for machine in found.machines] == ["n1", "n2", "n3"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        name, _, anchor = target.partition("#")
        if name.startswith("http"):
            continue
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target
