"""Whatever others have written is shown as the text that it is."""

from collections.abc import Callable

from playwright.sync_api import expect

from browser import Visitor, axe, check_fit
from generate_page import add_picture, choose, expect_done, expect_step, make
from website import Website

Visit = Callable[..., Visitor]
SCRIPT = """</script><script>alert(1)</script><img src=x onerror="alert(2)">"""
TITLE = f"""{SCRIPT} '"`& 🔥\u202eabc"""
NAME = "<b onclick=alert(3)>'\"</b> 👩‍👩‍👧 \u202eevil\u202c {{7*7}} ${1} %s"
FILE_NAME = "<img src=x onerror=alert(4)>" + "名" * 3_000 + ".png"


def test_titles_names_and_files_are_text(visit: Visit, site: Website) -> None:
    prompt = site.prompt(
        TITLE, "[mock:delay:5000]", description=(SCRIPT * 7)[:500], category="<i>x</i>"
    )
    page = visit(site.account(name=NAME), width=320).page("/generate")
    card = page.locator(f'[data-prompt-id="{prompt}"]')
    expect(card.locator(".card-title")).to_have_text(TITLE)
    expect(page.locator(".menu .name")).to_have_text(NAME)
    add_picture(page, name=FILE_NAME)
    expect(page.locator(".file-name")).to_have_text(FILE_NAME)
    made = make(page, prompt)
    expect(made.locator("h3")).to_have_text(TITLE)
    expect_step(made, "generating", "active")
    expect_done(made)
    image = made.get_by_test_id("result-image")
    expect(image).to_have_attribute("alt", f"{TITLE}，第 1 张")
    expect(page.get_by_test_id("toast").last).to_contain_text("</script><script>alert(1)")
    assert axe(page) == []
    check_fit(page, "generate-hostile")
    with page.expect_download() as saving:
        made.get_by_test_id("download-link").click()
    assert "<" not in saving.value.suggested_filename
    page.reload()
    expect(page.locator("#tiles h3")).to_have_text(TITLE)


def test_a_place_to_go_on_to_is_text(visit: Visit) -> None:
    page = visit().page(f"/login?next=/{SCRIPT.replace(' ', '+')}")
    page.get_by_role("button").first.wait_for()
    assert page.locator("script").count() == 2
    page.goto(f"/{SCRIPT.replace(' ', '%20')}")
    expect(page.locator("h1")).to_be_visible()


def test_a_long_list_of_subjects_is_still_of_use(visit: Visit, site: Website) -> None:
    prompt = site.prompt("长" * 100, description="述" * 500, category="类" * 50)
    page = visit(site.account(), width=320).page("/generate")
    choose(page, prompt)
    check_fit(page, "generate-long")
