"""`mintage demo`: the whole flow once, in a folder of its own."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
import httpx2
import psycopg
from rich.console import Console

from api.console import json_option, print_json, tell
from api.demo.show import WIDTH_MAX, Show
from api.demo.story import Story, UnexpectedAnswerError
from api.launch.stack import Service, Step, running
from api.settings import Settings
from ledger.embedded import remove

MOCK_DELAY_MS = 800
LOG_BYTES_SHOWN = 4_000
PICTURE = "mintage-demo"
EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


@click.command()
@json_option
def demo(*, as_json: bool) -> None:
    """Play the whole flow once: refused, drawn, failed, asked again.

    On a free port, in a temporary folder, with the mock provider, whatever the settings are: it
    touches nothing of yours. The picture is written to ./mintage-demo.png.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=as_json, highlight=False)
    console.width = min(console.width, WIDTH_MAX)
    began = time.monotonic()
    with _folder() as home:
        log = home / "demo.log"
        try:
            with (
                log.open("wb") as output,
                running(_environ(home), report=_report, tell=tell, output=output) as service,
            ):
                path, sha256 = _play(service, Show(console))
        except (UnexpectedAnswerError, httpx2.HTTPError) as error:
            tail = log.read_bytes()[-LOG_BYTES_SHOWN:].decode(errors="replace")
            raise click.ClickException(f"{error}\nWhat was logged:\n{tail}") from None
    seconds = time.monotonic() - began
    if as_json:
        print_json({"picture": str(path), "sha256": sha256, "seconds": round(seconds, 2)})
    else:
        console.print(f"\nThe picture: {path}", soft_wrap=True)
        console.print(f"All as it should be, in {seconds:.1f} s. Nothing is left running.")


def _play(service: Service, show: Show) -> tuple[Path, str]:
    if service.prompt_id is None:
        raise UnexpectedAnswerError("there is no prompt to draw")
    story = Story(service.url, service.keys, service.prompt_id)
    for told in story.play():
        show.tell(told)
    show.statement(service.settings.demo_user_id, story.statement())
    with psycopg.connect(service.settings.database_url or "") as connection:
        show.log(connection)
    picture = story.picture
    if picture is None:
        raise UnexpectedAnswerError("no picture was drawn")
    path = Path.cwd() / f"{PICTURE}.{EXTENSIONS[picture.mime_type]}"
    path.write_bytes(picture.data)
    return path, picture.sha256


@contextmanager
def _folder() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="mintage-demo-"))
    if os.geteuid() == 0:
        home.chmod(0o711)  # the server, another user then, must get through
    try:
        yield home
    finally:
        if (home / "postgres").exists():
            remove(home)
        shutil.rmtree(home, ignore_errors=True)


def _environ(home: Path) -> Mapping[str, str]:
    """The environment without any setting of ours but the demo's own."""
    settings = {name.upper() for name in Settings.__struct_fields__}
    return {
        **{name: value for name, value in os.environ.items() if name not in settings},
        "MINTAGE_HOME": str(home),
        "PORT": "0",
        "MOCK_DELAY_MS": str(MOCK_DELAY_MS),
        "LOG_FORMAT": "json",
    }


def _report(step: Step) -> None:
    tell(f"  {step.name:<11} {step.seconds:5.2f} s  {step.detail}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt
