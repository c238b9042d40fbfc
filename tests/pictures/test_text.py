"""Text that stays within its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from dbot.pictures.text import font, shortened, width_of, wrapped

TEXTS = st.text(alphabet="aWi é–_./0Ω", max_size=40)


@given(TEXTS, st.integers(0, 300), st.integers(8, 20))
def test_never_wider_than_there_is_room(text, width, size):
    short = shortened(text, width, size)
    assert not short or width_of(short, size) <= width
    assert all(not line or width_of(line, size) <= width for line in wrapped(text, width, size))


def test_what_fits_stays_whole_and_what_does_not_keeps_both_ends():
    assert shortened("street.jpg", 500, 12) == "street.jpg"
    short = shortened("a/very/long/path/to/an/image/000000123456.jpg", 120, 12)
    assert short.startswith("a/very")
    assert short.endswith("6.jpg")
    assert "…" in short


def test_lines_hold_every_word():
    assert " ".join(wrapped("one two three four five", 60, 12)).split() == ["one", "two", "three", "four", "five"]


def test_letters_of_other_languages_are_drawn():
    missing = bytes(font(16).getmask("\U000f0000"))
    assert all(bytes(font(16).getmask(letter)) != missing for letter in "éßøжω×≥")
