"""Storage that is away fails a generation as `storage_failed`, and nothing is charged."""

import hashlib
import io
import os
import signal
from pathlib import Path
from typing import Any

from PIL import Image

import databases
from s3_server import S3Server, s3_server
from stack import Stack, wait_until


def _settings(server: S3Server) -> dict[str, str]:
    return {
        "S3_ENDPOINT": server.endpoint,
        "S3_ACCESS_KEY": server.access_key,
        "S3_SECRET_KEY": server.secret_key,
        "S3_BUCKET": "pictures",
    }


def _draw(stack: Stack, key: str) -> dict[str, Any]:
    with stack.client(key) as client:
        answer = client.post(
            "/v1/generations",
            json={"prompt_id": "dreamy-forest"},
            headers={"Prefer": "wait=60"},
        )
        assert answer.status_code == 200, answer.text
        generation: dict[str, Any] = answer.json()
        return generation


def test_an_s3_server_serves_the_flow_and_its_death_costs_nobody(
    database: databases.Database, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    with (
        s3_server(tmp_path / "s3") as server,
        Stack(database, tmp_path / "home", _settings(server)) as stack,
    ):
        stack.start_api()
        stack.start_projector()
        stack.start_worker()
        key = stack.open_account("ada", tokens=100)
        drawn = _draw(stack, key)
        assert drawn["status"] == "succeeded"
        (image,) = drawn["images"]
        with stack.client(key) as ada:
            link = ada.get(image["download_url"])
            assert link.status_code == 307
            assert link.headers["location"].startswith(server.endpoint)
            data = ada.get(image["download_url"], follow_redirects=True).content
            assert hashlib.sha256(data).hexdigest() == image["sha256"]

        os.kill(server.pid, signal.SIGKILL)
        failed = _draw(stack, key)
        assert failed["status"] == "failed"
        assert failed["error"]["reason"] == "storage_failed"
        with stack.client(key) as ada:
            assert ada.get("/v1/balance").json()["available"] == 95
            ready = wait_until(lambda: _unready(ada.get("/health/ready")), what="unreadiness")
            assert "storage" in ready
            refused = ada.post(
                "/v1/generations",
                files={"reference_image": ("a.png", _png(), "image/png")},
                data={"prompt_id": "dreamy-forest"},
            )
            assert refused.status_code == 503
            assert refused.json()["code"] == "UNAVAILABLE"
            assert "retry-after" in refused.headers
            assert ada.get("/v1/balance").json()["held"] == 0


def test_a_folder_that_cannot_be_written_fails_too(
    database: databases.Database, tmp_path: Path
) -> None:
    with Stack(database, tmp_path) as stack:
        stack.start_api()
        stack.start_projector()
        stack.start_worker()
        key = stack.open_account("ada", tokens=100)
        # A file where the account's folder would be: root may write anywhere else.
        (tmp_path / "storage" / "objects" / "ada").write_text("in the way")
        failed = _draw(stack, key)
        assert failed["error"]["reason"] == "storage_failed"
        with stack.client(key) as ada:
            assert ada.get("/v1/balance").json()["available"] == 100


def _unready(answer: Any) -> str | None:
    return answer.text if answer.status_code == 503 else None


def _png() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8)).save(target, "PNG")
    return target.getvalue()
