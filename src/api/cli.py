"""`mintage`: the command line, and how its errors become words and exit codes."""

import errno
import importlib
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

import click

from api.launch import tether
from api.lazy_group import Entry, LazyGroup
from api.settings import SettingsError
from api.texts.plain import plain

REFUSED, BAD_USAGE = 1, 2
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE}


COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "up": Entry("api.commands.up", "up", "Run everything, until Ctrl-C."),
        "demo": Entry("api.commands.demo", "demo", "Play the whole flow once, then end."),
        "api": Entry("api.commands.api", "api", "Serve HTTP: one role."),
        "worker": Entry("api.commands.worker", "worker", "Draw pictures: one role."),
        "projector": Entry("api.commands.projector", "projector", "Keep the views: one role."),
        "migrate": Entry("api.commands.migrate", "migrate", "Bring the tables up to date."),
        "seed": Entry("api.commands.seed", "seed", "Add the demo account and prompts."),
        "accounts": Entry("api.commands.accounts", "accounts", "Open accounts, grant, make keys."),
        "verify": Entry("api.commands.verify", "verify", "Fold the log anew and compare it all."),
        "audit": Entry("api.commands.audit.group", "audit", "Ask the log: why is it so?"),
        "rebuild": Entry("api.commands.rebuild", "rebuild", "Make the views anew from the log."),
        "sweep": Entry("api.commands.sweep", "sweep", "Expire what is overdue, delete leftovers."),
        "reset": Entry("api.commands.reset", "reset", "Empty a demo."),
        "bench": Entry("api.bench.command", "bench", "Measure it."),
    }
)


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="mintage")
def cli() -> None:
    """Mintage: a token ledger, and the image generation that spends it.

    Settings are environment variables; `mintage up` needs none. Results go to stdout, progress and
    logs to stderr. Exit code: 0 done, 1 refused or found wrong, 2 bad usage.
    """


def main() -> NoReturn:
    """Run the command line and end the process."""
    tether.hold()
    if sys.stdout is None:  # closed by whoever started us, and no file of ours may take its place
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lasts
    code = _run()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _unwritten(error)
    sys.exit(code)


def _run() -> int:
    try:
        # Usage errors exit with 2 and others with 1, as click has it.
        code = cli.main(prog_name="mintage", standalone_mode=False)
    except click.UsageError as error:
        told = io.StringIO()
        error.show(told)
        click.echo(plain(told.getvalue()), err=True, nl=False)
        return BAD_USAGE
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except click.Abort:
        return 130
    except SettingsError as error:
        return _fail(str(error), BAD_USAGE)
    except UnicodeEncodeError:
        return _fail("an argument holds bytes that are no UTF-8", BAD_USAGE)
    except SystemExit as end:
        # Where nobody reads on, click ends so by itself, and nothing else does.
        if end.code != REFUSED:
            raise
        return _unwritten(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _UNWRITABLE and not error.filename:
            return _unwritten(error)
        sentence = _sentence(error)
        if sentence is None:
            raise
        return _fail(sentence, REFUSED)
    return code if isinstance(code, int) else 0


def _fail(sentence: str, code: int) -> int:
    click.echo(plain(f"mintage: {sentence}"), err=True)
    return code


def _unwritten(error: OSError) -> int:
    # What is still to be written, by Python's own flush at the end as well, goes nowhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _fail(f"the output cannot be written: {error.strerror}", REFUSED)


def _sentence(error: Exception) -> str | None:
    """What a person needs to know of an error that is nobody's mistake here; None for the others.

    By name, since importing all these libraries would cost every command half a second.
    """
    for kind in type(error).__mro__:
        match f"{kind.__module__}.{kind.__qualname__}":
            case "psycopg.errors.UndefinedTable":
                return "the database lacks our tables: run `mintage migrate`"
            case "psycopg.errors.InsufficientPrivilege":
                return f"the database refuses this to our role: {_first_message(error)}"
            case "psycopg.OperationalError" | "eventsourcing.persistence.OperationalError":
                return f"the database is out of reach: {_first_message(error)}"
            case "ledger.errors.LedgerUnavailableError":
                return "the database went out of reach: whether it was done is unknown, so look"
            case "ledger.errors.LedgerError" | "api.problems.refusals.EdgeError":
                errors = importlib.import_module("api.problems.errors")
                return str(errors.problem_of(error).detail.text("en"))
            case (
                "ledger.embedded.errors.EmbeddedPostgresError"
                | "ledger.migrate.MigrationError"
                | "ledger.chain.errors.ChainError"
                | "generation.storage.StorageError"
                | "projections.errors.RebuildError"
                | "api.launch.instance.HomeTakenError"
                | "api.launch.instance.HomeUnusableError"
                | "api.launch.listening.AddressError"
                | "api.launch.child.ChildEndedError"
                | "api.launch.readiness.NotReadyError"
            ):
                return str(error)
    return None


def _first_message(error: Exception) -> str:
    return str(importlib.import_module("ledger.driver").first_message(error))


if __name__ == "__main__":
    main()
