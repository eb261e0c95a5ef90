"""Codes: as strong as promised, and alike however they are typed."""

from hypothesis import given
from hypothesis import strategies as st

from mcloud.session.code import FOR_A_FILE, drawn, make_code, normalised


def _typed(text: str) -> str:
    return normalised(text).get_secret_value()


def test_a_code_has_as_many_words_as_asked_for():
    for words in (4, FOR_A_FILE):
        code = make_code(words).get_secret_value()
        # "yo-yo" is one word of the list.
        assert len(code.split()) == words
        assert code.isascii()
        assert code == code.lower()


def test_a_drawn_code_is_told_from_a_persons_own():
    assert all(drawn(make_code(FOR_A_FILE).get_secret_value()) for _ in range(200))
    assert drawn("Acorn-blimp crisp dove yo-yo yo-yo")
    assert not drawn(make_code(4).get_secret_value())
    assert not drawn("acorn blimp crisp dove acorn mothers maiden name")


def test_two_codes_differ():
    assert len({make_code().get_secret_value() for _ in range(50)}) == 50


def test_every_word_of_the_list_is_drawn():
    drawn = " ".join(make_code(200).get_secret_value() for _ in range(100)).split()
    # 20 000 draws from 1296 words: the chance to miss any is below 1 in 1000, to miss five nil.
    assert 1290 <= len(set(drawn)) <= 1296


def test_typing_habits_make_no_difference():
    wanted = "acorn blimp crisp yo yo"
    for typed in (
        "acorn blimp crisp yo-yo",
        "  Acorn BLIMP\tcrisp  yo--yo \n",
        "acorn-blimp-crisp-yo-yo",
        "\uff41corn blimp\u00a0crisp yo\u2010yo",
        "acorn\u2013blimp \u2014 crisp yo yo",
    ):
        assert _typed(typed) == wanted


def test_other_words_stay_other_words():
    assert _typed("acorn blimp") != _typed("acornblimp")
    assert _typed("acorn blimp") != _typed("blimp acorn")


def test_a_code_is_not_shown():
    code = make_code()
    assert code.get_secret_value() not in repr(code)
    assert code.get_secret_value() not in str(normalised(code.get_secret_value()))


@given(st.text())
def test_making_alike_twice_changes_nothing(text: str):
    assert _typed(_typed(text)) == _typed(text)
