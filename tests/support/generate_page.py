"""What a person does on the page where pictures are made, and what they see of it."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from api_client import png

STEPS = ("validating", "generating", "storing", "completed")
SAMPLE = Path(__file__).parents[2] / "docs" / "sample.jpg"


def choose(page: Page, prompt_id: str) -> None:
    """Pick a subject."""
    page.locator(f'[data-testid="prompt-card"][data-prompt-id="{prompt_id}"]').click()


def add_picture(page: Page, data: bytes | None = None, name: str = "mine.png") -> None:
    """Choose a reference image."""
    page.get_by_test_id("reference-input").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": png(64) if data is None else data}
    )


def button(page: Page) -> Locator:
    """The one that spends tokens."""
    return page.get_by_test_id("generate-button")


def tile(page: Page, number: int = 0) -> Locator:
    """The newest generation, or an earlier one."""
    return page.locator("#tiles > li").nth(number)


def make(page: Page, prompt_id: str) -> Locator:
    """Pick and press; the tile that comes of it."""
    choose(page, prompt_id)
    before = page.locator("#tiles > li").count()
    button(page).click()
    expect(page.locator("#tiles > li")).to_have_count(before + 1)
    return tile(page)


def expect_step(tile: Locator, step: str, state: str) -> None:
    """Wait until the step has that state."""
    element = tile.get_by_test_id(f"step-{step}")
    expect(element).to_have_attribute("data-state", state)


def expect_done(tile: Locator, pictures: int = 1) -> None:
    """Wait until all steps are done and the pictures are there."""
    for step in STEPS:
        expect_step(tile, step, "done")
    expect(tile.get_by_test_id("result-image")).to_have_count(pictures)


def expect_balance(page: Page, available: int, *, timeout: float | None = None) -> None:
    """Wait until the head of the page shows it."""
    number = page.locator('[data-testid="token-balance"] [data-balance="available"]')
    expect(number).to_have_text(str(available), timeout=timeout)
