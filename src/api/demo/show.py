"""How the demo looks: chapters, and two tables that fit a narrow terminal."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from api.demo.story import Told
from ledger.facts import FACT_TYPES

MARKS = {"good": ("✓", "green"), "bad": ("✗", "red"), "line": (" ", "")}
WIDTH_MAX = 100

_LOG = """
SELECT position, account_id, topic, settled, held,
    CASE split_part(topic, ':', 1)
        WHEN 'tokens_granted' THEN '+' || (data->>'amount')
        WHEN 'tokens_revoked' THEN '-' || (data->>'amount')
        WHEN 'generation_requested' THEN 'hold ' || (data->>'cost')
        WHEN 'tokens_consumed' THEN '-' || (data->>'cost')
        WHEN 'generation_failed' THEN 'free ' || (data->>'cost')
        ELSE ''
    END AS amount,
    coalesce(data->'prompt'->>'title', data->>'reason',
        jsonb_array_length(data->'images') || ' image', '') AS what
FROM ledger_facts ORDER BY position LIMIT 200"""


class Show:
    """Writes to one console; numbers the chapters."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._chapters = 0

    def tell(self, told: Told) -> None:
        """One line, or the beginning of a chapter."""
        if told.kind == "heading":
            self._chapters += 1
            self._console.print(Text(f"\n{self._chapters}. {told.text}", style="bold"))
            return
        mark, style = MARKS[told.kind]
        line = Text(f"{mark} {told.text}", style=style)
        self._console.print(Padding(line, (0, 0, 0, 3), expand=False))

    def statement(self, account_id: str, items: Sequence[dict[str, Any]]) -> None:
        """The account's lines, oldest first."""
        table = _table(f"The statement of {account_id}")
        table.add_column("time", no_wrap=True)
        table.add_column("what", overflow="fold")
        table.add_column("tokens", justify="right", no_wrap=True)
        table.add_column("balance", justify="right", no_wrap=True)
        for item in reversed(items):
            at = datetime.fromisoformat(item["created_at"])
            amount = f"{item['amount']:+d}"
            table.add_row(f"{at:%H:%M:%S}", item["description"], amount, str(item["balance"]))
        self._console.print(table)

    def log(self, connection: psycopg.Connection[Any]) -> None:
        """Every fact of the log, in its order."""
        table = _table("The log: every fact, in the one order")
        table.add_column("#", justify="right", no_wrap=True)
        table.add_column("fact", overflow="fold")
        table.add_column("tokens", justify="right", no_wrap=True)
        table.add_column("settled", justify="right", no_wrap=True)
        table.add_column("held", justify="right", no_wrap=True)
        for position, account_id, topic, settled, held, amount, what in connection.execute(_LOG):
            fact = Text(FACT_TYPES[topic].__name__)
            fact.append(f"\n{account_id}{', ' * bool(what)}{what}", style="dim")
            table.add_row(str(position), fact, amount, str(settled), str(held))
        self._console.print(table)


def _table(title: str) -> Table:
    return Table(title=Text(f"\n{title}"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
