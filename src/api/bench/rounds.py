"""Everything in turn, and another first each round: a contender leaves work to do after it."""

from collections.abc import Sequence
from typing import TypeVar

import click

Entrant = TypeVar("Entrant")

rounds_option = click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 100))


def in_turn(entrants: Sequence[Entrant], number: int) -> list[Entrant]:
    """The order of round `number`."""
    first = number % len(entrants)
    return [*entrants[first:], *entrants[:first]]
