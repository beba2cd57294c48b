"""`mintage rebuild`: the views, made anew from the log."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from api.console import json_option, print_json, tell
from api.launch.quiet import quiet_logs
from api.opening import check_migrated, opened
from api.settings import Settings
from projections.rebuild import Progress, Rebuild
from projections.views import VIEW_NAMES, VIEWS, View

TELL_SECONDS = 5.0


@click.command()
@click.argument("views", nargs=-1, metavar="[VIEW]...")
@click.option("--restart", is_flag=True, help="Begin again, where an earlier one was cut short.")
@json_option
def rebuild(views: tuple[str, ...], *, restart: bool, as_json: bool) -> None:
    """Make the views anew from the log, all of them or those named, while the service runs.

    As the role in MIGRATION_DATABASE_URL, which owns them. Cut short, even by kill -9, it goes on
    from where it was when run again. The new tables take the old ones' place at the very end.
    """
    chosen = _chosen(views)
    given = Settings.from_environ(os.environ)
    quiet_logs(given)
    with opened(given) as settings:
        check_migrated(settings.database_url or "")
        with _shown() as show:
            work = Rebuild(
                settings.migration_database_url or "", chosen, restart=restart, tell=show
            )
            try:
                done = work.run()
            except KeyboardInterrupt:
                tell("interrupted: run `mintage rebuild` again to go on from there")
                raise
    if as_json:
        print_json(msgspec.to_builtins(done))
    else:
        click.echo(
            f"{', '.join(done.views)}: rebuilt up to position {done.position:,} "
            f"in {done.seconds:,.1f} s"
            + (f", of which {done.resumed_at:,} events had been filled" if done.resumed_at else "")
        )


def _chosen(names: tuple[str, ...]) -> tuple[View, ...]:
    for name in names:
        if name not in VIEW_NAMES:
            raise click.UsageError(f"no view is called {name}; there are {', '.join(VIEW_NAMES)}")
    return tuple(view for view in VIEWS if not names or view.name in names)


class _Shown:
    """Progress for a person: a bar on a terminal, else a line now and then."""

    def __init__(self, bar: Bar | None) -> None:
        self._bar = bar
        self._task = bar.add_task("beginning", total=None, rate="") if bar else None
        self._began: tuple[float, int] | None = None
        self._told = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        began, before = self._began = self._began or (now, progress.done)
        rate = (progress.done - before) / (now - began) if now > began else 0.0
        text = f"{rate:,.0f} events/s" if rate else ""
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task,
                description=progress.phase,
                completed=progress.done,
                total=progress.total,
                rate=text,
            )
        elif now - self._told >= TELL_SECONDS:
            self._told = now
            left = (progress.total - progress.done) / rate if rate else 0.0
            tell(
                f"{progress.phase}: {progress.done:,} of {progress.total:,} events"
                + (f", {text}, {left:,.0f} s left" if rate else "")
            )


@contextmanager
def _shown() -> Iterator[_Shown]:
    if not sys.stderr.isatty():
        yield _Shown(None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        yield _Shown(bar)
