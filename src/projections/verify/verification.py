"""A verification from the snapshot to the report."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import psycopg

from ledger.driver import sentence
from projections.verify.accounts import LOG, SNAPSHOTS, check_accounts
from projections.verify.finding import Finding
from projections.verify.log import check_log
from projections.verify.objects import Objects, check_objects
from projections.verify.ranges import divide
from projections.verify.reading import Range
from projections.verify.report import Report, ViewReport
from projections.verify.sharing import RANGES_EACH, SharedError, share
from projections.verify.snapshot import Baseline, cancel, joined, taken
from projections.verify.views import check_positions, unfinished
from projections.views import VIEW_NAMES

CANCEL_AGAIN_SECONDS = 0.2

Further = Callable[[psycopg.Connection[Any], Report], Iterator[Finding]]
"""Another check in the same snapshot; it writes what it could not look at into the report."""


class Verification:
    """One look at everything. `run` once; `report` says afterwards what it was worth.

    `show` is called whenever more of the log has been read.
    """

    def __init__(
        self,
        url: str,
        *,
        views: Sequence[str] = VIEW_NAMES,
        processes: int = 1,
        objects: Objects | None = None,
        further: Sequence[Further] = (),
    ) -> None:
        """`views` are compared; `objects` is asked for what the log names in storage."""
        self.report = Report()
        self.show: Callable[[], None] = lambda: None
        self._url = url
        self._views = views
        self._processes = processes
        self._objects = objects
        self._further = further

    def run(self) -> Generator[Finding]:
        """What is found, as it comes. Raises nothing that the database does: that is reported."""
        try:
            for finding in self._run():
                self.report.findings += 1
                yield finding
        except psycopg.Error as error:
            self._missed(sentence(error))
        except SharedError as error:
            self._missed(str(error))

    def _missed(self, problem: str) -> None:
        report = self.report
        of = f"{report.events} of about {report.position} events" if report.position else "nothing"
        report.incomplete.append(f"the database could be read no further, after {of}: {problem}")

    def _run(self) -> Iterator[Finding]:
        with taken(self._url, [LOG, SNAPSHOTS, *self._views]) as (connection, baseline):
            views = self._begin(baseline)
            yield from check_positions(baseline, views)
            with self._log(baseline) as log:
                yield from self._accounts(connection, baseline, views)
                yield from log.result()
            for check in self._further:
                yield from check(connection, self.report)
            if self._objects is not None:
                yield from check_objects(connection, self._objects, self.report)

    def _begin(self, baseline: Baseline) -> list[str]:
        report = self.report
        report.position = baseline.head
        views = [view for view in self._views if view not in baseline.refused]
        for table, problem in baseline.refused.items():
            report.incomplete.append(f"{table} could not be read: {problem}")
        report.incomplete += unfinished(baseline, views)
        for view in views:
            position = baseline.position(view)
            report.views[view] = ViewReport(position=position, behind=baseline.head - position)
        return views

    def _accounts(
        self, connection: psycopg.Connection[Any], baseline: Baseline, views: Sequence[str]
    ) -> Iterator[Finding]:
        unreadable = 0
        for finding in self._parts(connection, baseline, views):
            unreadable += finding.kind == "unreadable"
            yield finding
        if unreadable:
            self.report.incomplete.append(
                f"{unreadable} accounts have a fact that cannot be read: what follows it, and "
                "their rows in the views, were not looked at"
            )

    def _parts(
        self, connection: psycopg.Connection[Any], baseline: Baseline, views: Sequence[str]
    ) -> Iterator[Finding]:
        if self._processes == 1:
            return check_accounts(self._url, baseline, Range(), views, self._progress)
        ranges = divide(connection, baseline.head, self._processes * RANGES_EACH)
        return share(
            self._url,
            baseline,
            ranges,
            views,
            processes=self._processes,
            progress=self._progress,
        )

    @contextmanager
    def _log(self, baseline: Baseline) -> Iterator[Future[list[Finding]]]:
        """The log as a whole, looked at beside the accounts."""
        with joined(self._url, baseline.snapshot) as connection, ThreadPoolExecutor(1) as thread:
            log = thread.submit(lambda: list(check_log(connection, self.report)))
            try:
                yield log
            except BaseException:
                while not log.done():  # it may be between two statements
                    cancel(connection)
                    wait([log], CANCEL_AGAIN_SECONDS)
                raise

    def _progress(self, events: int) -> None:
        self.report.events += events
        self.show()
