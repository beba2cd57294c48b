"""What the demo does: five things that matter, each over real HTTP, each checked."""

import hashlib
import io
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2
import msgspec
from PIL import Image, ImageDraw

ANSWER_SECONDS_MAX = 40.0
WAIT_SECONDS = 30
VISITOR = "demo-visitor"
VISITOR_TOKENS = 3
BLOCKED = "demo-blocked"


class UnexpectedAnswerError(Exception):
    """The service did something else than the demo shows; says what."""


class Told(msgspec.Struct, frozen=True):
    """One thing that happened. `heading` begins a chapter, `good` or `bad` is its outcome."""

    text: str
    kind: str = "line"


class Picture(msgspec.Struct, frozen=True):
    """The picture that was drawn, as downloaded."""

    data: bytes
    sha256: str
    mime_type: str


class Story:
    """Plays at `url`. `keys` are the demo's, `prompt_id` one that costs a few tokens."""

    def __init__(self, url: str, keys: dict[str, str], prompt_id: str) -> None:
        self._url = url
        self._admin = _client(url, keys["admin"])
        self._user = _client(url, keys["user"])
        self._prompt_id = prompt_id
        self._key = f"demo-{uuid4()}"
        self._reference = draw_reference()
        self._generation_id = ""
        self.picture: Picture | None = None

    def play(self) -> Iterator[Told]:
        """Tell each thing as it happens. Raises `UnexpectedAnswerError`, httpx2's errors."""
        with self._admin, self._user:
            yield from self._refused()
            yield from self._succeeded()
            yield from self._failed()
            yield from self._replayed()

    def statement(self) -> list[dict[str, Any]]:
        """The demo account's transactions, newest first."""
        with _client(self._url, self._user.headers["Authorization"].partition(" ")[2]) as user:
            items: list[dict[str, Any]] = _json(user.get("/v1/transactions"), 200)["items"]
        return items

    def _refused(self) -> Iterator[Told]:
        yield Told("Refused: too few tokens", "heading")
        account = {"id": VISITOR, "email": "visitor@example.com", "tokens": VISITOR_TOKENS}
        _json(self._admin.post("/v1/accounts", json=account), 201)
        made = self._admin.post(
            f"/v1/accounts/{VISITOR}/keys", json={"role": "user", "name": "demo"}
        )
        with _client(self._url, _json(made, 201)["key"]) as visitor:
            yield Told(f"{VISITOR} has {_available(visitor)} tokens")
            answer = visitor.post("/v1/generations", json={"prompt_id": self._prompt_id})
            problem = _json(answer, 402)
            yield Told(f"POST /v1/generations  402 {problem['code']}", "good")
            yield Told(problem["detail"])
            _expect(_available(visitor) == VISITOR_TOKENS, "a refusal changed the balance")

    def _succeeded(self) -> Iterator[Told]:
        yield Told("Drawn: with a reference picture, charged once", "heading")
        before = _available(self._user)
        yield Told(
            f"demo account: {before} tokens; a JPEG of {len(self._reference):,} bytes goes in"
        )
        began = time.monotonic()
        generation = _json(self._ask(), 202)
        self._generation_id = generation["id"]
        held = generation["cost"]["held"]
        yield Told(f"POST /v1/generations  202, {held} tokens held", "good")
        for step in self._steps(generation["urls"]["events"]):
            yield Told(f"{time.monotonic() - began:5.2f} s  {step}")
        generation = _json(self._user.get(generation["urls"]["self"]), 200)
        _expect(generation["status"] == "succeeded", f"it ended as {generation['status']}")
        charged = generation["cost"]["charged"]
        after = _available(self._user)
        _expect(charged == held and after == before - held, "the charge is not what was held")
        yield Told(f"succeeded: charged {charged}, {after} tokens left", "good")
        image = generation["images"][0]
        data = self._user.get(image["url"], follow_redirects=True).content
        sha256 = hashlib.sha256(data).hexdigest()
        _expect(
            sha256 == image["sha256"], "the bytes downloaded are not those that were charged for"
        )
        self.picture = Picture(data, sha256, image["mime_type"])
        yield Told(f"downloaded {len(data):,} bytes, {image['width']}×{image['height']} px")
        yield Told(f"sha256 {sha256[:16]}… as reported", "good")

    def _failed(self) -> Iterator[Told]:
        yield Told("Failed: and not charged", "heading")
        prompt = {
            "id": BLOCKED,
            "title": "被拒绝的提示",
            "content": "The provider declines this one. [mock:fail:blocked]",
            "token_cost": 10,
        }
        _json(self._admin.post("/v1/prompts", json=prompt), 201)
        before = _available(self._user)
        answer = self._user.post(
            "/v1/generations",
            json={"prompt_id": BLOCKED},
            headers={"Prefer": f"wait={WAIT_SECONDS}"},
        )
        generation = _json(answer, 200)
        _expect(generation["status"] == "failed", f"it ended as {generation['status']}")
        error = generation["error"]
        yield Told(f"POST /v1/generations  200, failed: {error['reason']}", "bad")
        yield Told(error["message"])
        after = _available(self._user)
        _expect(generation["cost"]["charged"] == 0 and after == before, "a failure was charged")
        yield Told(f"charged 0, {after} tokens as before", "good")

    def _replayed(self) -> Iterator[Told]:
        yield Told("Asked again: same key, same answer", "heading")
        before = _available(self._user)
        answer = self._ask()
        generation = _json(answer, 200)
        _expect(generation["id"] == self._generation_id, "the same key made another generation")
        _expect(answer.headers.get("Idempotency-Replayed") == "true", "it was not a replay")
        yield Told("POST /v1/generations  200, Idempotency-Replayed: true", "good")
        _expect(_available(self._user) == before, "a replay was charged")
        yield Told(f"the same generation, {before} tokens as before", "good")

    def _ask(self) -> httpx2.Response:
        return self._user.post(
            "/v1/generations",
            data={"prompt_id": self._prompt_id, "aspect_ratio": "3:2"},
            files={"reference_image": ("reference.jpg", self._reference, "image/jpeg")},
            headers={"Idempotency-Key": self._key},
        )

    def _steps(self, path: str) -> Iterator[str]:
        with self._user.stream("GET", path) as stream:
            name = ""
            for line in stream.iter_lines():
                field, _, value = line.partition(":")
                if field == "event":
                    name = value.strip()
                elif field == "data" and name == "step":
                    yield str(msgspec.json.decode(value)["step"])


def draw_reference() -> bytes:
    """A small JPEG of a sun over a horizon."""
    image = Image.linear_gradient("L").resize((640, 480))
    blue = Image.new("L", image.size, 200)
    sky = Image.merge("RGB", (image, image.point(lambda value: value * 2 // 3), blue))
    ImageDraw.Draw(sky).ellipse((400, 120, 520, 240), fill=(255, 230, 120))
    buffer = io.BytesIO()
    sky.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _client(url: str, key: str) -> httpx2.Client:
    return httpx2.Client(
        base_url=url,
        timeout=ANSWER_SECONDS_MAX,
        trust_env=False,  # a proxy of this machine cannot reach this machine's loopback
        headers={"Authorization": f"Bearer {key}", "Accept-Language": "en"},
    )


def _json(answer: httpx2.Response, status: int) -> dict[str, Any]:
    if answer.status_code != status:
        raise UnexpectedAnswerError(
            f"{answer.request.method} {answer.request.url.path} answered {answer.status_code} "
            f"where {status} was due: {answer.text[:500]}"
        )
    document: dict[str, Any] = msgspec.json.decode(answer.content)
    return document


def _available(client: httpx2.Client) -> int:
    return int(_json(client.get("/v1/balance"), 200)["available"])


def _expect(held: object, what: str) -> None:
    if not held:
        raise UnexpectedAnswerError(what)
