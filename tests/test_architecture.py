"""What holds the house up: sizes, who imports whom, one table for the hooks, and no trace of a workplace."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mcloud
from mcloud import hookspecs
from mcloud.plugins import Plugins

ROOT = Path(__file__).parents[1]
FILE_LIMIT, FUNCTION_LIMIT = 250, 40

LARGER_FUNCTIONS = {
    "core/mcloud/cli/init.py init": "click hands every option over as an argument",
    "core/mcloud/forms/json_schema.py schema": "one schema, put together in one place",
    "plugins/ceph/mcloud_ceph/osds.py up": "one OSD's way from a bare disk to `up`, in order",
    "plugins/ceph/mcloud_ceph/monitors.py found": "the order of founding is the point of it",
}
"""Functions of more lines than the limit, and why."""


def _sources():
    return sorted([*(ROOT / "core/mcloud").rglob("*.py"), *(ROOT / "plugins").glob("*/mcloud_*/**/*.py")])


def _name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", _sources(), ids=_name)
def test_files_are_small(path):
    assert len(path.read_text().splitlines()) <= FILE_LIMIT


def _functions():
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{_name(path)} {node.name}", node.end_lineno - node.lineno + 1


def test_functions_are_small_but_for_those_that_are_named():
    larger = {name for name, lines in _functions() if lines > FUNCTION_LIMIT}
    assert larger == set(LARGER_FUNCTIONS)


@pytest.mark.parametrize("path", _sources(), ids=_name)
def test_every_module_says_its_job_in_one_sentence(path):
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said, "no docstring"
    first = said.partition("\n")[0]
    assert first.endswith((".", "?")), f"its first line is no sentence: {first}"


# ---- who imports whom ----------------------------------------------------------------------------------


def test_imports_keep_to_the_contracts():
    ended = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "0 broken" in ended.stdout


def _importing(package):
    pattern = re.compile(rf"^(import|from) {package}\b", re.MULTILINE)
    return [_name(path) for path in _sources() if pattern.search(path.read_text())]


def test_plugins_import_nothing_of_mcloud_but_its_public_api():
    deeper = re.compile(r"^\s*(from|import) mcloud\.", re.MULTILINE)
    assert [
        _name(path) for path in _sources() if "plugins" in path.parts and deeper.search(path.read_text())
    ] == []


def test_nothing_that_runs_needs_the_kit():
    """It needs pytest, which operators do not have."""
    inside = ROOT / "core/mcloud/testing"
    using = [path for path in _sources() if re.search(r"mcloud\.testing|pytest", path.read_text())]
    assert [_name(path) for path in using if inside not in path.parents] == []


def test_one_module_alone_calls_pluggy():
    # The public API and the specifications only take their markers from it.
    assert _importing("pluggy") == [
        "core/mcloud/__init__.py",
        "core/mcloud/hookspecs.py",
        "core/mcloud/plugins.py",
    ]


def test_asyncio_stays_behind_the_channel():
    assert all(name.startswith("core/mcloud/session/") for name in _importing("asyncio"))


def test_the_public_api_is_only_re_exports():
    tree = ast.parse((ROOT / "core/mcloud/__init__.py").read_text())
    assert all(isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.Expr) for node in tree.body)
    assert sorted(mcloud.__all__) == list(mcloud.__all__)
    assert all(getattr(mcloud, name) is not None for name in mcloud.__all__)


def test_built_in_plugins_are_entry_points_like_a_strangers():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    points = settings["project"]["entry-points"]["mcloud"]
    folders = {path.name for path in (ROOT / "plugins").glob("*/mcloud_*") if path.is_dir()}
    assert {module.split(".")[0] for module in points.values()} == {*folders, "mcloud"}
    ours = Plugins.load()
    assert ours.broken == {}
    assert set(points) <= set(ours.manifests)


# ---- the hooks -----------------------------------------------------------------------------------------


def _hooks():
    """Return the specified hooks and their arguments, in the order of the file."""
    found = {
        name: inspect.signature(function)
        for name, function in vars(hookspecs).items()
        if getattr(function, "mcloud_spec", None) is not None
    }
    return {name: list(signature.parameters) for name, signature in found.items()}


def _table():
    """Return the hooks of the tour's table and their arguments."""
    text = (ROOT / "core/README.md").read_text().partition("## The hooks")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", text, re.MULTILINE)
    return {name: re.findall(r"`(\w+)`", arguments) for name, arguments in rows}


def test_the_tours_table_is_the_hook_file():
    assert list(_table().items()) == list(_hooks().items())


@pytest.mark.parametrize("hook", _hooks())
def test_each_hook_is_described(hook):
    function = getattr(hookspecs, hook)
    assert function.__doc__
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("hook", _hooks())
def test_each_hook_has_a_typed_method_of_its_own(hook):
    if hook != "manifest":  # it is asked once, at load
        assert callable(getattr(Plugins, hook))


@pytest.mark.parametrize("hook", _hooks())
def test_each_hook_is_tested(hook):
    tests = "\n".join(
        path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)
    )
    assert re.search(rf"\b{hook}\b", tests)


MIRRORS = [("announce", "discover"), ("issue_token", "join")]


@pytest.mark.parametrize(("one", "other"), [*MIRRORS, *((b, a) for a, b in MIRRORS)])
def test_mirrors_name_each_other(one, other):
    assert f"irror: `{other}`" in getattr(hookspecs, one).__doc__


# ---- the repository ------------------------------------------------------------------------------------

WORKPLACE = re.compile(r"(?<!\w)/(work|tmp)/\w|pypi\.org|files\.pythonhosted|\.pyenv")
"""Paths of the place where this was made, and hosts of registries."""

ALLOWED = {"tests/test_architecture.py"}


def _committed():
    git = shutil.which("git")
    listed = git and subprocess.run(
        [git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if not listed or listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_the_workplace():
    found = []
    for path in _committed():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if _name(path) not in ALLOWED:
            found += [f"{_name(path)}: {match[0]}" for match in WORKPLACE.finditer(text)]
    assert found == []


def test_links_between_documents_lead_somewhere():
    for path in _committed():
        if path.suffix == ".md":
            for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text()):
                assert (path.parent / target).exists(), f"{_name(path)} leads to {target}, which is not there"


def test_the_tour_names_every_module_of_the_core():
    tour = (ROOT / "core/README.md").read_text().partition("## Where things are")[2]
    modules = {
        path.stem if path.is_file() else f"{path.name}/"
        for path in (ROOT / "core/mcloud").iterdir()
        if (path.suffix == ".py" and not path.stem.startswith("__")) or (path / "__init__.py").exists()
    }
    missing = [name for name in sorted(modules) if f"`{name}`" not in tour and f"`{name}:" not in tour]
    assert missing == []
