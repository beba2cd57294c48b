"""Each refusal and failure as it is seen on the page, in both languages; nothing is charged."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from api_client import png
from browser import Visitor
from generate_page import (
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
BOTH = pytest.mark.parametrize("language", ["zh-CN", "en"])


def says(language: str, chinese: str, english: str) -> str:
    return chinese if language == "zh-CN" else english


@BOTH
def test_too_few_tokens(visit: Visit, site: Website, language: str) -> None:
    account = site.account(tokens=3)
    page = visit(account, language=language).page("/generate")
    choose(page, "dreamy-forest")
    why = says(language, "代币不足：需要 5，可用 3。", "Not enough tokens: 5 needed, 3 available.")
    expect(page.locator("#why")).to_have_text(why)
    expect(page.get_by_test_id("balance-after")).to_have_text("−2")
    expect(button(page)).to_have_attribute("aria-disabled", "true")
    button(page).click(force=True)
    page.wait_for_timeout(200)
    assert site.balance(account)["available"] == 3
    site.admin("POST", f"/v1/accounts/{account}/grants", amount=2, reason="promo")
    expect(page.locator("#why")).to_be_hidden()  # the balance has moved by itself
    expect(button(page)).to_have_attribute("aria-disabled", "false")


@BOTH
def test_a_locked_subject(visit: Visit, site: Website, language: str) -> None:
    page = visit(site.account(member=False), language=language).page("/generate")
    card = page.locator('[data-prompt-id="magic-castle"]')
    expect(card).to_have_attribute("data-locked", "true")
    expect(card).to_contain_text(says(language, "仅限会员", "For members only"))
    card.click(force=True)
    expect(card.locator("input")).not_to_be_checked()
    expect(page.get_by_test_id("cost-preview")).to_have_text("–")


@BOTH
def test_a_membership_that_ended_meanwhile(visit: Visit, site: Website, language: str) -> None:
    account = site.account()
    page = visit(account, language=language).page("/generate")
    site.admin("PATCH", f"/v1/accounts/{account}", is_member=False)
    choose(page, "magic-castle")
    button(page).click()
    said = says(language, "此题材仅限会员使用。", "This prompt is for members only.")
    expect(page.locator("#refused")).to_have_text(said)
    expect_balance(page, 100)


@BOTH
def test_a_price_that_changed_meanwhile(visit: Visit, site: Website, language: str) -> None:
    prompt = site.prompt("会涨价")
    account = site.account()
    page = visit(account, language=language).page("/generate")
    site.admin("PATCH", f"/v1/prompts/{prompt}", token_cost=7)
    choose(page, prompt)
    button(page).click()
    said = says(
        language,
        "现在的价格是 7。如可接受，请再按一次。",
        "The price is 7 now. Press again if that is fine.",
    )
    expect(page.locator("#refused")).to_have_text(said)
    expect(page.get_by_test_id("cost-preview")).to_have_text("7")
    assert site.balance(account)["available"] == 100
    button(page).click()
    expect_done(tile(page))
    expect_balance(page, 93)


@BOTH
def test_a_subject_that_went_meanwhile(visit: Visit, site: Website, language: str) -> None:
    prompt = site.prompt("会消失")
    page = visit(site.account(), language=language).page("/generate")
    site.admin("DELETE", f"/v1/prompts/{prompt}")
    choose(page, prompt)
    button(page).click()
    said = says(language, "题材已不存在", "does not exist any more")
    expect(page.locator("#refused")).to_contain_text(said)
    expect_balance(page, 100)


@BOTH
@pytest.mark.parametrize(
    ("data", "chinese", "english"),
    [
        (b"GIF89a" + b"\0" * 100, "参考图不是", "is not a readable JPEG, PNG or WebP"),
        (png()[:40], "参考图不是", "is not a readable JPEG, PNG or WebP"),
        (b"", "参考图不是", "is not a readable JPEG, PNG or WebP"),
        (png() + b"\0" * 5_242_880, "图片超过 5 MB。", "The picture is larger than 5 MB."),
    ],
    ids=["a GIF", "half a PNG", "nothing", "too large"],
)
def test_a_wrong_file(  # noqa: PLR0917 - parameters
    visit: Visit, site: Website, language: str, data: bytes, chinese: str, english: str
) -> None:
    page = visit(site.account(), language=language).page("/generate")
    add_picture(page, data, "looks-fine.png")
    expect(page.locator("#reference-error")).to_contain_text(says(language, chinese, english))
    expect(page.get_by_test_id("reference-preview")).to_be_hidden()
    add_picture(page)  # a right one takes its place
    expect(page.get_by_test_id("reference-preview")).to_be_visible()
    expect(page.locator("#reference-error")).to_be_empty()


@BOTH
@pytest.mark.parametrize(
    ("reason", "chinese", "english"),
    [
        ("blocked", "内容", "declined as unsafe. Nothing was charged."),
        ("provider_unavailable", "未扣费。", "cannot be reached. Nothing was charged."),
    ],
)
def test_a_provider_that_fails(  # noqa: PLR0917 - parameters
    visit: Visit, site: Website, language: str, reason: str, chinese: str, english: str
) -> None:
    prompt = site.prompt("失败", f"[mock:fail:{reason}][mock:delay:0]")
    account = site.account(tokens=20)
    page = visit(account, language=language).page("/generate")
    made = make(page, prompt)
    expect_step(made, "error", "error")
    expect_step(made, "generating", "error")
    expect_step(made, "completed", "todo")
    message = made.locator('[data-part="message"]')
    expect(message).to_contain_text(says(language, chinese, english))
    if language == "zh-CN":
        expect(message).to_contain_text("未扣费。")
    expect_balance(page, 20)
    balance = site.balance(account)
    assert (balance["available"], balance["held"], balance["settled"]) == (20, 0, 20)
