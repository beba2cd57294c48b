"""What the handlers work with, built once a process from the settings."""

from typing import Any

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from api.accounts.numbers import Numbers, numbers_of_all
from api.gathering import Gathered, Messenger
from api.generations import listing as generations_listed
from api.generations.before import Before, Question, look
from api.generations.documents import Seen
from api.generations.entering import Entering, enter
from api.generations.flights import Flights
from api.generations.recent import RecentKeys
from api.generations.states import states_of
from api.generations.watcher import Watcher
from api.http.principals import Principal, find_keys, find_sessions
from api.http.slots import ExportSlots
from api.prompts import shown as prompts_shown
from api.settings import Settings, SettingsError
from api.storing import build_storage
from api.threads import CONNECTIONS_MAX, Threads
from generation.storage import Storage
from ledger.entry import Entry
from ledger.ledger import Ledger
from projections.images import ImageRow
from projections.pages import BY_INDEX, PageOf, list_image_pages, list_transaction_pages
from projections.reads import TransactionRow

CONNECT_SECONDS_MAX = 3
STATEMENT_SECONDS_MAX = 10
DOWNLOADS_EACH_MAX = 2
"""As many long downloads may one account have under way: the slots are everybody's."""

BATCH_SHARE = 32
"""What surrounds a command here takes longer than to record it: larger batches cost less."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Open it before use and close it afterwards; `create_app` does both with the server."""

    settings: Settings
    ledger: Ledger
    pool: ConnectionPool[psycopg.Connection[Any]]
    storage: Storage
    threads: Threads
    messengers: tuple[Messenger, ...]
    keys: Gathered[bytes, Principal | None]
    sessions: Gathered[bytes, Principal | None]
    entering: Entering
    before: Gathered[Question, Before]
    states: Gathered[Entry, Seen]
    numbers: Gathered[str, Numbers | None]
    prompts: Gathered[prompts_shown.Asked, prompts_shown.Shown]
    generation_pages: Gathered[PageOf, generations_listed.Listed | None]
    image_pages: Gathered[PageOf, list[ImageRow] | None]
    transaction_pages: Gathered[PageOf, list[TransactionRow] | None]
    watcher: Watcher
    flights: Flights
    recent_keys: RecentKeys
    exports: ExportSlots
    downloads: ExportSlots

    def open(self) -> None:
        """Begin to connect, without waiting for it: a database that is down may come back."""
        self.pool.open(wait=False)
        self.watcher.start()
        for messenger in self.messengers:
            messenger.start()

    def close(self) -> None:
        """Record what waits, then give everything back. Safe to call twice."""
        self.watcher.close()
        for messenger in self.messengers:
            messenger.close()
        self.ledger.close()
        self.pool.close()
        self.storage.close()


def build_services(settings: Settings) -> Services:
    """Connects to nothing yet but S3. Raises `SettingsError` without a `DATABASE_URL`."""
    url = settings.database_url
    if url is None:
        raise SettingsError("DATABASE_URL is not set (`mintage up` sets it for its processes)")
    options: dict[str, Any] = {
        "autocommit": True,
        "connect_timeout": CONNECT_SECONDS_MAX,
        "application_name": "mintage api",
        "options": f"-c statement_timeout={STATEMENT_SECONDS_MAX}s -c timezone=UTC",
    }
    pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
        url,
        min_size=1,
        max_size=CONNECTIONS_MAX,
        timeout=CONNECT_SECONDS_MAX,
        open=False,
        # A connection that died while idle is found before it is used.
        check=ConnectionPool.check_connection,
        name="api",
        kwargs=options,
    )

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(url, **options)

    def connect_by_index() -> psycopg.Connection[Any]:
        return psycopg.connect(url, **options | {"options": f"{options['options']} {BY_INDEX}"})

    # What takes longer to read has one of its own: nobody's key waits behind it.
    before = Messenger(connect, "before")
    states = Messenger(connect_by_index, "states")
    pages = Messenger(connect_by_index, "pages")  # a search looks at all prompts
    lists = Messenger(connect_by_index, "lists")
    return Services(
        settings=settings,
        ledger=Ledger(url, shares_writer=True, share_min=BATCH_SHARE),
        pool=pool,
        storage=build_storage(settings),
        threads=Threads(pool),
        messengers=(before, states, pages, lists),
        keys=Gathered(before, find_keys),
        sessions=Gathered(before, find_sessions),
        entering=Entering(Gathered(before, enter)),
        before=Gathered(before, look),
        states=Gathered(states, states_of),
        numbers=Gathered(states, numbers_of_all),
        prompts=Gathered(pages, prompts_shown.look),
        generation_pages=Gathered(lists, generations_listed.look),
        image_pages=Gathered(lists, list_image_pages),
        transaction_pages=Gathered(lists, list_transaction_pages),
        watcher=Watcher(url),
        flights=Flights(),
        recent_keys=RecentKeys(),
        exports=ExportSlots(),
        downloads=ExportSlots(DOWNLOADS_EACH_MAX),
    )
