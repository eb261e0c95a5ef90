import io
import os
import sys

import pytest

from mcloud.errors import SettingsError
from mcloud.forms import check_file_mode, read_code_file, read_file

PLAIN = """\
mcloud: 1
cloud: {name: home, initiator: n1, network: 10.10.0.0/24}
machines: {n1: {address: 10.10.0.11}}
"""
SECRET = PLAIN + "meet: {code: acorn-blimp-crisp}\n"


def written(path, text, mode):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def load(installed, path):
    return read_file(path, installed.manifests, services=installed.services)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_with_a_code_must_be_its_owners_alone(installed, tmp_path, mode):
    path = written(tmp_path / "cloud.yaml", SECRET, mode)
    with pytest.raises(SettingsError, match=f"open to others .mode {mode:04o}") as caught:
        load(installed, path)
    assert caught.value.hint == f"chmod 600 {path}"
    assert load(installed, written(path, SECRET, 0o600)).meet.code is not None


def test_so_must_a_file_with_a_plugins_secret(installed, tmp_path):
    text = PLAIN.replace("10.10.0.11}", "10.10.0.11, net: {underlay: 10.10.2.11}}")
    text += "net: {gateway: 192.0.2.1/24, peers: [{name: west, key: hunter22}]}\n"
    with pytest.raises(SettingsError, match="open to others"):
        load(installed, written(tmp_path / "cloud.yaml", text, 0o644))


def test_a_file_without_a_secret_may_be_open(installed, tmp_path):
    assert load(installed, written(tmp_path / "cloud.yaml", PLAIN, 0o644)).cloud.name == "home"


def test_standard_input_may_hold_a_code(installed, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SECRET.encode())))
    assert load(installed, None).meet.code is not None


def test_a_pipe_is_nobodys_file(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o644)
    check_file_mode(tmp_path / "pipe", (tmp_path / "pipe").stat())


def test_a_file_that_cannot_be_read(installed, tmp_path):
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load(installed, tmp_path / "cloud.yaml")
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load(installed, tmp_path)


def test_a_file_that_is_no_text(installed, tmp_path):
    with pytest.raises(SettingsError) as caught:
        load(installed, written(tmp_path / "cloud.yaml", b"mcloud: 1\nx: \xff\n", 0o600))
    assert caught.value.problems == (f"{tmp_path}/cloud.yaml:2: not UTF-8 text",)


def test_a_byte_order_mark_is_no_matter(installed, tmp_path):
    path = written(tmp_path / "cloud.yaml", b"\xef\xbb\xbf" + PLAIN.encode(), 0o600)
    assert load(installed, path).cloud.name == "home"


def test_a_huge_file_is_not_read(installed, tmp_path):
    with pytest.raises(SettingsError, match="larger than 1 MiB"):
        load(installed, written(tmp_path / "cloud.yaml", "#" * (3 << 20), 0o600))


def test_the_code_file(tmp_path):
    path = written(tmp_path / "code", "acorn blimp crisp dove\n", 0o600)
    assert read_code_file(path).get_secret_value() == "acorn blimp crisp dove"
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="open to others"):
        read_code_file(path)
    for wrong in ("", "acorn\nblimp\n"):
        with pytest.raises(SettingsError, match="one line, the code") as caught:
            read_code_file(written(path, wrong, 0o600))
        assert "acorn" not in str(caught.value)
    with pytest.raises(SettingsError, match="too short"):
        read_code_file(written(path, "acorn", 0o600))
