"""What a benchmark says: one document with `settings` and `results`, as JSON or as a table."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from api.console import print_json

WIDTH = 160
"""Characters of a line where no terminal says how many it has."""

Row = dict[str, Any]
Report = dict[str, Any]


class Column(NamedTuple):
    """A heading, and what a result shows under it."""

    heading: str
    shown: Callable[[Row], str]
    left: bool = False


def name_of(heading: str, key: str) -> Column:
    """A column of words."""
    return Column(heading, lambda row: str(row[key]), left=True)


def number_of(heading: str, key: str, form: str = ",.0f", unit: str = "") -> Column:
    """A column of numbers; what was not measured is left empty."""
    return Column(heading, lambda row: "" if row[key] is None else f"{row[key]:{form}}{unit}")


def spread_of(heading: str, key: str, form: str = ",.0f") -> Column:
    """From the least to the most that was measured; what was not measured is left empty."""

    def shown(row: Row) -> str:
        if row[key] is None:
            return ""
        return f"{row[f'{key}_min']:{form}}–{row[f'{key}_max']:{form}}"

    return Column(heading, shown)


def publish(
    report: Report,
    columns: Iterable[Column],
    caption: str,
    *,
    as_json: bool,
    ends: Callable[[Row], bool] = lambda _: False,
) -> None:
    """Print it. A row of which `ends` is true closes a section of the table."""
    if as_json:
        print_json(report)
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    shown = "  ".join(f"{name} {value}" for name, value in report["settings"].items())
    console.print(shown, highlight=False)
    table = Table(box=SIMPLE, caption=caption)
    shown_columns = list(columns)
    for column in shown_columns:
        table.add_column(column.heading, justify="left" if column.left else "right", no_wrap=True)
    for row in report["results"]:
        cells = (column.shown(row) for column in shown_columns)
        table.add_row(*cells, end_section=ends(row))
    console.print(table)
