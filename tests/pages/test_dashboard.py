"""The gallery: pages of it, a full view, favourites, downloads, and each of its states."""

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from browser import Visitor, axe, check_fit, look
from sheets import SIZES, Sheets, sheets_of
from website import Website

Visit = Callable[..., Visitor]

PAGE = 16
HOSTILE = "<script>document.title='x'</script>\"'\\ \u202egnp.exe 🎨 &amp;"


@pytest.fixture(scope="module")
def sheets(site: Website) -> Iterator[Sheets]:
    with sheets_of(site) as sheets:
        yield sheets


@pytest.fixture(scope="module")
def full(site: Website, sheets: Sheets) -> str:
    """An account with more than a page of pictures, in all shapes; tests only read it."""
    account_id = site.account(tokens=1000, name="演示用户")
    for number in range(30):
        shape = list(SIZES)[number % len(SIZES)]
        sheets.make(account_id, shape, title=f"梦幻森林 {number + 1}")
    return account_id


@pytest.fixture(scope="module")
def few(site: Website, sheets: Sheets) -> str:
    """An account with one picture of each shape; tests only read it."""
    account_id = site.account()
    for shape in SIZES:
        sheets.make(account_id, shape)
    return account_id


def ids(page: Page) -> list[str]:
    found: list[str] = page.get_by_test_id("gallery-item").evaluate_all(
        "items => items.map(each => each.dataset.imageId)"
    )
    return found


def listed(page: Page, query: str = "") -> list[str]:
    """What the API says, asked from within the page."""
    found: list[str] = page.evaluate(
        "query => fetch('/v1/images?limit=100' + query).then(a => a.json())"
        ".then(page => page.items.map(each => each.id))",
        query,
    )
    return found


def test_more_comes_below_and_is_there_again_after_a_reload(visit: Visit, full: str) -> None:
    page = visit(full).page("/dashboard")
    everything = listed(page)
    assert ids(page) == everything[:PAGE]
    more = page.get_by_test_id("load-more")
    more.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("gallery-item")).to_have_count(30)
    assert ids(page) == everything
    expect(page.get_by_test_id("gallery-item").nth(PAGE).locator(".shot-open")).to_be_focused()
    expect(more).to_have_count(0)
    expect(page).to_have_url(re.compile(r"/dashboard\?shown=30$"))
    page.reload()
    assert ids(page) == everything


def test_without_script_pages_follow_each_other(visit: Visit, full: str) -> None:
    page = visit(full, java_script_enabled=False).page("/dashboard")
    first = page.get_by_test_id("gallery-item")
    expect(first).to_have_count(PAGE)
    expect(first.first.locator(".shot-foot")).to_contain_text("梦幻森林 30")
    page.get_by_test_id("load-more").click()
    expect(first).to_have_count(30 - PAGE)
    expect(first.last).to_contain_text("梦幻森林 1")
    page.get_by_role("link", name="回到最新").click()
    first.first.locator(".shot-pick input").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="打包下载").click()
    assert zipfile.is_zipfile(download.value.path())


def test_nothing_jumps_and_nothing_is_cut(visit: Visit, full: str) -> None:
    visitor = visit(full)
    page = visitor.page()
    page.route("**/thumbnail", lambda _: None)  # they never come
    page.goto("/dashboard")
    places = "items => items.map(e => JSON.stringify(e.getBoundingClientRect()))"
    before = page.locator(".shot-open").evaluate_all(places)
    page.unroute("**/thumbnail")
    page.reload()
    page.wait_for_function("() => document.querySelectorAll('.shot-open.loaded').length > 5")
    assert page.locator(".shot-open").evaluate_all(places) == before
    assert page.locator(".shot-open.loaded img").evaluate_all(
        "images => images.every(i => Math.abs(i.width / i.height - "
        "i.naturalWidth / i.naturalHeight) < 0.02)"
    )


def test_favourites_and_words_choose(visit: Visit, site: Website, sheets: Sheets) -> None:
    account_id = site.account()
    for title in ("山峰日出", "樱花之春"):
        sheets.make(account_id, title=title)
    page = visit(account_id).page("/dashboard")
    page.get_by_role("button", name="收藏：山峰日出").click()
    expect(page.get_by_role("button", name="收藏：山峰日出")).to_have_attribute(
        "aria-pressed", "true"
    )
    page.wait_for_function(
        "() => fetch('/v1/images?favorite=true').then(a => a.json())"
        ".then(page => page.items.length === 1)"
    )
    page.get_by_role("link", name="收藏", exact=True).click()
    items = page.get_by_test_id("gallery-item")
    expect(items).to_have_count(1)
    expect(items).to_contain_text("山峰日出")
    page.get_by_role("link", name="全部", exact=True).click()
    page.get_by_role("searchbox").fill("樱花")
    page.keyboard.press("Enter")
    expect(items).to_have_count(1)
    expect(items).to_contain_text("樱花之春")
    page.get_by_role("searchbox").fill("%")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("gallery-empty")).to_contain_text("没有符合条件的作品")


def test_a_favourite_that_is_not_taken_is_shown_as_it_is(
    visit: Visit, site: Website, sheets: Sheets
) -> None:
    account_id = site.account()
    sheets.make(account_id)
    page = visit(account_id).page("/dashboard")
    page.route("**/favorite", lambda route: route.abort())
    star = page.locator(".shot .star")
    star.click()
    expect(page.get_by_test_id("toast")).to_contain_text("暂时连接不上服务")
    expect(star).to_have_attribute("aria-pressed", "false")


def test_the_full_view_by_keyboard(visit: Visit, full: str) -> None:
    page = visit(full).page("/dashboard")
    everything = listed(page)
    view = page.get_by_role("dialog")
    page.get_by_test_id("gallery-item").nth(PAGE - 2).locator(".shot-open").focus()
    page.keyboard.press("Enter")
    expect(view).to_be_visible()
    expect(view).to_contain_text(f"{PAGE - 1} / {PAGE}")
    expect(view.locator("h2")).to_have_text("梦幻森林 16")
    expect(view.locator("dl")).to_contain_text("花费5")
    page.keyboard.press("ArrowRight")
    expect(view).to_contain_text(f"{PAGE} / {PAGE}")
    page.keyboard.press("ArrowRight")  # the next page is loaded on the way
    expect(view).to_contain_text(f"{PAGE + 1} / 30")
    expect(view.locator("h2")).to_have_text("梦幻森林 14")
    page.wait_for_function(
        "id => document.querySelector('#view img').currentSrc.includes(`${id}/content`)",
        arg=everything[PAGE],
    )
    link = view.get_by_test_id("download-link").get_attribute("href")
    assert link is not None
    assert link.endswith(f"/v1/images/{everything[PAGE]}/download")
    page.keyboard.press("ArrowLeft")
    expect(view).to_contain_text(f"{PAGE} / 30")
    page.keyboard.press("Escape")
    expect(view).to_be_hidden()
    expect(page.get_by_test_id("gallery-item").nth(PAGE - 1).locator(".shot-open")).to_be_focused()


def test_the_keyboard_reaches_everything_of_an_item(visit: Visit, full: str) -> None:
    page = visit(full).page("/dashboard")
    item = page.get_by_test_id("gallery-item").first
    item.locator(".shot-open").focus()
    expect(item.locator(".shot-foot")).to_have_css("opacity", "1")
    for reached in (".shot-pick input", ".star", ".shot-foot a"):
        page.keyboard.press("Tab")
        expect(item.locator(reached)).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="打包下载")).to_be_visible()


def test_a_finger_finds_the_words_without_hovering(visit: Visit, few: str) -> None:
    page = visit(few, has_touch=True, is_mobile=True, width=390).page("/dashboard")
    item = page.get_by_test_id("gallery-item").first
    expect(item.locator(".shot-foot")).to_have_css("opacity", "1")
    expect(item.locator(".shot-pick")).to_have_css("opacity", "1")
    assert axe(page) == []
    item.locator(".shot-open").tap()
    expect(page.get_by_role("dialog").get_by_test_id("download-link")).to_be_visible()


def test_one_download_is_the_stored_bytes(visit: Visit, site: Website, sheets: Sheets) -> None:
    account_id = site.account()
    _, (image,) = sheets.make(account_id)
    page = visit(account_id).page("/dashboard")
    page.get_by_test_id("gallery-item").hover()
    with page.expect_download() as download:
        page.get_by_test_id("gallery-item").get_by_test_id("download-link").click()
    assert download.value.suggested_filename == f"梦幻森林-{str(image.id)[-8:]}.png"
    assert Path(download.value.path()).read_bytes() == sheets.storage.get(image.key)


def test_many_come_as_a_zip_with_safe_names(visit: Visit, site: Website, sheets: Sheets) -> None:
    account_id = site.account(name=HOSTILE)
    _, images = sheets.make(account_id, count=3, title=HOSTILE)
    visitor = visit(account_id)
    page = visitor.page("/dashboard")
    expect(page).to_have_title("作品 · 铸影")
    items = page.get_by_test_id("gallery-item")
    expect(items.first.locator(".shot-title")).to_have_text(HOSTILE)
    expect(page.locator("header .name")).to_have_text(HOSTILE)
    assert items.first.locator("img").get_attribute("alt") == HOSTILE
    for number in (0, 2):
        items.nth(number).locator(".shot-pick input").check()
    expect(page.locator("[data-picked]")).to_have_text("已选 2 张")
    with page.expect_download() as download:
        page.get_by_role("button", name="打包下载").click()
    data = Path(download.value.path()).read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        stored = [sheets.storage.get(images[number].key) for number in (2, 0)]
        assert [files.read(name) for name in files.namelist()] == stored
        for name in files.namelist():
            assert re.fullmatch(r'[12]-[^\x00-\x1f\u202e/\\:*?"<>|]+\.png', name), name
    page.get_by_role("button", name="清除").click()
    expect(page.locator(".picked")).to_be_hidden()
    items.first.locator(".shot-open").click()
    expect(page.get_by_role("dialog").locator("h2")).to_have_text(HOSTILE)


def test_more_than_a_zip_holds_is_said_beforehand(visit: Visit, full: str) -> None:
    page = visit(full, language="en").page("/dashboard")
    page.evaluate("document.getElementById('gallery').dataset.imagesMax = 1")
    for number in range(2):
        page.locator(".shot-pick input").nth(number).check()
    expect(page.locator("[data-picked]")).to_have_text("2 selected; one zip holds 1 at most.")
    expect(page.get_by_role("button", name="Download as zip")).to_be_disabled()


@pytest.mark.parametrize(
    ("language", "words", "retry"),
    [
        ("zh-CN", "暂时连接不上服务", "重试"),
        ("en", "The service cannot be reached just now", "Try again"),
    ],
)
def test_more_that_does_not_come_is_said_and_tried_again(
    visit: Visit, full: str, language: str, words: str, retry: str
) -> None:
    page = visit(full, language=language).page("/dashboard")
    page.route("**/dashboard?*", lambda route: route.abort())
    page.get_by_test_id("load-more").click()
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.get_by_test_id("gallery-item")).to_have_count(PAGE)
    assert axe(page) == []
    page.unroute("**/dashboard?*")
    page.get_by_role("link", name=retry).click()
    expect(page.get_by_test_id("gallery-item")).to_have_count(30)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_what_is_on_its_way_has_its_place(visit: Visit, full: str) -> None:
    page = visit(full).page("/dashboard")
    waiting: list[Route] = []

    def keep(route: Route) -> None:
        waiting.append(route)

    page.route("**/dashboard?*", keep)
    page.get_by_test_id("load-more").click()
    expect(page.locator(".shot.waiting")).to_have_count(6)
    assert axe(page) == []
    while not waiting:
        page.wait_for_timeout(50)
    waiting[0].continue_()
    expect(page.get_by_test_id("gallery-item")).to_have_count(30)
    expect(page.locator(".shot.waiting")).to_have_count(0)


def test_a_picture_that_is_gone_leaves_its_title(
    visit: Visit, site: Website, sheets: Sheets
) -> None:
    account_id = site.account()
    _, (image,) = sheets.make(account_id, title="山峰日出")
    sheets.storage.delete(image.thumbnail_key)
    page = visit(account_id).page("/dashboard")
    expect(page.locator(".shot-open")).to_have_class(re.compile("broken"))
    assert axe(page) == []
    check_fit(page, "dashboard-broken")


def test_what_is_made_elsewhere_appears(visit: Visit, site: Website, sheets: Sheets) -> None:
    account_id = site.account()
    page = visit(account_id).page("/dashboard")
    expect(page.get_by_test_id("gallery-empty")).to_contain_text("还没有作品")
    sheets.make(account_id, title="第一张")
    expect(page.get_by_test_id("gallery-item")).to_have_count(1)
    sheets.make(account_id, title="第二张")
    expect(page.get_by_test_id("gallery-item")).to_have_count(2)
    expect(page.get_by_test_id("gallery-item").first).to_contain_text("第二张")
    expect(page.get_by_test_id("token-balance")).to_contain_text("90")


def test_one_generations_images_are_its_owners(visit: Visit, site: Website, sheets: Sheets) -> None:
    owner, other = site.account(), site.account()
    generation_id, _ = sheets.make(owner, count=2)
    sheets.make(owner)
    page = visit(owner).page(f"/dashboard?generation={generation_id}")
    expect(page.get_by_test_id("gallery-item")).to_have_count(2)
    page = visit(other).page(f"/dashboard?generation={generation_id}")
    expect(page.locator("h1")).to_have_text("未找到")
    for query in ("cursor=nonsense", "shown=0", "shown=9999", "generation=x", "favorite=maybe"):
        page.goto(f"/dashboard?{query}")
        expect(page.locator("h1")).to_have_text("输入无效")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_nothing_is_in_anybodys_way(
    visit: Visit, site: Website, few: str, language: str, scheme: str
) -> None:
    name = f"dashboard-{language}-{scheme}"
    page = visit(few, language=language, color_scheme=scheme).page("/dashboard")
    page.wait_for_function("() => document.querySelectorAll('.shot-open.loaded').length === 7")
    for number in range(2):
        page.locator(".shot-pick input").nth(number).check()
    look(page, name)
    page.locator(".shot-open").nth(1).click()
    page.wait_for_function(
        "() => document.querySelector('#view img').currentSrc.includes('/content')"
    )
    look(page, f"{name}-view")
    page = visit(site.account(), language=language, color_scheme=scheme).page("/dashboard")
    look(page, f"{name}-empty")
