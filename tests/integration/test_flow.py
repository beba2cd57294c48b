"""The main job, through real processes: ask with a picture, get a picture, be charged once."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import databases
from stack import Stack, ended, story


@pytest.fixture
def stack(database: databases.Database, tmp_path: Path) -> Iterator[Stack]:
    with Stack(database, tmp_path) as running:
        running.start_api()
        running.start_projector()
        running.start_worker()
        yield running


def jpeg() -> bytes:
    target = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").resize((320, 240)).save(target, "JPEG")
    return target.getvalue()


def test_a_picture_is_drawn_stored_charged_once_and_told_in_the_log(stack: Stack) -> None:
    key = stack.open_account("ada", tokens=100)
    with stack.client(key) as ada:
        before = ada.get("/v1/balance").json()
        asked = ada.post(
            "/v1/generations",
            data={"prompt_id": "dreamy-forest", "count": "2", "aspect_ratio": "3:2"},
            files={"reference_image": ("me.jpg", jpeg(), "image/jpeg")},
            headers={"Prefer": "wait=30"},
        )
        assert asked.status_code == 200, asked.text
        generation = asked.json()
        assert generation["status"] == "succeeded"
        assert generation["step"] == "completed"
        assert generation["cost"] == {"held": 0, "charged": 10}
        assert generation["remaining_tokens"] == 90
        assert len(generation["images"]) == 2
        for image in generation["images"]:
            data = ada.get(image["download_url"], follow_redirects=True)
            assert hashlib.sha256(data.content).hexdigest() == image["sha256"]
            assert len(data.content) == image["bytes"]
            assert "attachment" in data.headers["content-disposition"]
            opened = Image.open(io.BytesIO(data.content))
            assert opened.size == (image["width"], image["height"])
            thumbnail = ada.get(image["thumbnail_url"], follow_redirects=True)
            small = Image.open(io.BytesIO(thumbnail.content))
            assert small.format == "WEBP"
            assert max(small.size) <= 512
        reference = ada.get(generation["reference_url"], follow_redirects=True)
        assert Image.open(io.BytesIO(reference.content)).size == (320, 240)
        after = ada.get("/v1/balance").json()
        assert before["available"] - after["available"] == 10
        assert after["held"] == 0
        line = ada.get("/v1/transactions").json()["items"][0]
        assert (line["type"], line["amount"], line["balance"]) == ("token_consumption", -10, 90)
        assert line["generation_id"] == generation["id"]
        listed = ada.get("/v1/images").json()["items"]
        assert {image["id"] for image in listed} == {i["id"] for i in generation["images"]}
    assert story(stack.database, generation["id"]) == ["generation_requested", "tokens_consumed"]


def test_a_failure_costs_nothing(stack: Stack) -> None:
    key = stack.open_account("bob", tokens=100)
    prompt = stack.add_prompt("[mock:fail:blocked]")
    with stack.client(key) as bob:
        asked = bob.post(
            "/v1/generations", json={"prompt_id": prompt}, headers={"Prefer": "wait=30"}
        )
        generation = asked.json()
        assert generation["status"] == "failed"
        assert generation["error"]["reason"] == "blocked"
        assert generation["cost"] == {"held": 0, "charged": 0}
        assert bob.get("/v1/balance").json()["available"] == 100
    assert story(stack.database, generation["id"]) == ["generation_requested", "generation_failed"]


def test_a_cancel_releases_the_hold_and_the_first_ending_wins(stack: Stack) -> None:
    key = stack.open_account("eve", tokens=100)
    prompt = stack.add_prompt("[mock:delay:30000]")
    with stack.client(key) as eve:
        generation = eve.post("/v1/generations", json={"prompt_id": prompt}).json()
        assert eve.get("/v1/balance").json()["held"] == 5
        canceled = eve.post(f"/v1/generations/{generation['id']}/cancel")
        assert canceled.status_code == 200
        assert canceled.json()["status"] == "canceled"
        again = eve.post(f"/v1/generations/{generation['id']}/cancel")
        assert again.json()["ended_at"] == canceled.json()["ended_at"]
        balance = eve.get("/v1/balance").json()
        assert (balance["available"], balance["held"]) == (100, 0)
    assert story(stack.database, generation["id"]) == ["generation_requested", "generation_failed"]


def test_what_is_open_past_its_deadline_expires(
    database: databases.Database, tmp_path: Path
) -> None:
    settings = {"GENERATION_DEADLINE_SECONDS": "1", "GENERATION_LEASE_SECONDS": "30"}
    with Stack(database, tmp_path, settings) as stack:
        stack.start_api()
        stack.start_projector()
        key = stack.open_account("zoe", tokens=100)
        prompt = stack.add_prompt("[mock:delay:30000]")
        with stack.client(key) as zoe:
            waiting = zoe.post("/v1/generations", json={"prompt_id": prompt}).json()
            stack.start_worker()
            generation = ended(zoe, waiting["id"])
            assert generation["error"]["reason"] == "expired"
            assert zoe.get("/v1/balance").json()["available"] == 100
