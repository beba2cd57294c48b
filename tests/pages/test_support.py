"""Support: finding an account, its numbers now and as they were, and what an admin may change."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from browser import Visitor, axe, look
from sheets import Sheets, sheets_of
from website import Website

Visit = Callable[..., Visitor]

HOSTILE = "<img src=x onerror=alert(1)>\"' \u202egnp 🎨"
NOTE = "<b>重复发放</b>\n第二行"


@pytest.fixture(scope="module")
def sheets(site: Website) -> Iterator[Sheets]:
    with sheets_of(site) as sheets:
        yield sheets


@pytest.fixture(scope="module")
def told(site: Website, sheets: Sheets) -> str:
    """An account with six events that pages tell of; tests only read it."""
    account_id = site.account(tokens=100, name=HOSTILE)
    sheets.make(account_id, title=HOSTILE)
    site.admin("POST", f"/v1/accounts/{account_id}/grants", amount=50, reason="purchase", note=NOTE)
    site.admin("POST", f"/v1/accounts/{account_id}/revocations", amount=7, note="again")
    return account_id


def numbers(page: Page) -> list[int]:
    """Available, held, settled."""
    page.wait_for_load_state()
    found = page.locator("#numbers .numbers").first.locator("dd").all_inner_texts()
    return [int(number) for number in found]


def effects(page: Page) -> list[list[str]]:
    """Of each row: its effect on what is settled and the three numbers after it."""
    page.wait_for_load_state()
    found: list[list[str]] = page.get_by_test_id("timeline-row").evaluate_all(
        "rows => rows.map(row => [row.querySelector('.event-effect').textContent.trim(), "
        "...[...row.querySelectorAll('dd')].map(each => each.textContent)])"
    )
    return found


def reads(site: Website, account_id: str) -> list[tuple[str, str]]:
    items = site.admin("GET", f"/v1/audit/reads?account={account_id}&limit=100")["items"]
    return [(each["reader"], each["what"]) for each in items if each["what"] != "reads"]


def test_others_are_told_that_there_is_no_such_page(visit: Visit, site: Website, told: str) -> None:
    page = visit(site.account()).page("/generate")
    expect(page.get_by_role("link", name="客服")).to_have_count(0)
    for path in ("/support", f"/support/accounts/{told}", "/support?q=a"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 404
        expect(page.locator("h1")).to_have_text("未找到")
    visit().page(f"/support/accounts/{told}").wait_for_url("**/login?next=*")


def test_an_account_is_found_and_read(visit: Visit, site: Website, told: str) -> None:
    me = site.account(name="客服")
    page = visit(me, role="support").page("/support")
    assert (f"account:{me}", "account") not in reads(site, told)
    page.get_by_test_id("account-search").fill(told[-12:])
    page.keyboard.press("Enter")
    expect(page.locator(".accounts li")).to_have_count(1)
    page.get_by_role("link", name=HOSTILE).click()
    expect(page.locator("h1")).to_have_text(HOSTILE)
    assert numbers(page) == [138, 0, 138]
    assert effects(page) == [
        ["−7", "138", "0", "138"],
        ["+50", "145", "0", "145"],
        ["−5冻结 −5", "95", "0", "95"],
        ["冻结 +5", "95", "5", "100"],
        ["+100", "100", "0", "100"],
        ["–", "0", "0", "0"],
    ]
    rows = page.get_by_test_id("timeline-row")
    expect(rows.nth(1).locator(".event-note bdi")).to_have_text(NOTE)
    expect(rows.nth(1)).to_contain_text("admin:bootstrap")
    expect(page.locator(".recorded")).to_contain_text(f"account:{me}")
    assert reads(site, told)[:2] == [(f"account:{me}", "timeline"), (f"account:{me}", "account")]
    expect(page.locator(".changes")).to_have_count(0)


def test_the_slider_shows_the_account_as_it_was(visit: Visit, site: Website, told: str) -> None:
    me = site.account()
    page = visit(me, role="admin").page(f"/support/accounts/{told}")
    expect(page.locator(".changes")).to_have_count(1)
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # after the request, before its end
    expect(page.locator("#banner")).to_contain_text("共 6 条事件，至第 3 条")
    assert numbers(page) == [95, 5, 100]
    assert [row[1] for row in effects(page)] == ["95", "100", "0"]
    expect(page.locator(".holds li")).to_have_count(1)
    expect(page.locator(".changes")).to_have_count(0)
    expect(page.get_by_role("slider")).to_be_focused()
    assert (f"account:{me}", "balance") in reads(site, told)
    page.reload()
    expect(page.locator("#banner")).to_contain_text("至第 3 条")
    page.get_by_role("link", name="回到现在").click()
    expect(page.locator("#banner")).to_be_empty()
    assert numbers(page) == [138, 0, 138]


def test_a_date_shows_the_account_as_it_was(visit: Visit, site: Website, told: str) -> None:
    page = visit(site.account(), role="support", timezone_id="Asia/Shanghai").page("/login")
    page.goto(f"/support/accounts/{told}")
    opened = page.get_by_test_id("timeline-row").last.locator("time").inner_text()
    assert opened.endswith("CST")
    page.get_by_test_id("balance-at").fill("2001-01-01T00:00:00")
    page.get_by_role("button", name="查看").click()
    expect(page.get_by_role("alert")).to_contain_text(f"账户开立得更晚：{opened}")
    assert numbers(page) == [138, 0, 138]
    page.get_by_test_id("balance-at").fill("2999-01-01T00:00:00")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("在未来")
    at = page.evaluate(
        "() => { const now = new Date(Date.now() + 8 * 3600e3 - 1000);"
        " return now.toISOString().slice(0, 19); }"
    )
    page.get_by_test_id("balance-at").fill(at)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**?at={at.replace(':', '%3A')}")
    expect(page.get_by_role("alert")).to_be_hidden()
    assert numbers(page) == [138, 0, 138]


def test_it_can_be_read_without_script(visit: Visit, told: str, site: Website) -> None:
    page = visit(site.account(), role="admin", java_script_enabled=False).page("/support")
    page.get_by_test_id("account-search").fill(told)
    page.keyboard.press("Enter")
    page.get_by_role("link", name=HOSTILE).click()
    page.goto(f"{page.url}?event=3&at=")
    assert numbers(page) == [95, 5, 100]
    page.get_by_test_id("timeline-row").first.get_by_role("link").click()
    expect(page.locator("h1")).to_have_text(HOSTILE)
    expect(page.locator("#numbers")).to_contain_text("成功")


def test_a_long_history_comes_in_pages(visit: Visit, site: Website) -> None:
    account_id = site.account(tokens=0)
    for _ in range(32):
        site.admin("POST", f"/v1/accounts/{account_id}/grants", amount=1, reason="promo")
    page = visit(site.account(), role="support").page(f"/support/accounts/{account_id}")
    rows = page.get_by_test_id("timeline-row")
    expect(rows).to_have_count(30)
    page.route("**/support/**", lambda route: route.abort())
    page.get_by_test_id("load-more").click()
    expect(page.locator(".more [role=alert]")).to_contain_text("连接不上")
    page.unroute("**/support/**")
    page.get_by_test_id("load-more").click()
    expect(rows).to_have_count(33)
    assert [row[1] for row in effects(page)] == [str(n) for n in range(32, -1, -1)]


def change(page: Page, name: str, **fields: str) -> None:
    """Open the form of that name where it is shut, fill it in and send it."""
    form = page.locator("details", has=page.get_by_text(name, exact=True).first)
    if form.get_attribute("open") is None:
        form.locator("summary").click()
    for field, value in fields.items():
        form.locator(f"[name={field}]").fill(value)
    form.locator("button").click()


def test_an_admin_changes_what_there_is_to_change(
    visit: Visit, site: Website, sheets: Sheets
) -> None:
    account_id = site.account(tokens=10, member=False)
    generation_id, _ = sheets.make(account_id)
    page = visit(site.account(), role="admin").page(f"/support/accounts/{account_id}")
    rows = page.get_by_test_id("timeline-row")
    change(page, "发放代币", amount="20", note="补偿")
    expect(page.get_by_test_id("toast")).to_contain_text("代币已发放")
    expect(rows.first).to_contain_text("补偿")
    assert numbers(page) == [25, 0, 25]
    change(page, "收回代币", amount="26", note="多发")
    alert = page.locator(".changes [role=alert]:visible")
    expect(alert).to_contain_text("25")
    assert numbers(page) == [25, 0, 25]
    change(page, "收回代币", amount="20", note="多发")
    expect(rows.first).to_contain_text("多发")
    assert numbers(page) == [5, 0, 5]
    change(page, "设为会员", note="年费")
    expect(rows.first).to_contain_text("成为会员")
    expect(rows.first).to_contain_text("年费")
    expect(page.locator(".facts")).to_contain_text("会员会员")
    expect(page.get_by_role("slider")).to_have_attribute("max", str(rows.count()))
    page.goto(f"/support/generations/{generation_id}")
    change(page, "退还扣费", note="图片有瑕疵")
    expect(rows).to_have_count(3)
    expect(rows.last).to_contain_text("图片有瑕疵")
    expect(page.locator(".changes")).to_have_count(0)
    assert site.admin("GET", f"/v1/audit/accounts/{account_id}")["available"] == 10


def test_a_lost_answer_is_asked_for_again_and_done_once(visit: Visit, site: Website) -> None:
    account_id = site.account(tokens=0)
    page = visit(site.account(), role="admin", language="en").page(
        f"/support/accounts/{account_id}"
    )
    keys: list[Any] = []

    def lose(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        route.fetch()
        route.abort()

    page.route("**/grants", lose)
    change(page, "Grant tokens", amount="5", note="sorry")
    expect(page.locator(".changes [role=alert]:visible")).to_contain_text("nothing is done twice")
    page.unroute("**/grants")
    page.get_by_role("button", name="Grant tokens").click()
    expect(page.get_by_test_id("timeline-row").first).to_contain_text("sorry")
    assert numbers(page) == [5, 0, 5]
    assert len(keys) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_nothing_is_in_anybodys_way(
    visit: Visit, site: Website, told: str, language: str, scheme: str
) -> None:
    name = f"support-{language}-{scheme}"
    page = visit(site.account(), role="admin", language=language, color_scheme=scheme).page(
        f"/support?q={told}"
    )
    look(page, f"{name}-found")
    page.get_by_role("link", name=HOSTILE).click()
    page.locator(".changes summary").first.click()
    look(page, f"{name}-account")
    page.goto(f"{page.url}?event=3&at=2001-01-01T00:00")
    assert axe(page) == []
    page.goto(f"{page.url.partition('?')[0]}?event=3")
    look(page, f"{name}-past")
    page.locator(".holds a").click()
    page.locator(".changes summary").click()
    look(page, f"{name}-generation")
    page.goto("/support?q=nobody-is-called-that")
    assert axe(page) == []
