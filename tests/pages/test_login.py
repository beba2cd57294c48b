"""Getting in and out, and the language that stays."""

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import expect

from browser import Visitor, axe, check_fit
from website import Website

Visit = Callable[..., Visitor]


@pytest.mark.parametrize("script", [True, False])
def test_one_press_enters_the_demo_with_and_without_script(
    visit: Visit, site: Website, *, script: bool
) -> None:
    page = visit(java_script_enabled=script).page("/")
    assert page.url.endswith("/login?next=%2Fgenerate")
    page.get_by_role("button", name="进入演示账户").click()
    expect(page).to_have_url(re.compile("/generate$"))
    expect(page.get_by_test_id("token-balance")).to_contain_text(
        f"可用 {site.balance('demo-user-123')['available']}"
    )
    expect(page.locator('[data-prompt-id="dreamy-forest"]')).to_be_visible()
    page.get_by_text("演示用户").click()
    page.get_by_role("button", name="退出登录").click()
    expect(page).to_have_url(re.compile("/login$"))
    page.goto("/generate")
    assert page.url.endswith("/login?next=%2Fgenerate")


@pytest.mark.parametrize(
    ("given", "reached"),
    [
        ("/generate?x=1", "/generate?x=1"),
        ("//evil.example/x", "/generate"),
        ("/\\evil.example", "/generate"),
        ("https://evil.example/", "/generate"),
        ("javascript:alert(1)", "/generate"),
        ("/%0d%0aX: y", "/generate"),
    ],
)
def test_a_login_leads_to_pages_of_ours_only(site: Website, given: str, reached: str) -> None:
    with httpx.Client(base_url=site.url) as client:
        answer = client.post("/login", data={"next": given}, headers={"Origin": site.url})
        assert (answer.status_code, answer.headers["Location"]) == (303, reached)


def test_another_sites_form_logs_nobody_in_or_out(site: Website) -> None:
    with httpx.Client(base_url=site.url) as client:
        for path in ("/login", "/logout", "/language"):
            headers = {"Origin": "https://evil.example", "Accept": "text/html"}
            answer = client.post(path, data={"language": "en"}, headers=headers)
            assert answer.status_code == 403
            assert "Set-Cookie" not in answer.headers
        client.post("/login", data={"next": "/"}, headers={"Origin": site.url})
        answer = client.post("/logout", data={"csrf_token": "x"}, headers={"Origin": site.url})
        assert answer.status_code == 403
        assert client.get("/v1/me").status_code == 200


def test_the_language_is_chosen_and_stays(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page("/login")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="Enter the demo")).to_be_visible()
    page.get_by_role("button", name="Enter the demo").click()
    expect(page.get_by_test_id("token-balance")).to_contain_text("Available")
    later = visitor.page("/generate")
    expect(later.locator("html")).to_have_attribute("lang", "en")
    later.locator("summary").click()
    later.get_by_role("button", name="中文").click()
    expect(later.get_by_test_id("token-balance")).to_contain_text("可用")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_nothing_is_in_anybodys_way(visit: Visit, language: str, scheme: str) -> None:
    page = visit(language=language, color_scheme=scheme).page("/login")
    assert axe(page) == []
    check_fit(page, f"login-{language}-{scheme}")
    page.goto("/nothing-here")
    expect(page.locator("h1")).to_be_visible()
    assert axe(page) == []


def test_every_page_has_a_strict_policy(site: Website) -> None:
    with httpx.Client(base_url=site.url, headers={"Accept": "text/html"}) as client:
        for path, status in (("/login", 200), ("/nothing-here", 404)):
            answer = client.get(path)
            assert answer.status_code == status
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
            assert "unsafe" not in policy
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "same-origin"
            assert "style=" not in answer.text
            assert "<script>" not in answer.text
