"""Finished images: their documents, their bytes, favourites and pages."""

import hashlib
import io
import re

import httpx
import pytest
from PIL import Image

from api_client import Api
from problems import fields, refused

BODY = {"prompt_id": "dreamy-forest"}


def make(api: Api, user: httpx.Client, images: int = 1, prompt: str = "dreamy-forest") -> bytes:
    asked = user.post("/v1/generations", json={"prompt_id": prompt, "count": images}).json()
    return api.succeed(asked, images)


def test_an_image_and_its_three_links(api: Api) -> None:
    user = api.user()
    data = make(api, user)
    (image,) = user.get("/v1/images").json()["items"]
    assert user.get(f"/v1/images/{image['id']}").json() == image
    assert image["prompt"] == {"id": "dreamy-forest", "title": "梦幻森林"}
    assert (image["width"], image["height"], image["bytes"]) == (16, 16, len(data))
    assert image["sha256"] == hashlib.sha256(data).hexdigest()
    assert (image["favorite"], image["mime_type"]) == (False, "image/png")
    plain = user.get(image["url"], follow_redirects=True)
    assert (plain.content, plain.headers["Content-Type"]) == (data, "image/png")
    assert "Content-Disposition" not in plain.headers
    assert plain.headers["X-Content-Type-Options"] == "nosniff"
    download = user.get(image["download_url"], follow_redirects=True)
    assert download.content == data
    assert re.match(r"attachment; .*filename\*=UTF-8''", download.headers["Content-Disposition"])
    small = user.get(image["thumbnail_url"], follow_redirects=True)
    assert small.headers["Content-Type"] == "image/webp"
    assert Image.open(io.BytesIO(small.content)).format == "WEBP"


@pytest.mark.parametrize("link", ["", "/content", "/thumbnail", "/download"])
def test_anothers_image_is_not_found(api: Api, link: str) -> None:
    owner = api.user()
    make(api, owner)
    (image,) = owner.get("/v1/images").json()["items"]
    url = f"/v1/images/{image['id']}{link}"
    refused(api.user().get(url), 404, "NOT_FOUND")
    refused(api.client().get(url), 401, "UNAUTHENTICATED")
    favorite = f"/v1/images/{image['id']}/favorite"
    refused(api.user().put(favorite), 404, "NOT_FOUND")
    refused(api.user().delete(favorite), 404, "NOT_FOUND")


def test_ranges(api: Api) -> None:
    user = api.user()
    data = make(api, user)
    (image,) = user.get("/v1/images").json()["items"]
    link = user.get(image["url"]).headers["Location"]
    opened = api.client()

    def part(wanted: str) -> httpx.Response:
        return opened.get(link, headers={"Range": wanted})

    assert (part("bytes=0-9").status_code, part("bytes=0-9").content) == (206, data[:10])
    assert part("bytes=5-").content == data[5:]
    assert part("bytes=-4").content == data[-4:]
    assert part("bytes=0-99999999").content == data
    assert part("bytes=2-3").headers["Content-Range"] == f"bytes 2-3/{len(data)}"
    beyond = part(f"bytes={len(data)}-")
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(data)}")
    for ignored in ("bytes=0-1,3-4", "bytes=x", "lines=1-2"):
        assert (part(ignored).status_code, part(ignored).content) == (200, data)
    head = opened.head(link)
    assert (head.headers["Content-Length"], head.content) == (str(len(data)), b"")


def test_a_link_that_was_changed_or_has_expired_is_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = api.user()
    make(api, user)
    (image,) = user.get("/v1/images").json()["items"]
    link = user.get(image["url"]).headers["Location"]
    refused(api.client().get(link[:-2] + "xx"), 403, "FORBIDDEN")
    refused(api.client().get("/files/nothing"), 403, "FORBIDDEN")
    signer = api.services.storage._signer  # type: ignore[attr-defined]
    now = signer._clock()
    monkeypatch.setattr(signer, "_clock", lambda: now + 301)
    refused(api.client().get(link), 403, "FORBIDDEN")


def test_favorites_are_marked_unmarked_and_listed(api: Api) -> None:
    user = api.user()
    make(api, user, images=3)
    items = user.get("/v1/images").json()["items"]
    chosen = items[1]
    url = f"/v1/images/{chosen['id']}/favorite"
    for _ in range(2):
        assert user.put(url).json() == {**chosen, "favorite": True}
    assert [i["id"] for i in user.get("/v1/images?favorite=true").json()["items"]] == [chosen["id"]]
    assert len(user.get("/v1/images?favorite=false").json()["items"]) == 2
    generation = user.get(f"/v1/generations/{chosen['generation_id']}").json()
    assert [image["favorite"] for image in generation["images"]].count(True) == 1
    for _ in range(2):
        assert user.delete(url).json() == chosen


def test_pages_stay_right_while_new_images_arrive(api: Api) -> None:
    user = api.user(tokens=1000)
    for _ in range(3):
        make(api, user, images=2)
    expected = [image["id"] for image in user.get("/v1/images").json()["items"]]
    assert len(expected) == 6
    found: list[str] = []
    url = "/v1/images?limit=4"
    page = user.get(url).json()
    found += [image["id"] for image in page["items"]]
    make(api, user)
    page = user.get(url, params={"cursor": page["next_cursor"], "limit": 4}).json()
    found += [image["id"] for image in page["items"]]
    assert (found, page["next_cursor"]) == (expected, None)


def test_search_by_title_takes_its_characters_as_they_are(api: Api) -> None:
    user = api.user()
    make(api, user)
    make(api, user, prompt="future-city")
    assert len(user.get("/v1/images", params={"q": "城市"}).json()["items"]) == 1
    assert user.get("/v1/images", params={"q": "%"}).json()["items"] == []
    problem = refused(user.get("/v1/images", params={"q": "a\0"}), 422, "INVALID_INPUT")
    assert fields(problem) == ["q"]
