"""A plugin from outside, installed on the machines as its own author would, runs in the pipeline."""

import sysconfig
from pathlib import Path

import clouds
import pytest

from mcloud.lab.forming import FILE, hand_out

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

HELLO = Path(__file__).parents[1] / "thirdparty" / "mcloud-hello"
PYTHON = "/root/own/bin/python"


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab(machines=2)
    for name in lab.names():
        _install(lab.machine(name))
    return lab


def test_the_outside_plugins_step_runs_on_every_machine(lab):
    hand_out(lab, clouds.cloud_file(2, services=[], hello={"greeting": "good morning"}))
    typed = f"{PYTHON} -I -m mcloud preseed {FILE} > /root/said 2>&1"
    running = [lab.machine(name).popen(["sh", "-c", typed]) for name in lab.names()]
    statuses = [process.wait(timeout=120) for process in running]
    said = "\n".join(lab.machine(name).run(["cat", "/root/said"]).stdout for name in lab.names())
    assert statuses == [0, 0], said
    for name in lab.names():
        machine = lab.machine(name)
        assert machine.run(["cat", "/etc/mcloud-hello"]).stdout.strip() == "good morning"
        assert any(line["key"] == f"join/hello/{name}/{name}/greet" for line in clouds.journal(machine))


def test_its_undo_restores_what_was_there(lab):
    for name in lab.names():
        machine = lab.machine(name)
        machine.run([PYTHON, "-I", "-m", "mcloud", "undo", "--yes"])
        assert machine.run(["cat", "/etc/mcloud-hello"], check=False).returncode != 0


def _install(machine):
    """Make a Python environment that sees this one's packages, and install the plugin into it, offline."""
    seen = sysconfig.get_path("purelib")
    machine.run(["python3", "-m", "venv", "--without-pip", "/root/own"])
    own = machine.run([PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).stdout.strip()
    machine.run(["mkdir", "/root/hello"])
    machine.run(["sh", "-c", f"cat > {own}/beside.pth"], input=f"import site; site.addsitedir({seen!r})\n")
    for path in sorted(HELLO.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            machine.run(["sh", "-c", "cat > /root/hello/$0", path.name], input=path.read_text())
    install = ("install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    machine.run([PYTHON, "-m", "pip", *install, "/root/hello"])
