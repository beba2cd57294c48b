"""`mintage verify`: the log folded once more, and everything that is kept of it compared."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from api.console import print_json
from api.launch.quiet import quiet_logs
from api.opening import check_migrated, opened
from api.settings import Settings
from api.stored_objects import StoredObjects
from api.storing import build_storage
from api.texts.plain import one_line
from ledger.chain.errors import SealError
from ledger.chain.keys import read_public_key
from ledger.chain.seal import DOCUMENT_BYTES_MAX, decode_seal
from projections.verify.chain import SealCheck, check_chain
from projections.verify.finding import Finding
from projections.verify.report import Report
from projections.verify.verification import Further, Verification
from projections.views import VIEW_NAMES

SHOWN_MAX = 1_000
"""So many findings of a kind are told one by one; the rest are counted."""

PROCESSES_MAX = 64


@click.command()
@click.argument("views", nargs=-1, metavar="[VIEW]...")
@click.option("--objects", is_flag=True, help="Look at every stored picture too.")
@click.option("--chain", is_flag=True, help="Recompute the hash chain over the log too.")
@click.option(
    "--seal",
    "seal_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A seal kept elsewhere: the log must still have what it sealed.",
)
@click.option(
    "--seal-public-key",
    "key_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Whose seal it must be; without it any key's will do.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, PROCESSES_MAX),
    default=1,
    show_default=True,
    help="Share the accounts out; on a long log more are faster.",
)
@click.option("--json", "as_json", is_flag=True, help="NDJSON: findings, then a line that sums up.")
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    views: tuple[str, ...],
    objects: bool,
    chain: bool,
    seal_file: Path | None,
    key_file: Path | None,
    processes: int,
    as_json: bool,
) -> None:
    """Fold the whole log anew, and compare every row of every VIEW (all, unless some are named).

    Runs beside the service, in one snapshot. Exit code 0 says that all that was asked for was
    looked at and is right; 1 that something was found, or could not be looked at.
    """
    if unknown := sorted(set(views) - set(VIEW_NAMES)):
        known = ", ".join(VIEW_NAMES)
        raise click.UsageError(f"no view is called {unknown[0]}; there are {known}")
    further = _further(chain=chain, seal_file=seal_file, key_file=key_file)
    given = Settings.from_environ(os.environ)
    quiet_logs(given)
    with opened(given) as settings, ExitStack() as stack:
        url = settings.database_url or ""
        check_migrated(url)
        storage = stack.enter_context(closing(build_storage(settings))) if objects else None
        verification = Verification(
            url,
            views=[name for name in VIEW_NAMES if not views or name in views],
            processes=processes,
            objects=StoredObjects(storage) if storage else None,
            further=further,
        )
        told: Counter[str] = Counter()
        with _shown(verification.report) as show:
            verification.show = show
            findings = stack.enter_context(closing(verification.run()))
            for finding in findings:
                told[finding.kind] += 1
                if told[finding.kind] <= SHOWN_MAX:
                    _tell(finding, as_json=as_json)
    report = verification.report
    if as_json:
        print_json({"end": True, "status": report.status, **msgspec.structs.asdict(report)})
    else:
        _sum_up(report, told, authentic=key_file is not None)
    ctx.exit(0 if report.status == "ok" else 1)


def _further(*, chain: bool, seal_file: Path | None, key_file: Path | None) -> list[Further]:
    if seal_file is None:
        if key_file is not None:
            raise click.UsageError("--seal-public-key goes with --seal")
        return [check_chain] if chain else []
    with seal_file.open("rb") as file:
        document = file.read(DOCUMENT_BYTES_MAX + 1)
    try:
        decode_seal(document)
        key = read_public_key(key_file) if key_file else None
    except SealError as error:
        raise click.UsageError(str(error)) from None
    return [check_chain, SealCheck(document, key)]  # a seal proves nothing of rows by itself


def _tell(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        print_json(finding)
        return
    where = [finding.view, finding.account_id and f"account {finding.account_id}"]
    if finding.position is not None:
        where.append(f"position {finding.position}")
    click.echo(one_line(f"{finding.kind}: {', '.join(part for part in where if part)}"))
    click.echo(f"    {one_line(finding.detail)}")


def _sum_up(report: Report, told: Counter[str], *, authentic: bool) -> None:
    for kind, count in told.items():
        if count > SHOWN_MAX:
            click.echo(f"{kind}: {count - SHOWN_MAX:,} more, not shown")
    for problem in report.incomplete:
        click.echo(f"incomplete: {one_line(problem)}")
    looked = [f"{report.events:,} events up to position {report.position:,}"]
    for name, view in report.views.items():
        behind = f" ({view.behind:,} behind the log)" if view.behind else ""
        looked.append(f"{name} up to {view.position:,}{behind}")
    if report.objects:
        looked.append(f"{report.objects:,} stored objects")
    if report.chained is not None:
        tail = report.position - report.chained
        looked.append(
            f"the chain up to {report.chained:,}"
            + (f"; the {tail:,} after it are not protected yet" if tail else "")
        )
    if report.sealed is not None:
        whose = "" if authentic else ", by whatever key signed it: --seal-public-key names one"
        looked.append(f"the seal of position {report.sealed:,}{whose}")
        if report.remade:
            looked.append("the chain was made anew since that seal, over the same rows")
    click.echo("\n  ".join(["looked at:", *looked]))
    findings = f"{report.findings:,} finding{'' if report.findings == 1 else 's'}"
    words = {
        "ok": "nothing wrong was found",
        "findings": findings,
        "incomplete": f"incomplete, and {findings} in what was looked at",
    }
    click.echo(words[report.status])


@contextmanager
def _shown(report: Report) -> Iterator["_Shown"]:
    """A bar on stderr, on a terminal only."""
    if not sys.stderr.isatty():
        yield _Shown(report, None)
        return
    columns = (
        TextColumn("verifying"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        yield _Shown(report, bar)


class _Shown:
    """How far it is, whenever the report has grown."""

    def __init__(self, report: Report, bar: Bar | None) -> None:
        self._report = report
        self._bar = bar
        self._task = bar.add_task("events", total=None, rate="") if bar else None

    def __call__(self) -> None:
        if self._bar is None or self._task is None:
            return
        speed = self._bar.tasks[0].speed
        self._bar.update(
            self._task,
            completed=self._report.events,
            total=self._report.position,
            rate=f"{speed:,.0f} events/s" if speed else "",
        )
