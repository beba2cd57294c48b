"""An account or a moment that is not there, said in a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from api.commands.audit.desk import usage
from api.problems.errors import problem_of
from api.problems.refusals import FieldProblem, NotFoundError
from projections.errors import AfterLogError, BeforeAccountError, UnknownAccountError

POSITION = click.IntRange(1, 2**63 - 1)


@contextmanager
def answerable(account_id: str) -> Iterator[None]:
    """What cannot be answered is refused: no such account (1), or no such moment (2)."""
    try:
        with usage():
            yield
    except (NotFoundError, UnknownAccountError):
        raise click.ClickException(f"there is no account {account_id!r}") from None
    except (BeforeAccountError, AfterLogError) as error:
        fields: list[FieldProblem] = problem_of(error).members["errors"]
        told = (f"--{each.field}: {each.message.text('en')}" for each in fields)
        raise click.UsageError("; ".join(told)) from None
