"""Streams that are cut, servers that are killed, a database that is away: the page gets there."""

import contextlib
from collections.abc import Callable, Iterator

import psycopg
import pytest
from playwright.sync_api import Browser, Route, expect

import databases
from browser import Visitor
from generate_page import button, choose, expect_balance, expect_done, expect_step, make, tile
from stack import wait_until
from website import Website, website

Visit = Callable[..., Visitor]
SLOW = "[mock:delay:6000]"  # longer than a page takes to show that it is being made


@pytest.fixture(scope="module")
def outage(
    database_server: databases.TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Website, Callable[[str], None]]]:
    """A service of these tests' own, with a way to take its database away and give it back."""
    with (
        database_server.database() as database,
        website(database, tmp_path_factory.mktemp("outage")) as site,
        psycopg.connect(database_server.postgres.superuser_url, autocommit=True) as maintenance,
    ):

        def allow(allowed: str) -> None:
            maintenance.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS {allowed}")
            if allowed == "false":
                maintenance.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    (database.name,),
                )

        yield site, allow


def test_a_page_without_events_reaches_the_end(visit: Visit, site: Website) -> None:
    prompt = site.prompt("无流", SLOW)
    visitor = visit(site.account(tokens=20))
    page = visitor.page()
    page.route("**/events", lambda route: route.abort())
    page.goto("/generate")
    made = make(page, prompt)
    expect_step(made, "generating", "active")
    expect_done(made)
    expect_balance(page, 15)


def test_a_reload_and_a_lost_connection_in_the_middle(visit: Visit, site: Website) -> None:
    prompt = site.prompt("断线", SLOW)
    account = site.account(tokens=20)
    visitor = visit(account)
    page = visitor.page("/generate")
    expect_step(make(page, prompt), "generating", "active")
    page.reload()
    expect_step(tile(page), "generating", "active")
    visitor.context.set_offline(True)
    wait_until(lambda: site.balance(account)["settled"] == 15, what="the end, unheard")
    visitor.context.set_offline(False)
    expect_done(tile(page))
    expect_balance(page, 15)


def test_an_answer_that_was_lost_is_asked_for_with_the_same_key(
    visit: Visit, site: Website
) -> None:
    account = site.account(tokens=20)
    page = visit(account).page()
    keys: list[str] = []

    def lose(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            route.continue_()
        else:
            route.fetch()  # done, and nobody is told
            route.abort()

    page.route("**/v1/generations", lose)
    page.goto("/generate")
    choose(page, "dreamy-forest")
    button(page).click()
    expect(page.locator("#refused")).to_contain_text("最多只扣费一次")
    expect_done(tile(page))
    expect(page.locator("#tiles > li")).to_have_count(1)
    expect(page.locator("#refused")).to_be_empty()
    assert keys == [keys[0]] * 2
    assert site.balance(account)["settled"] == 15


def test_a_reload_before_the_answer_asks_with_the_same_key(visit: Visit, site: Website) -> None:
    account = site.account(tokens=20)
    page = visit(account).page()
    keys: list[str] = []
    lost: list[Route] = []

    def lose(route: Route) -> None:
        if route.request.method == "POST":
            keys.append(route.request.headers["idempotency-key"])
            if len(keys) == 1:
                route.fetch()
                lost.append(route)  # and never answered
                return
        route.continue_()

    page.route("**/v1/generations", lose)
    page.goto("/generate")
    choose(page, "dreamy-forest")
    button(page).click()
    while not lost:
        page.wait_for_timeout(50)
    page.reload()
    expect_done(tile(page))
    page.wait_for_timeout(300)
    assert keys == [keys[0]] * 2
    expect(page.locator("#tiles > li")).to_have_count(1)
    assert site.balance(account)["settled"] == 15


def test_a_server_that_is_killed_in_the_middle(
    browser: Browser, outage: tuple[Website, Callable[[str], None]]
) -> None:
    site, _ = outage
    prompt = site.prompt("重启", SLOW)
    with contextlib.closing(Visitor(browser, site.url)) as visitor:
        site.sign_in(visitor, site.account(tokens=20))
        page = visitor.page("/generate")
        made = make(page, prompt)
        expect_step(made, "generating", "active")
        site.restart_api()
        expect_done(made)
        expect_balance(page, 15)


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_a_database_that_is_away_and_comes_back(
    browser: Browser, outage: tuple[Website, Callable[[str], None]], language: str
) -> None:
    site, allow = outage
    account = site.account(tokens=20)
    with contextlib.closing(Visitor(browser, site.url)) as visitor:
        site.sign_in(visitor, account)
        visitor.speak(language)
        page = visitor.page("/generate")
        other = visitor.page()
        choose(page, "dreamy-forest")
        allow("false")
        try:
            button(page).click()
            said = "服务没有响应" if language == "zh-CN" else "The service does not answer"
            expect(page.locator("#refused")).to_contain_text(said)
            answer = other.goto("/generate")
            assert answer is not None
            assert answer.status == 503
            title = "暂不可用" if language == "zh-CN" else "Not available now"
            expect(other.locator("h1")).to_have_text(title)
        finally:
            allow("true")
        expect_done(tile(page))
        expect(page.locator("#refused")).to_be_empty()
        expect_balance(page, 15)
        assert site.balance(account)["settled"] == 15
