"""`mintage bench rebuild`: every view made anew, beside reading the log in other ways."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psycopg
from psycopg import sql

from api.bench.history import ensure_history
from api.bench.report import name_of, number_of, publish, spread_of
from api.bench.rounds import rounds_option
from api.bench.server import server, settings
from api.bench.whole_log import Passes, all_in_turn, events_option, home_option, rates, ratio
from api.console import json_option, tell
from ledger.codec import decode_entry
from projections.rebuild import Rebuild
from projections.rebuild.filling import IN_ORDER, RANGE
from projections.views import VIEWS, View

OURS = "rebuild, all views"
DECODING = "read and decode"
BALANCES = "balances by ranges"
_COPY = "COPY (SELECT * FROM ledger_events ORDER BY position) TO STDOUT"
_GROUP_BY = """
SELECT max(version), max(position), max(settled) FROM (
    SELECT account_id, max(version) AS version, max(position) AS position, sum(settled) AS settled
    FROM ledger_events GROUP BY account_id) AS grouped"""
_JSON = "COPY (SELECT row_to_json(e)::text FROM ledger_events AS e ORDER BY position) TO STDOUT"
_SCRATCH = "bench_scratch"

COLUMNS = (
    name_of("contender", "contender"),
    number_of("events/s", "rate"),
    spread_of("min–max", "rate"),
    number_of("rebuild is", "rebuild_is_times", ".2f", "×"),
    number_of("MB", "client_mb"),
    number_of("PG MB", "server_private_mb"),
)
CAPTION = "medians, in turn; MB the most seen, PG MB the server's beside its buffers"


@click.command("rebuild")
@events_option
@rounds_option
@home_option
@json_option
def rebuild(events: int, rounds: int, home: Path | None, *, as_json: bool) -> None:
    """Events a second of a whole rebuild, everything in turn.

    Runs on a PostgreSQL of its own, with fsync and synchronous_commit on.
    """
    with server(home) as postgres:
        url = postgres.migration_database_url
        tell(f"making a log of {events:,} events")
        ensure_history(url, events)
        entrants: dict[str, Callable[[str], None]] = {
            OURS: _rebuild,
            BALANCES: lambda url: _ranges(url, VIEWS[0], events),
            DECODING: decode_all,
            "COPY TO": _copy,
            "GROUP BY": _group_by,
        }
        passes = all_in_turn(
            entrants, url, server_pid=postgres.server_pid, events=events, times=rounds
        )
        report = _report(passes, settings(url) | {"events": events, "rounds": rounds})
    publish(report, COLUMNS, CAPTION, as_json=as_json)


def _rebuild(url: str) -> None:
    Rebuild(url, VIEWS, restart=True).run()


def _ranges(url: str, view: View, events: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        table = sql.Identifier(_SCRATCH)
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
        like = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)")
        connection.execute(like.format(table, sql.Identifier(view.name)))
        step = RANGE * IN_ORDER  # as a rebuild has it
        for after in range(0, events, step):
            with connection.transaction():
                view.fold(connection, after, min(events, after + step), _SCRATCH)
        connection.execute(sql.SQL("DROP TABLE {}").format(table))


def decode_all(url: str) -> None:
    """Read the whole log and decode every fact of it."""
    with psycopg.connect(url) as connection, connection.cursor().copy(_JSON.encode()) as copy:
        copy.set_types(["text"])
        for row in copy.rows():
            decode_entry(row[0])


def _copy(url: str) -> None:
    with psycopg.connect(url) as connection, connection.cursor().copy(_COPY.encode()) as copy:
        for _ in copy:
            pass


def _group_by(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(_GROUP_BY.encode())


def _report(passes: Passes, shown: dict[str, Any]) -> dict[str, Any]:
    return {
        "settings": shown,
        "results": [
            {
                "contender": name,
                **rates(measured),
                "rebuild_is_times": ratio(passes, OURS, name),
                "client_mb": round(max(each.client_bytes for each in measured) / 1e6, 1),
                "server_private_mb": round(max(each.server_bytes for each in measured) / 1e6, 1),
            }
            for name, measured in passes.items()
        ],
    }
