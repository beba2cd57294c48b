"""Many images as one zip: whole, in order, with safe names; or seen to be cut."""

import io
import re
import time
import zipfile
from typing import Any
from uuid import UUID

import httpx
import pytest

from api.http import slots
from api.images import archive
from api_client import Api
from problems import fields, refused
from projections.images import get_image

URL = "/v1/images/download"
HOSTILE = '../..\u202e<script>"|\\CON 梦🎨\u200d:'


def make(api: Api, user: httpx.Client, images: int = 1, prompt: str = "dreamy-forest") -> None:
    asked = user.post("/v1/generations", json={"prompt_id": prompt, "count": images}).json()
    api.succeed(asked, images)


def images_of(user: httpx.Client) -> list[Any]:
    items: list[Any] = user.get("/v1/images").json()["items"]
    return items


def key_of(api: Api, image: Any) -> str:
    """Where its bytes lie."""
    with api.services.pool.connection() as connection:
        (account_id,) = connection.execute(
            "SELECT account_id FROM images WHERE id = %s", (image["id"],)
        ).fetchone() or ("",)
        row = get_image(connection, account_id, UUID(image["id"]))
    assert row
    return row.record.key


def download(user: httpx.Client, images: list[Any]) -> httpx.Response:
    return user.get(URL, params={"ids": [image["id"] for image in images]})


def test_the_zip_has_the_stored_bytes_in_the_order_asked_for(api: Api) -> None:
    user = api.user()
    make(api, user, images=3)
    asked = images_of(user)[::-1]
    answer = download(user, [*asked, asked[0]])
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert re.match(
        r"attachment; filename=\"mintage-.*\.zip\"", answer.headers["Content-Disposition"]
    )
    assert answer.headers["Cache-Control"] == "no-store"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
        assert files.testzip() is None
        assert [info.compress_type for info in files.infolist()] == [zipfile.ZIP_STORED] * 3
        names = files.namelist()
        assert names == [
            f"{number}-梦幻森林-{image['id'][-8:]}.png" for number, image in enumerate(asked, 1)
        ]
        for name, image in zip(names, asked, strict=True):
            original = user.get(image["url"], follow_redirects=True).content
            assert files.read(name) == original


def test_names_are_safe_and_unique_whatever_the_title(api: Api) -> None:
    admin, user = api.admin(), api.user()
    for title in (HOSTILE, "\ufb2c" * 100):
        body = {"title": title, "content": "x", "token_cost": 1}
        prompt = admin.post("/v1/prompts", json=body)
        assert prompt.status_code == 201, prompt.text
        make(api, user, images=2, prompt=prompt.json()["id"])
    with zipfile.ZipFile(io.BytesIO(download(user, images_of(user)).content)) as files:
        names = files.namelist()
    assert len({name.casefold() for name in names}) == 4
    for name in names:
        assert re.fullmatch(r'[0-9]-[^\x00-\x1f\u200d\u202e/\\:*?"<>|%]+\.png', name), name
        assert len(name) <= 120
    assert "<script>" not in str(names)
    assert "梦🎨" in names[2]


def test_anothers_image_makes_the_whole_not_found(api: Api) -> None:
    owner, other = api.user(), api.user()
    for user in (owner, other):
        make(api, user)
    mixed = [*images_of(owner), *images_of(other)]
    refused(download(owner, mixed), 404, "NOT_FOUND")
    refused(download(api.client(), mixed), 401, "UNAUTHENTICATED")
    assert download(owner, images_of(owner)).status_code == 200


@pytest.mark.parametrize("query", ["", "?ids=", "?ids=x", "?ids=1&ids=2"])
def test_ids_are_required_and_are_ids(api: Api, query: str) -> None:
    assert fields(refused(api.user().get(URL + query), 422, "INVALID_INPUT")) == ["ids"]


def test_more_than_the_bound_is_refused_and_the_bound_fits_into_an_address(api: Api) -> None:
    user = api.user(tokens=1000)
    for _ in range(archive.IMAGES_MAX // 4 + 1):
        make(api, user, images=4)
    items = user.get("/v1/images?limit=100").json()["items"]
    answer = download(user, items)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
        assert len(files.namelist()) == archive.IMAGES_MAX
        assert files.namelist()[0].startswith("001-")
    more = [*items, {"id": "00000000-0000-7000-8000-000000000000"}]
    assert fields(refused(download(user, more), 422, "INVALID_INPUT")) == ["ids"]


def test_a_missing_object_is_a_problem_or_cuts_the_download(api: Api) -> None:
    user = api.user()
    make(api, user, images=3)
    first, *_, last = images_of(user)
    whole = download(user, images_of(user)).content
    api.services.storage.delete(key_of(api, last))
    received: list[bytes] = []
    with user.stream("GET", URL, params={"ids": [i["id"] for i in images_of(user)]}) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            received.extend(answer.iter_bytes())
    part = b"".join(received)
    assert len(part) < len(whole)
    assert not zipfile.is_zipfile(io.BytesIO(part))
    api.services.storage.delete(key_of(api, first))
    refused(download(user, images_of(user)), 404, "NOT_FOUND")
    assert api.services.downloads.taken == 0


@pytest.mark.parametrize("cut", [1, 16])
def test_an_object_with_too_few_bytes_cuts_the_download(
    api: Api, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    monkeypatch.setattr(archive, "CHUNK_BYTES", 16)
    user = api.user()
    make(api, user, images=2)
    key = key_of(api, images_of(user)[1])
    size = api.services.storage.stat(key).bytes
    api.services.storage.delete(key)
    api.services.storage.put(key, b"x" * (size - cut), mime_type="image/png")
    with pytest.raises(httpx.RemoteProtocolError):
        download(user, images_of(user))


def test_memory_stays_the_same_however_large_the_images(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = api.user()
    make(api, user)
    lengths: list[int] = []
    get = api.services.storage.get

    def counted(key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        piece = get(key, offset=offset, length=length)
        lengths.append(len(piece))
        return piece

    monkeypatch.setattr(archive, "CHUNK_BYTES", 16)
    monkeypatch.setattr(api.services.storage, "get", counted)
    answer = download(user, images_of(user))
    assert max(lengths) == 16
    with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
        assert files.testzip() is None


def test_one_account_has_two_at_a_time_and_leaves_the_rest_to_others(api: Api) -> None:
    assert slots.EXPORTS_MAX > 2
    account_id = api.account()
    user = api.client(api.key(account_id))
    make(api, user)
    for _ in range(2):
        api.services.downloads.take(account_id)
    problem = refused(download(user, images_of(user)), 429, "RATE_LIMITED")
    assert problem["detail"]
    other = api.user()
    make(api, other)
    assert download(other, images_of(other)).status_code == 200
    for _ in range(2):
        api.services.downloads.give_back(account_id)
    assert download(user, images_of(user)).status_code == 200
    deadline = time.monotonic() + 60
    while api.services.downloads.taken:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_document_tells_of_it(api: Api) -> None:
    operation = api.client().get("/schema/openapi.json").json()["paths"][URL]["get"]
    assert set(operation["responses"]["200"]["content"]) == {"application/zip"}
    assert operation["parameters"][0]["schema"]["maxItems"] == archive.IMAGES_MAX
