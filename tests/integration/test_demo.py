import hashlib
import io
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import mintage
from databases import temporary_home


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_home() as found:
        (found / "tmp").mkdir()
        (found / "tmp").chmod(0o711)
        yield found


def settings(folder: Path) -> dict[str, str]:
    return {"TMPDIR": str(folder / "tmp"), "COLUMNS": "80"}


def test_the_demo_plays_the_whole_flow_and_leaves_nothing_but_the_picture(folder: Path) -> None:
    done = mintage.run("demo", home=folder, **settings(folder))
    assert done.returncode == 0, done.stderr
    told = done.stdout
    for text in (
        "402 INSUFFICIENT_TOKENS",
        "generating",
        "succeeded: charged 5, 95 tokens left",
        "failed: blocked",
        "charged 0, 95 tokens as before",
        "Idempotency-Replayed: true",
        "The statement of demo-user-123",
        "TokensConsumed",
        "GenerationFailed",
    ):
        assert text in told
    assert max(map(len, told.splitlines())) <= 80
    picture = folder / "mintage-demo.png"
    assert str(picture) in told
    assert list((folder / "tmp").iterdir()) == []
    assert not (folder / "postgres").exists()


def test_the_picture_is_the_one_that_was_charged_for(folder: Path) -> None:
    document = mintage.run_json("demo", home=folder, **settings(folder))
    data = Path(document["picture"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == document["sha256"]
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        assert image.size == (1248, 832)


def test_a_demo_that_is_interrupted_leaves_nothing(folder: Path) -> None:
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(
            [*mintage.COMMAND, "demo"],
            # The second chapter lasts longer than it takes to interrupt it.
            env=mintage.environment(folder, settings(folder) | {"MOCK_DELAY_MS": "30000"}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        mintage.until(lambda: "402" in (folder / "out").read_text(), what="the first chapter")
        pids = mintage.descendants(process.pid)
        assert len(pids) >= 4
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=mintage.STOP_SECONDS_MAX) != 0
    finally:
        process.kill()
        process.wait()
    mintage.until(lambda: not any(map(mintage.alive, pids)), what="the end of every process")
    assert list((folder / "tmp").iterdir()) == []
    assert "Traceback" not in (folder / "out").read_text()
    assert json.dumps(str(folder / "mintage-demo.png")) not in (folder / "out").read_text()
