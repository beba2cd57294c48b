"""For everybody: axe finds nothing in any state, the keyboard is enough, nothing sticks out."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from browser import Visitor, axe, check_fit
from generate_page import (
    SAMPLE,
    add_picture,
    button,
    choose,
    expect_balance,
    expect_done,
    expect_step,
    make,
    tile,
)
from website import Website

Visit = Callable[..., Visitor]
TABS_MAX = 60


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_nothing_is_in_anybodys_way(
    visit: Visit, site: Website, language: str, scheme: str
) -> None:
    slow = site.prompt("晨雾", "[mock:delay:60000]")
    fails = site.prompt("暮色", "[mock:fail:blocked][mock:delay:0]")
    name = f"generate-{language}-{scheme}"
    visitor = visit(site.account(tokens=12), language=language, color_scheme=scheme)
    page = visitor.page("/generate")
    expect(page.locator("#none-yet")).to_be_visible()
    _look(page, f"{name}-empty")
    expect_step(make(page, fails), "error", "error")
    expect_done(make(page, "dreamy-forest"))
    made = make(page, slow)
    add_picture(page, b"no picture")
    expect(page.locator("#reference-error")).not_to_be_empty()
    add_picture(page)
    choose(page, "magic-castle")
    expect(page.locator("#why")).not_to_be_empty()
    page.locator("summary").click()
    expect_step(made, "generating", "active")
    _look(page, f"{name}-busy")
    page.keyboard.press("Escape")
    expect(page.locator(".menu-sheet")).to_be_hidden()
    made.get_by_role("button", name=re.compile("取消|Cancel")).click()
    expect_step(made, "error", "error")
    page.locator("details.menu").evaluate("menu => { menu.open = false; }")
    _look(page, f"{name}-done")
    page.get_by_test_id("result-image").click()
    expect(page.locator("dialog img")).to_be_visible()
    assert axe(page) == []


def _look(page: Page, name: str) -> None:
    assert axe(page) == [], name
    check_fit(page, name)


def test_a_visitor_who_is_no_member_and_is_in_no_hurry(visit: Visit, site: Website) -> None:
    page = visit(site.account(member=False), reduced_motion="reduce").page("/generate")
    assert axe(page) == []
    check_fit(page, "generate-locked")
    moves = page.evaluate("""() => [...document.querySelectorAll('*')].filter(e =>
        getComputedStyle(e).animationName !== 'none' ||
        parseFloat(getComputedStyle(e).transitionDuration) > 0).length""")
    assert moves == 0


def test_the_keyboard_is_enough(visit: Visit, site: Website) -> None:
    for title in ("其二", "其一"):  # what was made last comes first
        site.prompt(title)
    page = visit(site.account(tokens=20)).page("/generate")
    page.on("filechooser", lambda chooser: chooser.set_files(SAMPLE))
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    _tab_to(page, "[name=prompt_id]")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    chosen = page.locator("[name=prompt_id]:checked")
    expect(chosen).to_be_focused()
    assert (
        page.evaluate(
            "getComputedStyle(document.querySelector('.card:has(:focus-visible)')).outlineStyle"
        )
        == "solid"
    )
    _tab_to(page, "#reference")
    page.keyboard.press("Space")
    expect(page.get_by_test_id("reference-preview")).to_be_visible()
    _tab_to(page, '[name="count"]')
    page.keyboard.press("ArrowRight")
    _tab_to(page, '[name="aspect_ratio"]')
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("cost-preview")).to_have_text("10")
    _tab_to(page, '[data-testid="generate-button"]')
    page.keyboard.press("Enter")
    expect_done(tile(page), 2)
    expect_balance(page, 10)
    _tab_to(page, '[data-part="look"]')
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator('[data-part="look"]').first).to_be_focused()
    _tab_to(page, '[data-testid="download-link"]')
    with page.expect_download():
        page.keyboard.press("Enter")
    _tab_to(page, '[data-part="favorite"]')
    page.keyboard.press("Space")
    expect(page.locator('[aria-pressed="true"]')).to_have_count(1)
    _tab_to(page, '[data-testid="regenerate-button"]')
    page.keyboard.press("Enter")
    expect(page.locator("#tiles > li")).to_have_count(2)
    expect_done(tile(page), 2)
    expect_balance(page, 0)


def _tab_to(page: Page, selector: str) -> None:
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


def test_every_target_can_be_hit(visit: Visit, site: Website) -> None:
    page = visit(site.account(tokens=50), width=320).page("/generate")
    add_picture(page)
    expect_done(make(page, "dreamy-forest"))
    page.locator("summary").click()
    small = page.evaluate("""() => [...document.querySelectorAll('a, button, summary, label')]
        .map(e => [e.outerHTML.slice(0, 90), e.getBoundingClientRect()])
        .filter(([, box]) => box.width > 1 && box.top > -50 && (box.width < 44 || box.height < 44))
        .map(([html, box]) => `${html} ${box.width}x${box.height}`)""")
    assert small == []
    expect(button(page)).to_be_in_viewport()
