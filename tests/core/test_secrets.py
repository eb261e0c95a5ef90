"""What is secret is found and masked in every form in which it may turn up."""

import base64
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mcloud.secrets import MASK, Secrets

PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\n"
    "OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n"
    "-----END PRIVATE KEY-----\n"
)


def _with(*values):
    secrets = Secrets()
    for value in values:
        secrets.add(value)
    return secrets


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        f"before\n{PEM}after",
        json.dumps({"key": PEM}),
        json.dumps({"message": json.dumps({"key": PEM})}),
        repr(PEM),
        "bad line: OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r",
        PEM.encode(),
        PEM.replace("\n", "\r\n"),
    ],
)
def test_a_private_key_is_found_whole_escaped_or_by_a_single_line(text):
    secrets = _with(PEM)
    assert secrets.found_in(text)
    if isinstance(text, str):
        assert "OF/2NxApJCz" not in secrets.mask(text)


def test_what_frames_a_key_is_no_secret():
    assert not _with(PEM).found_in("-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize("value", ['pass"word\\ß', "with space & more", SecretStr('pass"word\\ß')])
def test_special_characters_are_found_in_json_and_urls(value):
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    secrets = _with(value)
    texts = [json.dumps(plain), json.dumps(plain, ensure_ascii=False), json.dumps(json.dumps(plain))]
    assert all(secrets.found_in(text) for text in texts)
    assert secrets.mask(f"got {plain}!") == f"got {MASK}!"


def test_raw_bytes_are_found_as_they_are_in_hex_and_in_base64():
    value = bytes(range(200, 220))
    secrets = _with(value)
    assert secrets.found_in(b"x\x00" + value + b"\xff")
    assert secrets.found_in(f"key={value.hex()}")
    assert secrets.found_in(f"key={base64.b64encode(value).decode()}")


@pytest.mark.parametrize("value", [None, "", "abc", b"abc", "  no  \n", SecretStr("12345")])
def test_what_is_too_short_to_be_a_secret_masks_nothing(value):
    secrets = _with(value)
    assert secrets.mask("abc no 12345 None") == "abc no 12345 None"
    assert not secrets.found_in("abc no 12345 None")


def test_the_longer_secret_wins_where_one_holds_another():
    assert _with("acorn blimp", "acorn blimp crisp").mask("acorn blimp crisp") == MASK


def test_a_secret_read_with_its_line_end_is_found_without():
    assert _with("hunter2hunter2\n").found_in("password hunter2hunter2!")


def test_its_own_picture_shows_nothing():
    assert "hunter2" not in repr(_with("hunter2hunter2"))


@given(st.text(min_size=6).filter(lambda text: len(text.strip()) >= 6), st.text(), st.text())
def test_nothing_masked_still_holds_the_secret(value, before, after):
    secrets = _with(value)
    assert secrets.found_in(before + value + after)
    if value.strip() not in MASK * 9:
        assert value.strip() not in secrets.mask(f"{before}{value}{after}").replace(MASK, "\0")


def test_many_threads_may_add_and_look():
    secrets = Secrets()

    def work(number):
        for count in range(50):
            secrets.add(f"secret-{number}-{count}-end")
            assert secrets.found_in(f"x secret-{number}-{count}-end")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(secrets.found_in(f"secret-{n}-{c}-end") for n in range(4) for c in range(50))
