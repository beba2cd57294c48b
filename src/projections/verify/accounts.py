"""Every account of a range: its stream, its rows in each view, and its snapshot."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack

import msgspec
from psycopg.pq.abc import PGconn

from ledger.account import Account
from ledger.snapshots import SHAPE
from projections.verify import comparing
from projections.verify.expected import Expected
from projections.verify.finding import Finding
from projections.verify.reading import Range, Rows, copied, send
from projections.verify.rows import LAYOUTS, unescape
from projections.verify.snapshot import Baseline, joined
from projections.verify.streams import COLUMNS, Stream

LOG, SNAPSHOTS = "ledger_events", "account_snapshots"

PROGRESS_EVERY = 5_000
"""After about so many events it is told how far this has come."""

_SNAPSHOT_COLUMNS = "account_id, version, shape, state"
_decode_account = msgspec.json.Decoder(Account).decode

Progress = Callable[[int], None]


def check_accounts(
    url: str, baseline: Baseline, accounts: Range, views: Sequence[str], progress: Progress
) -> Iterator[Finding]:
    """Fold the accounts of a range and compare all that is kept of them.

    `progress` is told how many more events were read. Raises psycopg's errors.
    """
    positions = {view: baseline.position(view) for view in views}
    with ExitStack() as stack:

        def sent(table: str, columns: str, then: tuple[str, ...]) -> PGconn | None:
            if table in baseline.refused:
                return None
            connection = stack.enter_context(joined(url, baseline.snapshot))
            return send(
                connection, copied(table, columns, accounts, order=baseline.order, then=then)
            )

        # All at once, since each has its sorting to do before the first line comes.
        log = sent(LOG, COLUMNS, ("version",))
        kept = {
            view: sent(view, ", ".join(LAYOUTS[view].columns), LAYOUTS[view].order)
            for view in views
        }
        snapshots = sent(SNAPSHOTS, _SNAPSHOT_COLUMNS, ())
        sources = {view: Rows(pgconn) for view, pgconn in kept.items()}
        yield from _merge(Rows(log), sources, Rows(snapshots), positions, progress)


def _merge(
    log: Rows,
    kept: Mapping[str, Rows],
    snapshots: Rows,
    positions: Mapping[str, int],
    progress: Progress,
) -> Iterator[Finding]:
    sources = [log, snapshots, *kept.values()]
    events = 0
    while names := [each.account for each in sources if each.account is not None]:
        name = min(names)
        snapshot = snapshots.take() if snapshots.account == name else []
        if log.account != name:
            for view, rows in kept.items():
                if rows.account == name:
                    yield from comparing.stray(view, rows.take())
            for line in snapshot:
                yield _no_such_account(line)
            continue
        expected = Expected(positions)
        stream = Stream(name, expected)
        # Those of another shape are not read by the committer either.
        snapshot = [line for line in snapshot if _is_of_our_shape(line)]
        keeper = _Snapshot(snapshot[0]) if snapshot else None
        if keeper and (len(snapshot) > 1 or keeper.version < 1):
            many = f"there are {len(snapshot)}, the first of version {keeper.version}"
            yield keeper.finding(stream, many)
        while log.account == name:
            lines = log.take(PROGRESS_EVERY)
            events += len(lines)
            for line in lines:
                if stream.is_readable and (found := stream.take(line)):
                    yield from found
                if keeper and keeper.version == stream.account.version and stream.is_readable:
                    yield from keeper.compare(stream)
            if events >= PROGRESS_EVERY:
                progress(events)
                events = 0
        if keeper and stream.is_readable and keeper.version > stream.account.version:
            yield keeper.finding(stream, f"the log ends at version {stream.account.version}")
        for view, rows in kept.items():
            lines = rows.take() if rows.account == name else []
            if stream.is_readable:
                yield from comparing.compare(view, expected.lines(view), lines)
    progress(events)


class _Snapshot:
    """What the committer would start from; a wrong one is a wrong balance."""

    def __init__(self, line: bytes) -> None:
        _, version, _, state = line.split(b"\t", 3)
        self.version = int(version)
        self._state = unescape(state)

    def compare(self, stream: Stream) -> Iterator[Finding]:
        """Against the fold at its version."""
        try:
            account = _decode_account(self._state)
        except msgspec.DecodeError as error:
            yield self.finding(stream, f"cannot be read: {error}")
            return
        for name in Account.__struct_fields__:
            kept, folded = getattr(account, name), getattr(stream.account, name)
            if kept != folded:
                detail = f"{name}: the fold leads to {folded}, found {kept}"
                yield self.finding(stream, detail[:400])

    def finding(self, stream: Stream, detail: str) -> Finding:
        """One of this snapshot."""
        return Finding(
            kind="snapshot_differs",
            account_id=stream.account.account_id,
            version=self.version,
            position=stream.position,
            detail=detail,
        )


def _is_of_our_shape(line: bytes) -> bool:
    return int(line.split(b"\t", 3)[2]) == SHAPE


def _no_such_account(line: bytes) -> Finding:
    return Finding(
        kind="account_unknown",
        account_id=unescape(line.partition(b"\t")[0]),
        detail="a snapshot is of an account that the log does not know",
    )
