"""`mintage bench verify`: the whole log folded and compared, beside reading and decoding it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psycopg

from api.bench.history import ensure_history
from api.bench.rebuild import DECODING, decode_all
from api.bench.report import name_of, number_of, publish, spread_of
from api.bench.rounds import rounds_option
from api.bench.server import server, settings
from api.bench.whole_log import Passes, all_in_turn, events_option, home_option, rates, ratio
from api.console import json_option, tell
from ledger.chain.blocks import catch_up
from projections.advance import advance
from projections.verify.chain import check_chain
from projections.verify.verification import Verification

OURS = "verify, one process"

COLUMNS = (
    name_of("contender", "contender"),
    number_of("events/s", "rate"),
    spread_of("min–max", "rate"),
    number_of("of decoding", "of_decoding", ".2f", "×"),
    number_of("MB", "client_mb"),
)
CAPTION = "medians, in turn; memory of the first process"


@click.command("verify")
@events_option
@rounds_option
@home_option
@json_option
def verify(events: int, rounds: int, home: Path | None, *, as_json: bool) -> None:
    """Events a second of a whole verification, everything in turn.

    Runs on a PostgreSQL of its own, with fsync and synchronous_commit on.
    """
    with server(home) as postgres:
        url = postgres.migration_database_url
        tell(f"making a log of {events:,} events, its views and its chain")
        ensure_history(url, events)
        with psycopg.connect(url, autocommit=True) as connection:
            while advance(connection, limit=100_000):
                pass
            catch_up(connection)
        entrants: dict[str, Callable[[str], None]] = {
            OURS: _verify,
            "verify, two processes": lambda url: _verify(url, processes=2),
            "the chain alone": _chain,
            DECODING: decode_all,
        }
        passes = all_in_turn(
            entrants, url, server_pid=postgres.server_pid, events=events, times=rounds
        )
        report = _report(passes, settings(url) | {"events": events, "rounds": rounds})
    publish(report, COLUMNS, CAPTION, as_json=as_json)


def _verify(url: str, *, processes: int = 1) -> None:
    verification = Verification(url, processes=processes)
    findings = list(verification.run())
    assert not findings, findings[:3]
    assert verification.report.status == "ok", verification.report.incomplete


def _chain(url: str) -> None:
    verification = Verification(url, views=[])
    with psycopg.connect(url) as connection:
        assert not list(check_chain(connection, verification.report))


def _report(passes: Passes, shown: dict[str, Any]) -> dict[str, Any]:
    return {
        "settings": shown,
        "results": [
            {
                "contender": name,
                **rates(measured),
                "of_decoding": ratio(passes, name, DECODING),
                "client_mb": round(max(each.client_bytes for each in measured) / 1e6, 1),
            }
            for name, measured in passes.items()
        ],
    }
