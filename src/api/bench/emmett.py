"""`@event-driven-io/emmett-postgresql`, a store of events for Node, in a process of its own."""

import subprocess
from pathlib import Path

import msgspec

from api.bench import peers, work
from api.bench.callers import Run, Tally
from ledger.embedded import EmbeddedPostgres
from ledger.identity import new_id

_SCRIPT = Path(__file__).with_suffix(".mjs")


class Emmett:
    """`appendToStream` at a known version, from as many callers on Node's own loop."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._url = peers.database(postgres, "bench_emmett")

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """Node's start and the library's schema are not part of it."""
        del pick
        asked = {
            "url": self._url,
            "packages": str(peers.FOLDER),
            "pool": work.POOL_SIZE,
            "callers": callers,
            "seconds": seconds,
            "cost": work.PROMPT.token_cost,
            "prompt": work.PROMPT,
            "image": work.image(new_id()),
        }
        done = subprocess.run(  # noqa: S603 - our own script
            ["node", str(_SCRIPT)],  # noqa: S607 - wherever npm's packages were installed with
            input=msgspec.json.encode(asked),
            capture_output=True,
            check=False,
            timeout=seconds + 60,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode().strip())
        return Run.of([msgspec.json.decode(done.stdout, type=Tally)])

    def close(self) -> None:
        """Nothing is kept between runs."""
