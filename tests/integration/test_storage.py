"""One contract for both storages: the folder, and a real S3 server."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import pytest
from urllib3 import PoolManager

from generation.folder import FolderStorage
from generation.links import LinkRefusedError
from generation.s3 import READ_SECONDS_MAX, S3Storage
from generation.storage import (
    ObjectExistsError,
    ObjectNotFoundError,
    Storage,
    StorageUnavailableError,
    content_disposition,
)
from s3_server import S3Server, s3_server

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
SECRET = b"a secret of the tests alone"


class RefusedError(Exception):
    """The link did not open."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    body: bytes
    mime_type: str
    disposition: str | None


@dataclass(frozen=True, kw_only=True)
class Subject:
    storage: Storage
    open: Callable[[str], Opened]


def open_over_http(url: str) -> Opened:
    with PoolManager() as http:
        answer = http.request("GET", url, timeout=10, retries=False)
    if answer.status != 200:
        raise RefusedError(answer.status)
    return Opened(
        body=answer.data,
        mime_type=answer.headers["Content-Type"],
        disposition=answer.headers.get("Content-Disposition"),
    )


def opener_of(storage: FolderStorage) -> Callable[[str], Opened]:
    def open_link(url: str) -> Opened:
        assert url.startswith("http://127.0.0.1:8000/files/")
        try:
            opened = storage.open_link(url.rpartition("/")[2])
        except LinkRefusedError:
            raise RefusedError from None
        name = opened.download_name
        return Opened(
            body=opened.path.read_bytes(),
            mime_type=opened.mime_type,
            disposition=None if name is None else content_disposition(name),
        )

    return open_link


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def opens(subject: Subject, link: str) -> bool:
    try:
        subject.open(link)
    except RefusedError:
        return False
    return True


def connect(server: S3Server, bucket: str, **changes: object) -> S3Storage:
    settings = {
        "endpoint": server.endpoint,
        "access_key": server.access_key,
        "secret_key": server.secret_key,
        "bucket": bucket,
        **changes,
    }
    return S3Storage(**settings)  # type: ignore[arg-type]  # the keywords of one constructor


@pytest.fixture(params=["folder", "s3"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    if request.param == "folder":
        folder = FolderStorage(tmp_path / "f", base_url="http://127.0.0.1:8000/", secret=SECRET)
        yield Subject(storage=folder, open=opener_of(folder))
        return
    s3 = connect(request.getfixturevalue("server"), f"pictures-{time.time_ns()}")
    s3.ensure_bucket()
    yield Subject(storage=s3, open=open_over_http)
    s3.close()


@pytest.fixture
def storage(subject: Subject) -> Storage:
    return subject.storage


def put(storage: Storage, *keys: str) -> None:
    for key in keys:
        storage.put(key, PNG, mime_type="image/png")


@pytest.mark.parametrize("size", [0, 1, 6 * 1024 * 1024 + 1])
def test_what_was_put_comes_back_unchanged(storage: Storage, size: int) -> None:
    data = (PNG * (size // len(PNG) + 1))[:size]
    before = time.time()
    storage.put("demo-user-123/0190/1-0-abc.png", data, mime_type="image/png")
    assert storage.get("demo-user-123/0190/1-0-abc.png") == data
    found = storage.stat("demo-user-123/0190/1-0-abc.png")
    assert (found.key, found.bytes) == ("demo-user-123/0190/1-0-abc.png", size)
    assert before - 2 <= found.modified_at <= time.time() + 2


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 8, PNG[:8]),
        (8, 100, PNG[8:108]),
        (10_000, None, PNG[10_000:]),
        (10_000, 1_000_000, PNG[10_000:]),
        (len(PNG), None, b""),
        (len(PNG) + 5, 10, b""),
        (4, 0, b""),
    ],
)
def test_a_range_is_what_there_is_of_it(
    storage: Storage, offset: int, length: int | None, expected: bytes
) -> None:
    put(storage, "a.png")
    assert storage.get("a.png", offset=offset, length=length) == expected


def test_what_is_not_there_is_not_found(storage: Storage) -> None:
    put(storage, "folder/a.png")
    for key in ("b.png", "folder/b.png", "folder"):
        for read in (storage.get, storage.stat):
            with pytest.raises(ObjectNotFoundError, match=key):
                read(key)
        with pytest.raises(ObjectNotFoundError):
            storage.get(key, length=0)


def test_a_key_is_written_once(storage: Storage) -> None:
    put(storage, "a/b.png")
    with pytest.raises(ObjectExistsError, match=r"a/b\.png"):
        storage.put("a/b.png", b"other", mime_type="image/png")
    assert storage.get("a/b.png") == PNG


def test_deleting_is_final_and_may_be_repeated(storage: Storage) -> None:
    put(storage, "a/b.png", "a/c.png")
    storage.delete("a/b.png")
    storage.delete("a/b.png")
    storage.delete("never/was.png")
    with pytest.raises(ObjectNotFoundError):
        storage.get("a/b.png")
    assert storage.get("a/c.png") == PNG
    put(storage, "a/b.png")


def test_pages_of_a_listing_miss_and_repeat_nothing(storage: Storage) -> None:
    tricky = ["a/b", "a/c/d", "a-b/x", "a.b", "a0/1", "b/1"]
    numbered = [f"acc/{number:03}/1.png" for number in range(25)]
    put(storage, *tricky, *numbered)
    for prefix, expected in (("", tricky + numbered), ("a/", tricky[:2]), ("acc/", numbered)):
        for limit in (1, 7, 1000):
            found: list[str] = []
            while page := storage.list(prefix, after=found[-1] if found else "", limit=limit):
                assert len(page) <= limit
                assert all(item.bytes == len(PNG) for item in page)
                found += [item.key for item in page]
                assert len(found) <= len(expected)
            assert sorted(found) == sorted(expected)
    assert [item.key for item in storage.list("acc/")] == numbered
    assert [item.key for item in storage.list("acc/", after="acc/010/1.png", limit=2)] == [
        "acc/011/1.png",
        "acc/012/1.png",
    ]
    assert storage.list("nothing/") == []


def test_a_link_opens_with_its_own_type_and_no_name(subject: Subject) -> None:
    put(subject.storage, "a/b.png")
    link = subject.storage.link("a/b.png", expires_seconds=60, mime_type="image/webp")
    assert subject.open(link) == Opened(body=PNG, mime_type="image/webp", disposition=None)


def test_a_link_for_download_carries_a_chinese_name(subject: Subject) -> None:
    put(subject.storage, "a/b.png")
    name = '梦幻"森林\r\n/..png'
    link = subject.storage.link(
        "a/b.png", expires_seconds=300, mime_type="image/png", download_name=name
    )
    opened = subject.open(link)
    assert opened.body == PNG
    assert opened.disposition == (
        'attachment; filename="______..png"; '
        "filename*=UTF-8''%E6%A2%A6%E5%B9%BB_%E6%A3%AE%E6%9E%97_..png"
    )


def test_an_expired_link_is_refused(subject: Subject) -> None:
    put(subject.storage, "a.png")
    link = subject.storage.link("a.png", expires_seconds=1, mime_type="image/png")
    deadline = time.monotonic() + 60
    while opens(subject, link):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_tampered_link_is_refused(subject: Subject) -> None:
    put(subject.storage, "a.png", "b.png")
    link = subject.storage.link("a.png", expires_seconds=60, mime_type="image/png")
    other = subject.storage.link("b.png", expires_seconds=60, mime_type="image/png")
    cut = link.rfind("Signature=") + len("Signature=") if "?" in link else link.rfind(".") + 1
    cut_other = len(other) - (len(link) - cut)
    last = "0" if link[-1] != "0" else "1"
    forged = [link[:-1] + last, link[:cut], link[:cut] + other[cut_other:], link + "0"]
    if "?" in link:
        forged += [
            link.replace("Expires=60", "Expires=61"),
            link.replace("/a.png", "/b.png"),
            link.replace("image%2Fpng", "text%2Fhtml"),
            link.partition("?")[0],
        ]
    for url in forged:
        with pytest.raises(RefusedError):
            subject.open(url)
    assert subject.open(link).body == PNG


@pytest.mark.parametrize("seconds", [0, -1, 301])
def test_a_link_lives_five_minutes_at_most(storage: Storage, seconds: int) -> None:
    with pytest.raises(ValueError, match="300"):
        storage.link("a.png", expires_seconds=seconds, mime_type="image/png")


@pytest.mark.parametrize(
    "key",
    ["", "/", "/etc/passwd", "../a", "a/../b", "a/./b", "a//b", "a/", "..", "a\n", "a\0b", "梦",
     "a b", "a" * 513, "a" * 201],
)  # fmt: skip
def test_what_is_no_key_is_refused_before_anything_is_done(storage: Storage, key: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: storage.put(key, PNG, mime_type="image/png"),
        lambda: storage.get(key),
        lambda: storage.stat(key),
        lambda: storage.delete(key),
        lambda: storage.link(key, expires_seconds=60, mime_type="image/png"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="key"):
            call()


def test_it_is_ready_and_serves_many_threads(storage: Storage) -> None:
    storage.check()
    keys = [f"thread/{number}.png" for number in range(32)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: put(storage, key), keys))
        assert all(data == PNG for data in pool.map(storage.get, keys))
    assert sorted(item.key for item in storage.list("thread/")) == sorted(keys)


# The folder alone.


def test_of_many_writers_of_one_key_in_the_folder_one_wins(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path, base_url="", secret=SECRET)

    def attempt(number: int) -> bytes | None:
        data = bytes([number]) * 10_000
        try:
            storage.put("a/b/c.png", data, mime_type="image/png")
        except ObjectExistsError:
            return None
        return data

    with ThreadPoolExecutor(8) as pool:
        winners = [data for data in pool.map(attempt, range(24)) if data is not None]
    assert [storage.get("a/b/c.png")] == winners
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_link_of_another_installation_is_refused(tmp_path: Path) -> None:
    ours = FolderStorage(tmp_path, base_url="", secret=SECRET)
    theirs = FolderStorage(tmp_path, base_url="", secret=SECRET + b"!")
    put(ours, "a.png")
    token = theirs.link("a.png", expires_seconds=60, mime_type="image/png").rpartition("/")[2]
    for forged in (token, "", ".", "x", "梦.梦", "a" * 100_000, token + "="):
        with pytest.raises(LinkRefusedError):
            ours.open_link(forged)


def test_a_link_to_a_deleted_file_says_so(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path, base_url="", secret=SECRET)
    put(storage, "a.png")
    token = storage.link("a.png", expires_seconds=60, mime_type="image/png").rpartition("/")[2]
    storage.delete("a.png")
    with pytest.raises(ObjectNotFoundError):
        storage.open_link(token)


def test_a_short_link_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        FolderStorage(tmp_path, base_url="", secret=b"short")


def test_a_folder_that_is_gone_or_no_folder_is_unavailable(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "f", base_url="", secret=SECRET)
    (tmp_path / "f").rename(tmp_path / "moved")
    for call in (storage.check, lambda: put(storage, "a.png")):
        with pytest.raises(StorageUnavailableError):
            call()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailableError, match="open"):
        FolderStorage(tmp_path / "file", base_url="", secret=SECRET)


def test_leftovers_of_a_killed_writer_are_removed_once_old(tmp_path: Path) -> None:
    FolderStorage(tmp_path, base_url="", secret=SECRET)
    old, young = (tmp_path / "temporary" / name for name in ("old", "young"))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    FolderStorage(tmp_path, base_url="", secret=SECRET)
    assert (old.exists(), young.exists()) == (False, True)


# S3 alone.


def every_call(storage: S3Storage) -> list[Callable[[], object]]:
    return [
        storage.ensure_bucket,
        storage.check,
        lambda: storage.get("a.png"),
        lambda: storage.stat("a.png"),
        lambda: put(storage, "a.png"),
        lambda: storage.delete("a.png"),
        lambda: storage.list(""),
    ]


@pytest.mark.parametrize("changes", [{"secret_key": "wrong-secret"}, {"access_key": "nobody"}])
def test_refused_credentials_are_told_clearly_and_no_secret_is(
    server: S3Server, changes: dict[str, str]
) -> None:
    storage = connect(server, "pictures", **changes)
    for call in every_call(storage):
        with pytest.raises(StorageUnavailableError) as caught:
            call()
        text = str(caught.value)
        assert f"credentials refused by {server.endpoint}, bucket pictures" in text
        assert "wrong-secret" not in text
        assert server.secret_key not in text


def test_a_missing_bucket_is_told_until_it_is_made(server: S3Server) -> None:
    storage = connect(server, f"new-{time.time_ns()}")
    with pytest.raises(StorageUnavailableError, match="bucket"):
        storage.check()
    storage.ensure_bucket()
    storage.ensure_bucket()
    storage.check()


def test_links_go_to_the_public_endpoint(server: S3Server) -> None:
    public = server.endpoint.replace("127.0.0.1", "localhost")
    storage = connect(server, f"public-{time.time_ns()}", public_endpoint=public)
    storage.ensure_bucket()
    put(storage, "a.png")
    link = storage.link("a.png", expires_seconds=60, mime_type="image/png")
    assert link.startswith(public + "/")
    assert open_over_http(link).body == PNG
    with pytest.raises(RefusedError):  # the host is signed
        open_over_http(link.replace("localhost", "127.0.0.1"))


def test_a_server_that_died_is_unavailable_within_seconds(tmp_path: Path) -> None:
    with s3_server(tmp_path) as running:
        storage = connect(running, "pictures")
        storage.ensure_bucket()
        put(storage, "a.png")
    for call in every_call(storage):
        before = time.monotonic()
        with pytest.raises(StorageUnavailableError, match=r"no answer from .* bucket pictures"):
            call()
        assert time.monotonic() - before < READ_SECONDS_MAX


@contextmanager
def answering(answer: bytes | None) -> Iterator[str]:
    """A server that says the same to everyone; with None it takes the call and stays silent."""
    ending = Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def serve() -> None:
        taken = []
        while not ending.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            taken.append(connection)
            if answer is not None:
                connection.settimeout(60)
                connection.recv(65536)
                connection.sendall(answer)
                with suppress(OSError):  # whoever has read enough may have hung up already
                    connection.shutdown(socket.SHUT_WR)
        for connection in taken:
            connection.close()

    thread = Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ending.set()
        thread.join(timeout=60)
        listener.close()


HTML = b"<html>login</html>"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nonly this"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "no answer"),
        (b"", "no answer"),
        (b"HTTP/1.1 503 Slow\r\nContent-Length: 0\r\n\r\n", "no answer"),
        (
            b"HTTP/1.1 500 No\r\nContent-Type: text/html\r\nContent-Length: 18\r\n\r\n" + HTML,
            "not S3",
        ),
        (CUT, "no answer"),
    ],
    ids=["silent", "hangs up", "503", "500 page", "cut body"],
)
def test_a_broken_server_is_unavailable_within_seconds(answer: bytes | None, message: str) -> None:
    with answering(answer) as endpoint:
        storage = S3Storage(
            endpoint=endpoint,
            access_key="a",
            secret_key=SECRET.decode(),
            bucket="pictures",
            read_seconds_max=0.2,
        )
        before = time.monotonic()
        with pytest.raises(StorageUnavailableError, match=message) as caught:
            storage.get("a.png")
        assert time.monotonic() - before < READ_SECONDS_MAX
        assert endpoint in str(caught.value)
        assert SECRET.decode() not in str(caught.value)


def test_a_picture_that_is_a_page_is_told_in_a_listing() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n" + HTML
    with answering(page) as endpoint:
        storage = S3Storage(endpoint=endpoint, access_key="a", secret_key="b", bucket="pictures")
        with pytest.raises(StorageUnavailableError, match="not S3"):
            storage.list("")


@pytest.mark.parametrize(
    "endpoint",
    ["", "localhost:9000", "ftp://host", "http://", "http://host/path", "http://u:p@host"],
)
def test_an_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="S3 endpoint") as caught:
        S3Storage(endpoint=endpoint, access_key="a", secret_key="b", bucket="pictures")
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("bucket", ["", "ab", "Pictures", "a/b", "-abc"])
def test_a_bucket_name_that_is_none_is_refused(bucket: str) -> None:
    with pytest.raises(ValueError, match="bucket name"):
        S3Storage(endpoint="http://host", access_key="a", secret_key="b", bucket=bucket)
