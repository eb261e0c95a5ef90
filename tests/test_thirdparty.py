"""A distribution from outside: built, installed aside, found by its entry point, put through our kit."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcloud.testing import PluginContract

OUTSIDE = Path(__file__).parent / "thirdparty"
HERE = OUTSIDE / "mcloud-hello"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the folder the distributions are installed in: as a stranger's, by pip, without any index."""
    folder = tmp_path_factory.mktemp("outside")
    source, target = folder / "source", folder / "target"
    shutil.copytree(OUTSIDE, source, ignore=shutil.ignore_patterns("__pycache__", "dist", ".*"))
    sources = sorted(str(one) for one in source.iterdir())
    _python(
        "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps",
        "--no-build-isolation", "--no-compile", "--target", str(target), *sources,
    )  # fmt: skip
    return target


def _python(*arguments, path=None, **more):
    environment = {**os.environ, "PYTHONPATH": str(path)} if path else None
    ended = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment, **more
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return ended.stdout


def test_it_is_found_by_its_entry_point_beside_the_built_in_ones(installed):
    program = (
        "import json; from mcloud.plugins import Plugins; plugins = Plugins.load(); "
        "print(json.dumps([sorted(plugins.manifests), plugins.versions.get('hello'), plugins.services]))"
    )
    found, version, services = json.loads(_python("-c", program, path=installed))
    assert {"hello", "srv", "words"} <= set(found)
    assert version == "1.0.0"
    assert "hello" in services
    assert "srv" not in services, "what only finds initiators is no service"


def test_it_is_not_there_where_it_is_not_installed():
    program = "from mcloud.plugins import Plugins; print('hello' in Plugins.load().manifests)"
    assert _python("-c", program).strip() == "False"


@pytest.mark.parametrize(
    ("tests", "subjects"), [("mcloud-hello/test_hello.py", 2), ("mcloud-discovery-srv/test_srv.py", 1)]
)
def test_it_passes_its_own_tests_with_our_kit(installed, tmp_path, tests, subjects):
    shutil.copy(OUTSIDE / tests, tmp_path)
    said = _python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path), path=installed, cwd=tmp_path
    )
    passed = re.search(r"(\d+) passed", said)
    assert passed, said
    contract = [name for name in dir(PluginContract) if name.startswith("test_")]
    assert int(passed[1]) >= subjects * len(contract)


def test_the_plugin_guide_shows_this_very_code():
    guide = (Path(__file__).parents[1] / "core/PLUGINS.md").read_text()
    for name in ("mcloud_hello.py", "test_hello.py", "pyproject.toml"):
        assert (HERE / name).read_text().strip() in guide, f"core/PLUGINS.md does not show {name} as it is"
