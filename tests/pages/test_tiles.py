"""Which tiles there are: what was cleared stays away, and a page open for days stays small."""

import json
from collections.abc import Callable

from playwright.sync_api import Page, expect

from browser import Visitor
from generate_page import expect_done, expect_step, make, tile
from website import Website

Visit = Callable[..., Visitor]
LIST_MS = 1_500
SLOW_LISTS = f"""
const fetchAtOnce = window.fetch;
window.listsUnderWay = 0;
window.fetch = async (path, ...rest) => {{
    const answer = await fetchAtOnce(path, ...rest);
    if (!String(path).includes('/v1/generations?')) return answer;
    window.listsUnderWay += 1;
    await new Promise((come) => setTimeout(come, {LIST_MS}));
    window.listsUnderWay -= 1;
    return answer;
}};
"""
UNDER_WAY = "() => window.listsUnderWay > 0"
COME = "() => window.listsUnderWay === 0"
SHOW_ENDED = """async (count) => {
    const page = [...document.scripts].find((script) => script.src.endsWith('generate.js'));
    const { showTile } = await import(new URL('tiles.js', page.src));
    for (let number = 1; number <= count; number += 1) {
        showTile({
            id: 'f' + String(number).padStart(4, '0'), status: 'failed', position: number, count: 1,
            prompt: { title: 'old' }, cost: { held: 0, charged: 0 }, images: [],
            error: { reason: 'timeout' }, urls: {},
        }, { again: () => {} });
    }
}"""


def with_slow_lists(visitor: Visitor) -> Page:
    page = visitor.page()
    page.add_init_script(SLOW_LISTS)
    page.goto("/generate")
    return page


def clear_before_the_list_comes(page: Page) -> None:
    page.get_by_test_id("reset-button").click()
    expect(page.locator("#none-yet")).to_be_visible()
    page.wait_for_function(COME)
    expect(page.locator("#tiles > li")).to_have_count(0)


def test_what_was_cleared_while_the_list_was_under_way_stays_away(
    visit: Visit, site: Website
) -> None:
    page = with_slow_lists(visit(site.account(tokens=40)))
    expect_done(make(page, "dreamy-forest"))
    page.wait_for_function(UNDER_WAY)
    clear_before_the_list_comes(page)


def test_what_was_canceled_and_cleared_stays_away_though_an_old_list_says_it_runs(
    visit: Visit, site: Website
) -> None:
    slow = site.prompt("慢", "[mock:delay:20000]")
    page = with_slow_lists(visit(site.account(tokens=40)))
    page.wait_for_function(COME)
    made = make(page, slow)
    page.wait_for_function(UNDER_WAY)
    made.get_by_role("button", name="取消").click()
    expect_step(made, "error", "error")
    clear_before_the_list_comes(page)


def test_the_others_are_shown_while_a_press_that_was_cut_off_is_sent_again(
    visit: Visit, site: Website
) -> None:
    page = visit(site.account(tokens=40)).page("/generate")
    expect_done(make(page, "dreamy-forest"))
    fields = {"prompt_id": "dreamy-forest", "count": 1, "aspect_ratio": "1:1", "expected_cost": 5}
    kept = json.dumps({"key": "a" * 32, "hasFile": False, "fields": fields})
    page.evaluate("(kept) => sessionStorage.setItem('mintage-press', kept)", kept)
    page.route(
        "**/v1/generations", lambda route: route.fulfill(status=503, json={"code": "UNAVAILABLE"})
    )
    page.reload()
    expect_done(tile(page))
    page.unroute("**/v1/generations")
    expect(page.locator("#tiles > li")).to_have_count(2)
    expect_done(tile(page))


def test_a_page_that_is_open_for_days_drops_what_ended_first(visit: Visit, site: Website) -> None:
    slow = site.prompt("慢", "[mock:delay:20000]")
    page = visit(site.account(tokens=40)).page("/generate")
    running_id = make(page, slow).get_attribute("data-generation") or ""
    page.evaluate(SHOW_ENDED, 70)
    tiles = page.locator("#tiles > li")
    expect(tiles).to_have_count(60)
    expect(tiles.last).to_have_attribute("data-generation", running_id)
    expect(tiles.nth(-2)).to_have_attribute("data-generation", "f0012")
