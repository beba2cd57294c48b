import msgspec
import pytest

from api.accounts.handlers import NewAccount
from api.prompts.handlers import NewPrompt
from api.texts.plain import one_line

BREAKS = ["\n", "\r", "\x1b[2J", "\x9b", "\u2028", "\u2029", "\t", "\x00"]


@pytest.mark.parametrize("broken", BREAKS)
def test_no_text_begins_a_line_or_steers_a_terminal(broken: str) -> None:
    shown = one_line(f"Forest{broken}of someone else: failed")
    assert shown.isprintable()
    assert "\N{REPLACEMENT CHARACTER}" in shown


def test_everything_else_stays() -> None:
    for text in ("梦幻森林", "it's 100% Ärger 🎨", "مرحبا", ""):
        assert one_line(text) == text


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("place", ["{0}a", "a{0}a", "a{0}"])
def test_titles_and_names_are_one_line(broken: str, place: str) -> None:
    text = place.format(broken)
    with pytest.raises(msgspec.ValidationError, match="title"):
        msgspec.convert({"title": text, "content": "x"}, NewPrompt)
    with pytest.raises(msgspec.ValidationError, match="category"):
        msgspec.convert({"title": "x", "content": "x", "category": text}, NewPrompt)
    with pytest.raises(msgspec.ValidationError, match="name"):
        msgspec.convert({"email": "a@b", "name": text}, NewAccount)
    msgspec.convert({"title": "x", "content": text.replace("\0", "")}, NewPrompt)
