from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import mintage
from api.credentials import key_hash
from databases import Database, temporary_home


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder


@pytest.fixture
def urls(database: Database) -> dict[str, str]:
    return {"DATABASE_URL": database.url, "MIGRATION_DATABASE_URL": database.owner_url}


def create(home: Path, urls: dict[str, str], account_id: str, *more: str) -> None:
    email = f"{account_id}@example.com"
    arguments = ("accounts", "create", account_id, "--email", email, *more)
    done = mintage.run(*arguments, home=home, **urls)
    assert done.returncode == 0, done.stderr


def test_an_account_is_opened_once(home: Path, urls: dict[str, str], database: Database) -> None:
    arguments = ("accounts", "create", "bob", "--email", "Bob@example.com", "--role", "support")
    document = mintage.run_json(*arguments, "--member", "--tokens", "7", home=home, **urls)
    assert document["id"] == "bob"
    assert document["email"] == "bob@example.com"
    assert (document["role"], document["is_member"]) == ("support", True)
    assert (document["settled"], document["held"], document["available"]) == (7, 0, 7)

    again = mintage.run(*arguments, home=home, **urls)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert again.stdout == ""
    taken = mintage.run(
        *("accounts", "create", "ben", "--email", "bob@example.com"), home=home, **urls
    )
    assert taken.returncode == 1
    assert "e-mail" in taken.stderr
    with psycopg.connect(database.url) as connection:
        rows = connection.execute("SELECT account_id, actor FROM ledger_events").fetchall()
    assert rows == [("bob", "cli"), ("bob", "cli")]


def test_without_an_id_an_account_gets_one(home: Path, urls: dict[str, str]) -> None:
    arguments = ("accounts", "create", "--email", "a@example.com")
    assert len(mintage.run_json(*arguments, home=home, **urls)["id"]) == 36


def test_a_grant_is_given_once_for_each_key_and_each_reference(
    home: Path, urls: dict[str, str], database: Database
) -> None:
    create(home, urls, "bob", "--tokens", "0")
    keyed = ("accounts", "grant", "bob", "50", "--idempotency-key", "k1", "--note", "sorry")
    first = mintage.run_json(*keyed, home=home, **urls)
    assert (first["settled"], first["replayed"]) == (50, False)
    again = mintage.run_json(*keyed, home=home, **urls)
    assert (again["settled"], again["replayed"]) == (50, True)
    assert again["id"] == first["id"]

    paid = ("accounts", "grant", "bob", "10", "--reason", "purchase", "--reference", "p1")
    assert mintage.run_json(*paid, home=home, **urls)["settled"] == 60
    twice = mintage.run(*paid, home=home, **urls)
    assert twice.returncode == 1
    assert "reference" in twice.stderr
    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT account_id, actor, text FROM notes").fetchall() == [
            ("bob", "cli", "sorry")
        ]


def test_a_key_is_shown_once_and_stored_as_a_hash(
    home: Path, urls: dict[str, str], database: Database
) -> None:
    create(home, urls, "bob")
    done = mintage.run("accounts", "key", "bob", "--name", "laptop", home=home, **urls)
    key = done.stdout.strip()
    admin = mintage.run_json("accounts", "key", "--role", "admin", home=home, **urls)
    with psycopg.connect(database.url) as connection:
        rows = connection.execute(
            "SELECT account_id, role, name, hash FROM api_keys ORDER BY id"
        ).fetchall()
    assert rows == [
        ("bob", "user", "laptop", key_hash(key)),
        (None, "admin", "cli", key_hash(admin["key"])),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("grant", "nobody", "5"), 1, "there is no account 'nobody'"),
        (("grant", "no body", "5"), 1, "there is no account"),
        (("grant", "bob", "0"), 2, "amount"),
        (("grant", "bob", "1000000001"), 2, "amount"),
        (("grant", "bob", "five"), 2, "AMOUNT"),
        (("grant", "bob", "5", "--idempotency-key", "schlüssel"), 2, "--idempotency-key"),
        (("key",), 2, "ACCOUNT_ID"),
        (("key", "nobody"), 1, "there is no account 'nobody'"),
        (("key", "--role", "king"), 2, "--role"),
        (("create", "a b", "--email", "a@example.com"), 2, "id"),
        (("create", "bob", "--email", "nonsense"), 2, "email"),
        (("create", "bob"), 2, "--email"),
        (("create", "bob", "--email", "a@example.com", "--tokens", "-1"), 2, "tokens"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    home: Path, urls: dict[str, str], arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = mintage.run("accounts", *arguments, home=home, **urls)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
