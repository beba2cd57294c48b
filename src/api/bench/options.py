"""Options that take several values, with commas between them."""

from collections.abc import Sequence

import click


class Words(click.ParamType[Sequence[str]]):
    """Words between commas, each one of those that are known."""

    name = "list"

    def __init__(self, known: Sequence[str]) -> None:
        self._known = known

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Sequence[str]:
        """The words, or what is wrong with one of them."""
        words = value.split(",")
        if unknown := [word for word in words if word not in self._known]:
            self.fail(f"{unknown[0]!r} is none of {', '.join(self._known)}", param, ctx)
        return words


class Numbers(click.ParamType[Sequence[int]]):
    """Numbers between commas, within bounds."""

    name = "numbers"

    def __init__(self, maximum: int, *, minimum: int = 1) -> None:
        self._minimum = minimum
        self._maximum = maximum

    def convert(
        self,
        value: str | Sequence[int],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Sequence[int]:
        """The numbers, or what is wrong with them."""
        if not isinstance(value, str):
            return value
        try:
            counts = [int(word) for word in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is not numbers between commas", param, ctx)
        if not all(self._minimum <= count <= self._maximum for count in counts):
            self.fail(f"each lies in {self._minimum}..{self._maximum}", param, ctx)
        return counts
