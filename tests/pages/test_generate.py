"""The whole flow as a person does it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from api_client import png
from browser import Visitor
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


def test_from_logging_in_to_the_file_on_the_disk(visit: Visit, site: Website) -> None:
    prompt = site.prompt("梦幻森林", "[mock:delay:5000]")
    visitor = visit()
    page = visitor.page("/")
    page.get_by_role("button", name="进入演示账户").click()
    before = site.balance("demo-user-123")["available"]
    expect_balance(page, before)
    expect(button(page)).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_text("请先选择题材")).to_be_visible()
    choose(page, prompt)
    expect(page.get_by_test_id("cost-preview")).to_have_text("5")
    page.locator('[name="count"][value="2"]').check(force=True)
    page.locator('[name="aspect_ratio"][value="3:2"]').check(force=True)
    expect(page.get_by_test_id("cost-preview")).to_have_text("10")
    expect(page.get_by_test_id("balance-after")).to_have_text(str(before - 10))
    add_picture(page, SAMPLE.read_bytes())
    expect(page.get_by_test_id("reference-preview")).to_be_visible()
    with page.expect_request("**/v1/generations") as asked:
        button(page).click()
    assert len(asked.value.headers["idempotency-key"]) == 32
    made = tile(page)
    expect_step(made, "generating", "active")
    expect(page.get_by_test_id("token-balance")).to_contain_text("冻结 10")
    expect(page.get_by_test_id("toast").first).to_be_visible()
    expect_done(made, 2)
    expect(made).to_contain_text("已扣 10 代币")
    expect_balance(page, before - 10)
    with page.expect_download() as saving:
        made.get_by_test_id("download-link").first.click()
    saved = Path(saving.value.path()).read_bytes()
    image = page.evaluate("fetch('/v1/images?limit=2').then(a => a.json())")["items"][1]
    assert hashlib.sha256(saved).hexdigest() == image["sha256"]
    assert saving.value.suggested_filename.startswith("梦幻森林-")
    page.reload()
    expect_done(tile(page), 2)
    expect_balance(page, before - 10)


def test_several_at_once_each_in_its_own_tile(visit: Visit, site: Website) -> None:
    slow = site.prompt("慢", "[mock:delay:60000]")
    page = visit(site.account(tokens=30)).page("/generate")
    for prompt in (slow, slow, "dreamy-forest", "future-city"):
        make(page, prompt)
    for number in range(2):
        expect_done(tile(page, number))
    for number in (2, 3):
        expect_step(tile(page, number), "generating", "active")
    expect(page.get_by_test_id("token-balance")).to_contain_text("冻结 10")
    expect_balance(page, 10)
    for number in (2, 3):
        tile(page, number).get_by_role("button", name="取消").click()
        expect_step(tile(page, number), "error", "error")
    expect_balance(page, 20)


def test_the_newest_is_first_also_after_a_reload(visit: Visit, site: Website) -> None:
    page = visit(site.account()).page("/generate")
    for prompt in ("dreamy-forest", "future-city"):
        make(page, prompt)
    page.reload()
    expect(page.locator("#tiles > li")).to_have_count(2)
    for prompt in ("quiet-beach", "starry-night"):
        make(page, prompt)
    titles = ["星空夜景", "宁静海滩", "未来城市", "梦幻森林"]
    expect(page.locator("#tiles h3")).to_have_text(titles)
    page.reload()
    expect(page.locator("#tiles h3")).to_have_text(titles)


def test_cancel_gives_the_tokens_back(visit: Visit, site: Website) -> None:
    slow = site.prompt("更慢", "[mock:delay:20000]")
    page = visit(site.account(tokens=9)).page("/generate")
    made = make(page, slow)
    expect_balance(page, 4)
    made.get_by_role("button", name="取消").click()
    expect_step(made, "error", "error")
    expect(made).to_contain_text("已取消生成。未扣费。")
    expect_balance(page, 9)
    expect(made.get_by_role("button", name="取消")).to_have_count(0)


def test_again_with_the_same_settings_and_reset(visit: Visit, site: Website) -> None:
    page = visit(site.account(tokens=50)).page("/generate")
    page.locator('[name="aspect_ratio"][value="9:16"]').check(force=True)
    add_picture(page)
    expect_done(make(page, "future-city"))
    page.get_by_test_id("reference-clear").click()
    choose(page, "quiet-beach")
    page.locator('[name="aspect_ratio"][value="1:1"]').check(force=True)
    tile(page).get_by_test_id("regenerate-button").click()
    expect(page.locator("#tiles > li")).to_have_count(2)
    expect_done(tile(page))
    for number in range(2):
        expect(tile(page, number)).to_contain_text("1 张 · 9:16 · 有参考图")
    page.reload()  # the file is not in this page any more, but the server has it
    tile(page).get_by_test_id("regenerate-button").click()
    expect(page.locator("#tiles > li")).to_have_count(3)
    expect(tile(page)).to_contain_text("有参考图")
    expect_done(tile(page))
    page.get_by_test_id("reset-button").click()
    expect(page.locator("#tiles > li")).to_have_count(0)
    expect(page.get_by_test_id("cost-preview")).to_have_text("–")
    expect(page.get_by_test_id("reference-preview")).to_be_hidden()
    page.reload()
    expect(page.locator("#none-yet")).to_be_visible()


def test_a_picture_is_looked_at_and_kept_as_a_favourite(visit: Visit, site: Website) -> None:
    page = visit(site.account()).page("/generate")
    made = make(page, "dreamy-forest")
    expect_done(made)
    made.get_by_test_id("result-image").click()
    expect(page.locator("dialog img")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    made.get_by_role("button", name="收藏").click()
    expect(made.get_by_role("button", name="收藏")).to_have_attribute("aria-pressed", "true")
    page.reload()
    favorite = tile(page).get_by_role("button", name="收藏")
    expect(favorite).to_have_attribute("aria-pressed", "true")


def test_a_picture_is_dropped_or_pasted(visit: Visit, site: Website) -> None:
    page = visit(site.account()).page("/generate")
    give = """([event, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(bytes)], event + '.png'));
        const options = {dataTransfer: data, clipboardData: data, bubbles: true, cancelable: true};
        const kind = event === 'drop' ? DragEvent : ClipboardEvent;
        document.getElementById('drop').dispatchEvent(new kind(event, options));
    }"""
    for event in ("drop", "paste"):
        page.evaluate(give, [event, list(png())])
        expect(page.get_by_test_id("reference-preview")).to_be_visible()
        expect(page.locator(".file-name")).to_have_text(f"{event}.png")
        page.get_by_test_id("reference-clear").click()
        expect(page.get_by_test_id("reference-preview")).to_be_hidden()


def test_a_double_click_is_one_wish(visit: Visit, site: Website) -> None:
    account = site.account(tokens=50)
    page = visit(account).page("/generate")
    choose(page, "dreamy-forest")
    button(page).click(click_count=2, delay=120)  # the first is answered before the second
    expect_done(tile(page))
    page.wait_for_timeout(300)
    expect(page.locator("#tiles > li")).to_have_count(1)
    assert site.balance(account)["settled"] == 45


def test_enter_on_a_choice_spends_nothing(visit: Visit, site: Website) -> None:
    account = site.account(tokens=50)
    page = visit(account).page("/generate")
    choose(page, "dreamy-forest")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert site.balance(account)["available"] == 50
