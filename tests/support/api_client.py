"""The service as its callers see it: a real server process's app, over HTTP or in process."""

import contextlib
import hashlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import uvicorn
from litestar import Litestar
from PIL import Image

from api.accounts import keys
from api.app import create_app
from api.credentials import Role
from api.http.bounded_http import BoundedHttp
from api.seed import seed
from api.services import Services
from api.settings import Settings
from generation.pictures import thumbnail
from ledger.commands import (
    Beside,
    GrantTokens,
    OpenAccount,
    ReleaseGeneration,
    SettleGeneration,
    Submission,
)
from ledger.facts import FailureReason, ImageRecord
from ledger.identity import new_id

ADMIN_KEY = "bootstrap-admin-key-of-the-tests"
START_SECONDS_MAX = 60
_PROFILE = "INSERT INTO profiles (account_id, email, name) VALUES (%s, %s, %s)"


def png(side: int = 8, colour: tuple[int, int, int] = (200, 60, 20)) -> bytes:
    """A real picture."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(out, "PNG")
    return out.getvalue()


class Api:
    """A running service, seeded, with what a test needs to drive it from inside."""

    def __init__(self, app: Litestar, url: str) -> None:
        self.app = app
        self.url = url
        self.services: Services = app.state.services
        self._clients: list[httpx.Client] = []

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        """HTTP as the holder of `key`; English unless told."""
        sent = {"Accept-Language": "en", **headers}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        client = httpx.Client(base_url=self.url, headers=sent, timeout=60, trust_env=False)
        self._clients.append(client)
        return client

    def close(self) -> None:
        """Hang all clients up."""
        for client in self._clients:
            client.close()

    def admin(self) -> httpx.Client:
        """HTTP with the bootstrap key."""
        return self.client(ADMIN_KEY)

    def key(self, account_id: str | None, role: Role = "user") -> str:
        """A fresh key."""
        with self.services.pool.connection() as connection:
            return keys.create_key(connection, account_id, role=role, name="test").key

    def account(self, *, tokens: int = 100, member: bool = False) -> str:
        """A fresh account."""
        account_id = f"account-{new_id()}"
        profile = Beside(_PROFILE, (account_id, f"{account_id}@example.com", "Someone"))
        command = OpenAccount(account_id=account_id, is_member=member, tokens=tokens)
        self.services.ledger.record(Submission(command=command, actor="test", beside=(profile,)))
        return account_id

    def user(self, *, tokens: int = 100, member: bool = False) -> httpx.Client:
        """HTTP as a fresh account."""
        return self.client(self.key(self.account(tokens=tokens, member=member)))

    def grant(self, account_id: str, amount: int) -> None:
        """More tokens."""
        command = GrantTokens(account_id=account_id, amount=amount, reason="promo")
        self.services.ledger.record(Submission(command=command, actor="test"))

    def succeed(self, generation: dict[str, Any], images: int = 1) -> bytes:
        """End a generation as a worker would; returns the last image's bytes."""
        records = []
        data = b""
        for number in range(images):
            data = png(16, (number, 100, 200))
            base = f"{generation['account_id']}/{generation['id']}/1-{number}-{new_id()}"
            self.services.storage.put(f"{base}.png", data, mime_type="image/png")
            small = thumbnail(data)
            self.services.storage.put(f"{base}.webp", small, mime_type="image/webp")
            records.append(
                ImageRecord(
                    id=new_id(),
                    key=f"{base}.png",
                    thumbnail_key=f"{base}.webp",
                    sha256=hashlib.sha256(data).hexdigest(),
                    mime_type="image/png",
                    width=16,
                    height=16,
                    bytes=len(data),
                    model="test-model",
                )
            )
        self._end(
            SettleGeneration(
                account_id=generation["account_id"],
                generation_id=UUID(generation["id"]),
                images=tuple(records),
            )
        )
        return data

    def fail(self, generation: dict[str, Any], reason: FailureReason) -> None:
        """End a generation without a charge."""
        self._end(
            ReleaseGeneration(
                account_id=generation["account_id"],
                generation_id=UUID(generation["id"]),
                reason=reason,
                retryable=True,
            )
        )

    def step(self, generation: dict[str, Any], step: str) -> None:
        """Claim it, or move it on, as a worker would."""
        with self.services.pool.connection() as connection:
            connection.execute(
                """INSERT INTO generation_leases
                       (generation_id, account_id, attempt, worker, lease_until, step)
                   VALUES (%s, %s, 1, 'test', now() + interval '1 hour', %s)
                   ON CONFLICT (generation_id) DO UPDATE SET step = EXCLUDED.step""",
                (generation["id"], generation["account_id"], step),
            )
            connection.execute("SELECT pg_notify('generation_steps', %s)", (generation["id"],))

    def _end(self, command: SettleGeneration | ReleaseGeneration) -> None:
        self.services.ledger.record(Submission(command=command, actor="worker:test"))


def settings_for(database_url: str, home: Path, **changes: Any) -> Settings:
    """Settings of a service under test."""
    settings = Settings(
        database_url=database_url,
        mintage_home=str(home),
        mintage_admin_key=ADMIN_KEY,
        rate_limit_generations_per_minute=0,
    )
    return msgspec.structs.replace(settings, **changes)


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[Api]:
    """Run the service on a loopback port with uvicorn, in a thread of its own."""
    app = create_app(settings)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_config=None, lifespan="on", http=BoundedHttp, timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS_MAX
    while not server.started:
        assert thread.is_alive(), "the server ended while it started"
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    try:
        services: Services = app.state.services
        with services.pool.connection() as connection:
            seed(connection, services.ledger, services.settings.demo_user_id)
        api = Api(app, f"http://127.0.0.1:{listener.getsockname()[1]}")
        with contextlib.closing(api):
            yield api
    finally:
        server.should_exit = True
        thread.join(START_SECONDS_MAX)
        listener.close()
        assert not thread.is_alive(), "the server did not end"
