from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

import databases
from browser import Visitor, chromium
from website import Website, website

Visit = Callable[..., Visitor]


# For no longer than a module: while Playwright runs, no test of this thread can run an event loop,
# and a package without an __init__.py lasts, to pytest, until the session ends.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of a module's tests."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def site(
    database_server: databases.TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Website]:
    """The one service of these tests; each works on accounts of its own."""
    with (
        database_server.database() as database,
        website(database, tmp_path_factory.mktemp("site")) as running,
    ):
        yield running


@pytest.fixture
def visit(browser: Browser, site: Website) -> Iterator[Visit]:
    """Make a visitor: `visit(account_id, language="en", width=320, color_scheme="dark")`."""
    visitors: list[Visitor] = []

    def make(
        account_id: str | None = None, *, language: str | None = None, **options: Any
    ) -> Visitor:
        role = options.pop("role", "user")
        visitor = Visitor(browser, site.url, **options)
        visitors.append(visitor)
        if account_id is not None:
            site.sign_in(visitor, account_id, role)
        if language is not None:
            visitor.speak(language)
        return visitor

    yield make
    for visitor in visitors:
        visitor.close()
