"""The statement: its lines, what is held above them, and the file for a spreadsheet."""

import csv
import io
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser import Visitor, axe, check_fit, look
from sheets import Sheets, sheets_of
from website import Website

Visit = Callable[..., Visitor]

HOSTILE = "=1+1<script>document.title='x'</script>\"' \u202egnp 🎨"


@pytest.fixture(scope="module")
def sheets(site: Website) -> Iterator[Sheets]:
    with sheets_of(site) as sheets:
        yield sheets


@pytest.fixture(scope="module")
def storied(site: Website, sheets: Sheets) -> str:
    """An account with a line of each kind, and more of them than a page has; only read."""
    account_id = site.account(tokens=200)
    generation_id, _ = sheets.make(account_id, title="梦幻森林")
    site.admin("POST", f"/v1/generations/{generation_id}/refund", note="sorry")
    grants = f"/v1/accounts/{account_id}/grants"
    for _ in range(38):
        site.admin("POST", grants, amount=1, reason="promo")
    site.admin("POST", grants, amount=500, reason="purchase")
    site.admin("POST", f"/v1/accounts/{account_id}/revocations", amount=7, note="sorry")
    return account_id


def rows(page: Page) -> list[list[str]]:
    page.wait_for_load_state()
    found: list[list[str]] = page.locator("[data-line]").evaluate_all(
        "rows => rows.map(row => [row.querySelector('bdi').textContent, "
        "row.cells[1].textContent, row.cells[2].textContent])"
    )
    return found


def test_it_reads_like_a_statement(visit: Visit, storied: str) -> None:
    page = visit(storied).page("/transactions")
    assert rows(page)[:3] == [
        ["收回代币", "−7", "731"],
        ["购买代币", "+500", "738"],
        ["活动赠送", "+1", "238"],
    ]
    expect(page.locator("#sum")).to_contain_text("已结算 731 − 冻结 0 = 可用 731")
    page.get_by_test_id("load-more").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-line]")).to_have_count(43)
    last = rows(page)[-3:]
    assert [line[1:] for line in last] == [["+5", "200"], ["−5", "195"], ["+200", "200"]]
    assert page.locator("tbody").count() == page.locator("tbody").evaluate_all(
        "all => new Set(all.map(each => each.dataset.day)).size"
    )
    for name in ("退还：梦幻森林", "生成图片：梦幻森林"):
        with page.context.expect_page() as opened:
            page.get_by_role("link", name=name).click(modifiers=["ControlOrMeta"])
        expect(opened.value.get_by_test_id("gallery-item")).to_contain_text("梦幻森林")


def test_kinds_and_pages_by_link_alone(visit: Visit, storied: str) -> None:
    page = visit(storied, java_script_enabled=False).page("/transactions")
    page.get_by_test_id("load-more").click()
    assert rows(page)[-1][1:] == ["+200", "200"]
    page.get_by_role("link", name="回到最新").click()
    page.get_by_role("link", name="退款", exact=True).click()
    assert [line[1] for line in rows(page)] == ["+5"]
    page.goto("/transactions?type=theft")
    expect(page.locator("h1")).to_have_text("输入无效")


def test_days_are_the_readers_own(visit: Visit, storied: str) -> None:
    zones = {"Pacific/Kiritimati", "Pacific/Pago_Pago"}  # never on the same day
    days = set()
    for zone in zones:
        page = visit(storied, timezone_id=zone).page("/transactions")
        page.wait_for_function(
            "zone => document.cookie.includes(encodeURIComponent(zone))", arg=zone
        )
        page.goto("/transactions")
        days.add(page.locator("tbody").first.get_attribute("data-day"))
    assert len(days) == 2


def test_what_is_held_is_dashed_until_it_settles_or_vanishes(visit: Visit, site: Website) -> None:
    account_id = site.account()
    slow = site.prompt("很慢")
    lost = site.prompt("失败", "[mock:fail:blocked]")
    page = visit(account_id).page("/transactions")
    expect(page.locator("[data-line]")).to_have_count(1)
    site.stack.kill_workers(signal.SIGTERM)  # until there is one again, both stay held
    try:
        for prompt_id in (slow, lost):
            status = page.evaluate(
                "id => fetch('/v1/generations', {method: 'POST',"
                " body: JSON.stringify({prompt_id: id}),"
                " headers: {'Content-Type': 'application/json', 'X-CSRF-Token':"
                " document.querySelector('meta[name=csrf-token]').content}}).then(a => a.status)",
                prompt_id,
            )
            assert status == 202
        holds = page.locator(".holds li")
        expect(holds).to_have_count(2)
        expect(holds.first).to_have_css("border-top-style", "dashed")
        expect(page.locator("#sum")).to_contain_text("已结算 100 − 冻结 10 = 可用 90")
        assert axe(page) == []
        check_fit(page, "transactions-held")
    finally:
        site.stack.start_worker()
    expect(holds).to_have_count(0)
    expect(page.locator("[data-line]")).to_have_count(2)
    assert rows(page)[0] == ["生成图片：很慢", "−5", "95"]
    expect(page.locator("#sum")).to_contain_text("已结算 95 − 冻结 0 = 可用 95")


def test_the_file_says_the_same_and_runs_nothing(
    visit: Visit, site: Website, sheets: Sheets
) -> None:
    account_id = site.account(name=HOSTILE)
    sheets.make(account_id, title=HOSTILE)
    page = visit(account_id).page("/transactions")
    expect(page).to_have_title("账单 · 铸影")
    assert rows(page)[0] == [f"生成图片：{HOSTILE}", "−5", "95"]
    with page.expect_download() as download:
        page.get_by_role("link", name="下载 CSV").click()
    assert download.value.suggested_filename == "transactions.csv"
    data = Path(download.value.path()).read_bytes()
    told = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert data.startswith(b"\xef\xbb\xbf")
    assert [line["description"] for line in told] == [line[0] for line in rows(page)]
    assert [line["amount"] for line in told] == ["-5", "100"]


def test_more_that_does_not_come_is_said_and_tried_again(visit: Visit, storied: str) -> None:
    page = visit(storied, language="en").page("/transactions")
    page.route("**/transactions?*", lambda route: route.abort())
    page.get_by_test_id("load-more").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    assert axe(page) == []
    page.unroute("**/transactions?*")
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_text("Welcome tokens")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_nothing_is_in_anybodys_way(
    visit: Visit, site: Website, storied: str, language: str, scheme: str
) -> None:
    name = f"transactions-{language}-{scheme}"
    page = visit(storied, language=language, color_scheme=scheme).page("/transactions")
    look(page, name)
    poor = site.account(tokens=0)
    page = visit(poor, language=language, color_scheme=scheme).page("/transactions")
    look(page, f"{name}-empty")
    page.goto("/transactions?type=token_refund")
    assert axe(page) == []
