"""The README's curl flow, pasted as written, against `mintage up` in an empty folder."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import databases
from api.settings import Settings
from s3_server import free_ports
from stack import SUPPORT, wait_until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SHELL_BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def folder() -> Iterator[Path]:
    with databases.temporary_home() as home:
        (home / "docs").mkdir()
        shutil.copy(ROOT / "docs" / "sample.jpg", home / "docs")
        yield home


@pytest.mark.timeout(300)
def test_the_curl_flow_works_as_pasted(folder: Path) -> None:
    assert shutil.which("curl"), "apt-get install curl"
    (port,) = free_ports(1)
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": str(SUPPORT.parents[1] / "src"),
        "PORT": str(port),
        "MOCK_DELAY_MS": "100",
    }
    with (folder / "out").open("wb") as out:
        up = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "up"], cwd=folder, env=environment, stdout=out
        )
    try:
        printed = wait_until(
            lambda: re.search(r"user\s+(mint_\S+)", (folder / "out").read_text()),
            seconds=120,
            what="the key",
        )
        settings, ask, fetch, look = SHELL_BLOCKS
        assert "export KEY=mint_…" in settings
        script = "\n".join(
            [
                "set -eu",
                f"export MINTAGE=http://127.0.0.1:{port} KEY={printed[1]}",
                f'curl -sS $MINTAGE/v1/balance -H "Authorization: Bearer $KEY"; echo; {ask}',
                f"echo; {fetch}",
                look,
                ask,
            ]
        )
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=environment | {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert done.returncode == 0, done.stderr
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(timeout=60)

    decoder = json.JSONDecoder()
    documents, rest = [], done.stdout
    while found := re.search(r"\{", rest):
        document, end = decoder.raw_decode(rest, found.start())
        documents.append(document)
        rest = rest[end:]
    before, generation, after, statement, again = documents
    (image,) = generation["images"]
    assert re.search(rf"{image['sha256']}\s+picture.png", done.stdout)
    assert before["available"] - after["available"] == generation["cost"]["charged"] == 5
    assert statement["items"][0]["generation_id"] == generation["id"]
    assert statement["items"][0]["amount"] == -5
    assert again["id"] == generation["id"]
    shown = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    assert _shape(json.loads(shown[1])) == _shape(generation)


def _shape(value: object) -> object:
    match value:
        case dict():
            return {key: _shape(inner) for key, inner in value.items()}
        case list():
            return [_shape(inner) for inner in value]
        case _:
            return type(value).__name__


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_setting_is_in_the_readme() -> None:
    for field in Settings.__struct_fields__:
        assert f"`{field.upper()}`" in README, field
