import pytest

from mcloud.errors import SettingsError
from mcloud.forms.document import MAX_BYTES, MAX_DEPTH, parse, scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("True", True),
        ("null", None),
        ("~", None),
        ("010", 10),
        ("0o10", 8),
        ("0x1f", 31),
        ("1e3", 1000.0),
        (".5e1", 5.0),
        ("1_000", "1_000"),
        ("190:20:30", "190:20:30"),
        ("2001-12-14", "2001-12-14"),
        ("<<", "<<"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_scalars_mean_what_yaml_1_2_says(text, value):
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_a_quoted_scalar_is_text():
    assert parse("a: '5'\nb: \"null\"\nc: |\n  true\n", "f").tree == {"a": "5", "b": "null", "c": "true\n"}


def test_addresses_need_no_quotes():
    text = "{v6: 2001:db8:2::1/64, dns: [192.0.2.53, 2001:db8:2::53, ::1], range: 192.0.2.100-192.0.2.254}"
    assert parse(text, "f").tree == {
        "v6": "2001:db8:2::1/64",
        "dns": ["192.0.2.53", "2001:db8:2::53", "::1"],
        "range": "192.0.2.100-192.0.2.254",
    }


def test_every_value_knows_its_line_and_what_is_missing_that_of_what_it_is_missing_from():
    document = parse("# comment\na:\n  b: 1\n  c:\n    - x\n    -\n      d: 1\n", "f")
    assert document.line(("a", "b")) == 3
    assert document.line(("a", "c", 0)) == 5
    assert document.line(("a", "c", 1, "d")) == 7
    assert document.line(("a", "c", 1, "e")) == 7
    assert document.line(("a", "zzz")) == 2
    assert document.line(("zzz",)) == 2


def test_a_key_is_text_whatever_it_looks_like():
    assert parse("1: a\nnull: b\n", "f").tree == {"1": "a", "null": "b"}


@pytest.mark.parametrize(
    ("text", "path", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", ("a",), 3, "a second time in the same mapping; the first is in line 1"),
        ("a: &x 1\nb: 1\n", ("a",), 1, "anchors"),
        ("a: 1\nb: *x\n", ("b",), 2, "aliases"),
        ("a: !!python/object:os.system x\n", ("a",), 1, "tags"),
        ("a: 1\n---\nb: 1\n", (), 2, "a second document"),
        ("%YAML 1.1\n---\na: 1\n", (), 2, "YAML 1.2"),
    ],
)
def test_what_is_refused_as_text_is_a_fault_with_its_line(text, path, line, words):
    ((at, where, message, _),) = parse(text, "f").faults
    assert (at, where) == (path, line)
    assert words in message


def test_an_alias_bomb_costs_nothing():
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    assert len(parse(bomb, "f").faults) == 60 + 2 * 59


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a:\n\tb: secret-value", 2),
        ("a: 1\nb: secret-value: c", 2),
        ('a: "secret-value', 1),
        ("a: 1\nsecret-value: [b", 2),
        ("a: secret-value\nb: \x07", 2),
        ("? [a]\n: 1", 1),
        ("a: " + "[" * 2000, 1),
        ("a: " + "{b: " * 2000, 1),
    ],
)
def test_what_is_no_yaml_is_one_problem_with_a_line_and_shows_nothing_of_the_file(text, line):
    with pytest.raises(SettingsError) as caught:
        parse(text, "cloud.yaml")
    (problem,) = caught.value.problems
    assert problem.startswith(f"cloud.yaml:{line}: ")
    assert "secret" not in problem + str(caught.value) + caught.value.hint
    assert caught.value.__cause__ is None


def test_depth_is_bounded_and_the_bound_is_deep_enough():
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, "f").tree
    with pytest.raises(SettingsError):
        parse("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "f")


def test_size_is_bounded():
    with pytest.raises(SettingsError, match="larger than 1 MiB"):
        parse("#" * (MAX_BYTES + 1), "f")
