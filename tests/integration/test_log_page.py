"""docs/log.md cannot lie: each of its queries is run, as the role that it makes, and compared."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from rich.cells import cell_len

import log_example
from databases import Database
from ledger.facts import FACT_TYPES

PAGE = Path(__file__).parents[2] / "docs" / "log.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROLE, *QUERIES = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)
ANSWERS = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def reader(database_server: Any) -> Iterator[psycopg.Connection[Any]]:
    """The page's role, with the page's history before it."""
    with database_server.database() as database:
        log_example.write(database.url)
        yield from _reading(database)


def _reading(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.superuser_url, autocommit=True) as superuser:
        superuser.execute(ROLE)
        superuser.execute("ALTER ROLE log_reader PASSWORD 'log-reader'")
        try:
            url = make_conninfo(database.superuser_url, user="log_reader", password="log-reader")
            with psycopg.connect(url, autocommit=True) as connection:
                yield connection
        finally:
            superuser.execute("DROP OWNED BY log_reader")
            superuser.execute("DROP ROLE log_reader")


def rendered(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """As psql does, more or less: columns apart by bars, numbers to the right."""
    cells = [["" if value is None else _text(value) for value in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]

    def line(row: Sequence[str], numbers: Sequence[bool]) -> str:
        padded = []
        for text, width, number in zip(row, widths, numbers, strict=True):
            space = " " * (width - cell_len(text))
            padded.append(space + text if number else text + space)
        return " | ".join(padded).rstrip()

    left = [False] * len(columns)
    head = [line(columns, left), "-+-".join("-" * width for width in widths)]
    numbers = [[isinstance(value, int) for value in row] for row in rows]
    body = [line(row, right) for row, right in zip(cells, numbers, strict=True)]
    return "\n".join([*head, *body]) + "\n"


def _text(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "hour") else str(value)


def test_the_page_has_an_answer_to_each_question() -> None:
    assert len(QUERIES) == len(ANSWERS) == 6


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_the_recorded_answer_is_the_one_that_the_log_gives(
    reader: psycopg.Connection[Any], number: int
) -> None:
    cursor = reader.execute(QUERIES[number].encode())
    assert cursor.description
    names = [column.name for column in cursor.description]
    assert rendered(names, cursor.fetchall()) == ANSWERS[number]


def test_the_role_reads_the_log_and_nothing_else(reader: psycopg.Connection[Any]) -> None:
    for statement in (
        "SELECT * FROM profiles",
        "SELECT * FROM api_keys",
        "SELECT * FROM notes",
        "UPDATE ledger_events SET settled = 0",
    ):
        with pytest.raises(psycopg.errors.Error) as refused:
            reader.execute(statement.encode())
        # 42501: not allowed; 25006: in a transaction that may only read.
        assert refused.value.sqlstate in {"42501", "25006"}


def test_every_fact_and_each_of_its_fields_is_on_the_page(
    reader: psycopg.Connection[Any],
) -> None:
    table = TEXT[TEXT.index("## The facts") : TEXT.index("## Six questions")]
    for topic, kind in FACT_TYPES.items():
        (line,) = re.findall(rf"^\| `{topic.partition(':')[0]}` \|.*$", table, re.MULTILINE)
        for field in kind.__struct_fields__:
            assert f"`{field}`" in line, (topic, field)
    columns = TEXT[TEXT.index("## The columns") : TEXT.index("## The facts")]
    cursor = reader.execute("SELECT * FROM ledger_events LIMIT 0")
    assert cursor.description
    for column in cursor.description:
        assert f"`{column.name}`" in columns, column.name
