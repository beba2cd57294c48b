from urllib.parse import unquote

import pytest

from generation.storage import DOWNLOAD_NAME_CHARACTERS_MAX, content_disposition


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("梦幻森林-1.png", "梦幻森林-1.png"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("\u202egnp.exe\r\nSet-Cookie: x", "gnp.exeSet-Cookie_ x"),
        ("a" * 500 + ".png", "a" * (DOWNLOAD_NAME_CHARACTERS_MAX - 4) + ".png"),
        # Three characters each in the form that is sent: longer than what was asked for.
        ("\ufb2c" * 100 + "-1.png", "\u05e9\u05bc\u05c1" * 38 + "\u05e9\u05bc" + ".png"),
        ("a" * 500, "a" * DOWNLOAD_NAME_CHARACTERS_MAX),
        ("a." + "b" * 500, "a." + "b" * (DOWNLOAD_NAME_CHARACTERS_MAX - 2)),
        (" . ", "image"),
    ],
)
def test_a_download_keeps_its_extension_and_nothing_that_harms(given: str, name: str) -> None:
    assert unquote(content_disposition(given).partition("UTF-8''")[2]) == name
