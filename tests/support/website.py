"""The whole service behind the pages, with accounts made and logged in as a test needs them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

import databases
from api.credentials import Role
from api.sessions.store import begin
from browser import Visitor
from ledger.identity import new_id
from stack import Stack


class Website:
    """Real processes over a database of their own: two APIs, a mock worker, a projector."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.url = stack.urls[0]

    def account(self, *, tokens: int = 100, member: bool = True, name: str = "某人") -> str:
        """A fresh account."""
        account_id = f"account-{new_id()}"
        self.admin(
            "POST",
            "/v1/accounts",
            id=account_id,
            email=f"{account_id}@example.com",
            name=name,
            tokens=tokens,
            is_member=member,
        )
        return account_id

    def prompt(self, title: str, content: str = "a forest", **more: Any) -> str:
        """One more prompt; `[mock:fail:…]` and `[mock:delay:…]` in its content are obeyed."""
        fields = {"title": title, "content": content, "token_cost": 5, **more}
        return str(self.admin("POST", "/v1/prompts", **fields)["id"])

    def admin(self, method: str, path: str, **fields: Any) -> Any:
        """Ask as the admin; the answer's document."""
        with self.stack.client() as client:
            answer = client.request(method, path, json=fields or None)
            assert answer.status_code < 300, answer.text
            return answer.json() if answer.content else None

    def restart_api(self) -> None:
        """Kill the API in the middle of whatever it does, and start it again where it was."""
        port = self.url.rpartition(":")[2]
        self.stack.kill(f"api-{port}")
        self.stack.start_api_at(int(port))

    def balance(self, account_id: str) -> dict[str, Any]:
        """The three numbers, as support sees them."""
        return dict(self.admin("GET", f"/v1/audit/accounts/{account_id}"))

    def sign_in(self, visitor: Visitor, account_id: str, role: Role = "user") -> None:
        """Log the visitor in, as logging in would."""
        if role != "user":
            self.admin("PATCH", f"/v1/accounts/{account_id}", role=role)
        with psycopg.connect(self.stack.database.url, autocommit=True) as connection:
            session = begin(connection, account_id)
        visitor.set_cookie("mintage_session", session.id)


@contextlib.contextmanager
def website(
    database: databases.Database, home: Path, settings: dict[str, str] | None = None
) -> Iterator[Website]:
    """Run it until the block ends."""
    given = {"MOCK_DELAY_MS": "300", **(settings or {})}
    with Stack(database, home, given) as stack:
        stack.start_api(2)
        stack.start_projector()
        stack.start_worker()
        yield Website(stack)
