"""`mintage accounts`: an administrator at the console, straight to the ledger."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple, TypeVar

import click
import msgspec
import psycopg

from api.accounts.grants import NewGrant
from api.accounts.handlers import NewAccount, account_document
from api.accounts.keys import NewKey, create_key
from api.accounts.numbers import numbers_of
from api.accounts.store import CREATE_PROFILE, change_profile
from api.console import json_option, print_json
from api.http.ids import is_id
from api.launch.quiet import quiet_logs
from api.opening import check_migrated, opened
from api.problems.field_errors import field_problem
from api.problems.refusals import NotFoundError
from api.settings import Settings
from ledger.commands import Beside, GrantTokens, OpenAccount, Submission
from ledger.errors import AccountNotFoundError
from ledger.identity import input_hash, key_id, new_id
from ledger.ledger import Ledger

ACTOR = "cli"
ROLES = click.Choice(["user", "support", "admin"])
REASONS = click.Choice(["welcome", "purchase", "promo", "adjustment"])

_NOTE = "INSERT INTO notes (id, account_id, actor, text) VALUES (%s, %s, %s, %s)"
_Form = TypeVar("_Form", NewAccount, NewGrant, NewKey)


class _Desk(NamedTuple):
    ledger: Ledger
    connection: psycopg.Connection[Any]


@click.group()
def accounts() -> None:
    """Open accounts, grant tokens, make keys. Who may run this is an administrator."""


@accounts.command()
@click.argument("account_id", required=False)
@click.option("--email", required=True, help="One account an address.")
@click.option("--name", default="", help="What the account is called.")
@click.option("--member", is_flag=True, help="May use prompts for members.")
@click.option("--tokens", type=int, default=100, show_default=True, help="Given as a welcome.")
@click.option("--role", type=ROLES, default="user", show_default=True)
@json_option
def create(
    *,
    account_id: str | None,
    email: str,
    name: str,
    member: bool,
    tokens: int,
    role: str,
    as_json: bool,
) -> None:
    """Open an account; without ACCOUNT_ID it gets one."""
    given = {"email": email, "name": name, "is_member": member, "tokens": tokens}
    form = _checked(given | ({"id": account_id} if account_id is not None else {}), NewAccount)
    with _desk() as desk:
        opening = OpenAccount(
            account_id=form.id or str(new_id()), is_member=form.is_member, tokens=form.tokens
        )
        profile = Beside(CREATE_PROFILE, (opening.account_id, form.email.lower(), form.name))
        desk.ledger.record(Submission(command=opening, actor=ACTOR, beside=(profile,)))
        change_profile(desk.connection, opening.account_id, name=None, role=_role(role))
        document = account_document(desk.connection, opening.account_id)
    if as_json:
        print_json(document)
    else:
        member_words = "a member" if document.is_member else "no member"
        click.echo(f"opened {document.id}: {document.available} tokens, {member_words}")


@accounts.command()
@click.argument("account_id")
@click.argument("amount", type=int)
@click.option("--reason", type=REASONS, default="adjustment", show_default=True)
@click.option("--reference", help="A payment's id, say: granted once an account.")
@click.option("--note", help="Why; kept beside the log.")
@click.option("--idempotency-key", "key", help="The same one again grants nothing more.")
@json_option
def grant(
    *,
    account_id: str,
    amount: int,
    reason: str,
    reference: str | None,
    note: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Give ACCOUNT_ID that many tokens."""
    given = {"amount": amount, "reason": reason, "reference": reference, "note": note}
    form = _checked(given, NewGrant)
    _check_key(key)
    with _desk() as desk, _known(account_id):
        note_id = new_id() if form.note else None
        command = GrantTokens(
            account_id=account_id,
            amount=form.amount,
            reason=form.reason,
            reference=form.reference,
            note_id=note_id,
        )
        beside = (Beside(_NOTE, (note_id, account_id, ACTOR, form.note)),) if note_id else ()
        outcome = desk.ledger.record(
            Submission(
                command=command,
                actor=ACTOR,
                key_id=key_id(account_id, "grant", key) if key else None,
                input_hash=input_hash((msgspec.json.encode(form),)) if key else None,
                beside=beside,
            )
        )
        entry = outcome.entries[0]
    if as_json:
        print_json(
            {
                "id": entry.fact_id,
                "account_id": account_id,
                "amount": form.amount,
                "replayed": outcome.replayed,
                "available": entry.available,
                "held": entry.held,
                "settled": entry.settled,
                "position": entry.position,
            }
        )
    else:
        words = "granted before" if outcome.replayed else f"granted {form.amount}"
        click.echo(f"{words}: {account_id} has {entry.available} available")


@accounts.command(name="key")
@click.argument("account_id", required=False)
@click.option("--role", type=ROLES, default="user", show_default=True)
@click.option("--name", default="cli", show_default=True, help="What the key is for.")
@json_option
def make_key(*, account_id: str | None, role: str, name: str, as_json: bool) -> None:
    """Make an API key for ACCOUNT_ID, shown once. Support and admin need no account."""
    form = _checked({"role": role, "name": name}, NewKey)
    if account_id is None and form.role == "user":
        raise click.UsageError("a user's key needs ACCOUNT_ID")
    with _desk() as desk:
        if account_id is not None:
            with _known(account_id):
                numbers_of(desk.connection, account_id)
        made = create_key(desk.connection, account_id, role=form.role, name=form.name)
    if as_json:
        print_json({"account_id": account_id, **msgspec.structs.asdict(made)})
    else:
        click.echo(made.key)


@contextmanager
def _desk() -> Iterator[_Desk]:
    given = Settings.from_environ(os.environ)
    quiet_logs(given)
    with opened(given) as settings:
        url = settings.database_url or ""
        check_migrated(url)
        with (
            closing(Ledger(url)) as ledger,
            psycopg.connect(url, autocommit=True, connect_timeout=10) as connection,
        ):
            yield _Desk(ledger, connection)


@contextmanager
def _known(account_id: str) -> Iterator[None]:
    missing = click.ClickException(f"there is no account {account_id!r}")
    if not is_id(account_id):
        raise missing
    try:
        yield
    except (NotFoundError, AccountNotFoundError):
        raise missing from None


def _checked(given: dict[str, Any], form: type[_Form]) -> _Form:
    """Held to the API's own rules; what breaks them is bad usage."""
    try:
        return msgspec.convert(given, form)
    except msgspec.ValidationError as error:
        problem = field_problem(str(error))
        raise click.UsageError(f"{problem.field}: {problem.message.text('en')}") from None


def _check_key(key: str | None) -> None:
    if key is not None and not (0 < len(key) <= 255 and all("!" <= c <= "~" for c in key)):  # noqa: PLR2004 - the contract's bound
        raise click.UsageError("--idempotency-key has 1 to 255 visible ASCII characters")


def _role(role: str) -> Any:
    return None if role == "user" else role
