"""Texts that others have written, made fit to stand within a line of ours."""


def one_line(text: str) -> str:
    """`text` without what would begin a line of its own or steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def plain(text: str) -> str:
    """The same for a text of several lines, each by itself."""
    return "\n".join(map(one_line, text.split("\n")))
