"""The program that stands in for udev on a lab's machine; its links are tested on a real one."""

import os
import struct
from pathlib import Path

import pytest

from mcloud.lab import devices


def test_a_node_is_made_for_loop_devices_only(tmp_path):
    with pytest.raises(SystemExit, match="254:0 is not the lab's device"):
        devices._make_node(tmp_path / "vda", 254, 0)
    assert not (tmp_path / "vda").exists()


def test_a_disk_is_reported_when_a_writer_closes_it(tmp_path):
    for name in ("sda", "sdb"):
        (tmp_path / name).touch()
    watch, names = devices._watch(["sda", "sdb"], folder=tmp_path)
    try:
        (tmp_path / "sda").read_text()
        (tmp_path / "sdb").write_text("x")
        assert devices._written(watch, names) == {"sdb"}
    finally:
        os.close(watch)


def test_several_writers_are_reported_at_once():
    receive, send = os.pipe()
    try:
        os.write(send, b"".join(struct.pack("iIII", number, 8, 0, 0) for number in (1, 2, 1, 7)))
        assert devices._written(receive, {1: "sda", 2: "sdb"}) == {"sda", "sdb"}
    finally:
        os.close(receive)
        os.close(send)


def test_the_program_needs_nothing_but_the_standard_library():
    text = Path(devices.__file__).read_text()
    assert "import mcloud" not in text
    assert "from mcloud" not in text
