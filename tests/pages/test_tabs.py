"""What is spent in one place is seen in the others, within two seconds."""

import contextlib
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Response, expect

from browser import Visitor
from generate_page import button, choose, expect_balance, expect_done, make, tile
from website import Website

Visit = Callable[..., Visitor]
SOON_MS = 2_000
TIME_OF_AN_ANSWER = """async () => {
    const began = performance.now();
    await fetch('/v1/balance');
    return performance.now() - began;
}"""


def is_acceptance(response: Response) -> bool:
    return response.request.method == "POST" and response.url.endswith("/v1/generations")


@pytest.mark.alone
def test_the_balance_follows_in_another_tab(visit: Visit, site: Website) -> None:
    account = site.account(tokens=40)
    visitor = visit(account)
    first, second = visitor.page("/generate"), visitor.page("/generate")
    for spender, watcher, left in ((first, second, 35), (second, first, 30)):
        made = make(spender, "dreamy-forest")
        expect_balance(watcher, left, timeout=SOON_MS)
        expect_done(made)
    first.close()  # whichever of them listened, the other goes on
    site.admin("POST", f"/v1/accounts/{account}/grants", amount=5, reason="promo")
    expect_balance(second, 35, timeout=SOON_MS)


def test_what_is_asked_for_in_one_tab_has_a_tile_in_the_other(visit: Visit, site: Website) -> None:
    slow = site.prompt("同行", "[mock:delay:1500]")
    visitor = visit(site.account(tokens=40))
    first, second = visitor.page("/generate"), visitor.page("/generate")
    expect(second.locator("#none-yet")).to_be_visible()
    make(first, slow)
    expect(second.locator("#tiles h3")).to_have_text("同行")
    expect_done(second.locator("#tiles > li"))


def test_what_ended_elsewhere_hides_nothing_that_was_asked_for_there_since(
    visit: Visit, site: Website
) -> None:
    slow = site.prompt("相继", "[mock:delay:1500]")
    visitor = visit(site.account(tokens=40))
    first, second = visitor.page("/generate"), visitor.page()
    # This page hears of no generation by itself: as much stays held by its tiles as by the account.
    second.route("**/v1/generations/*-**", lambda route: route.abort())
    second.goto("/generate")
    for made in (1, 2):
        expect_done(make(first, slow))
        expect(second.locator("#tiles > li")).to_have_count(made)
    expect_done(tile(second))


def test_a_hidden_tab_asks_for_the_list_once_it_is_seen(visit: Visit, site: Website) -> None:
    visitor = visit(site.account(tokens=40))
    first, second = visitor.page("/generate"), visitor.page("/generate")
    expect(second.locator("#none-yet")).to_be_visible()
    second.evaluate("Object.defineProperty(document, 'hidden', { value: true, writable: true })")
    expect_done(make(first, "dreamy-forest"))
    expect_balance(second, 35)
    second.wait_for_timeout(SOON_MS)
    expect(second.locator("#tiles > li")).to_have_count(0)
    second.evaluate(
        "document.hidden = false; document.dispatchEvent(new Event('visibilitychange'))"
    )
    expect_done(second.locator("#tiles > li"))


def test_where_the_list_did_not_come_it_is_asked_for_again(visit: Visit, site: Website) -> None:
    visitor = visit(site.account(tokens=40))
    first, second = visitor.page("/generate"), visitor.page("/generate")
    expect(second.locator("#none-yet")).to_be_visible()
    second.route("**/v1/generations?*", lambda route: route.abort(), times=1)
    expect_done(make(first, "dreamy-forest"))
    expect_done(second.locator("#tiles > li"))


@pytest.mark.alone
def test_the_balance_follows_in_another_browser_at_another_process(
    visit: Visit, browser: Browser, site: Website
) -> None:
    account = site.account(tokens=40)
    here = visit(account).page("/generate")
    with contextlib.closing(Visitor(browser, site.stack.urls[1])) as elsewhere:
        site.sign_in(elsewhere, account)
        there = elsewhere.page("/generate")
        make(here, "dreamy-forest")
        expect_balance(there, 35, timeout=SOON_MS)
        expect(there.get_by_test_id("token-balance")).to_contain_text("冻结 5")


def test_where_no_stream_comes_through_the_balance_is_asked_for(
    visit: Visit, site: Website
) -> None:
    account = site.account(tokens=40)
    page = visit(account).page()
    page.route("**/balance/events", lambda route: route.abort())
    page.goto("/generate")
    site.admin("POST", f"/v1/accounts/{account}/grants", amount=5, reason="promo")
    expect_balance(page, 45)


@pytest.mark.alone
def test_many_tabs_and_generations_never_use_up_the_browsers_connections(
    visit: Visit, site: Website
) -> None:
    slow = site.prompt("久", "[mock:delay:3000]")
    visitor = visit(site.account(tokens=100))
    pages = [visitor.page("/generate") for _ in range(3)]
    for page in pages:
        for _ in range(2):
            choose(page, slow)
            # What was asked for in the tabs before comes to light meanwhile, too.
            with page.expect_response(is_acceptance) as accepted:
                button(page).click()
            made = page.locator(f'#tiles > li[data-generation="{accepted.value.json()["id"]}"]')
            expect(made).to_have_count(1)
    for page in pages:  # all are under way, and whoever asks is answered
        assert page.evaluate(TIME_OF_AN_ANSWER) < SOON_MS
    for page in pages:
        expect(page.locator("#tiles > li")).to_have_count(6)
        expect_done(tile(page))


def test_who_logs_out_in_one_tab_is_led_to_the_door_in_the_other(
    visit: Visit, site: Website
) -> None:
    visitor = visit(site.account())
    first, second = visitor.page("/generate"), visitor.page("/generate")
    first.locator("summary").click()
    first.get_by_role("button", name="退出登录").click()
    second.wait_for_url("**/login?next=%2Fgenerate")
