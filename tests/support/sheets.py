"""Pictures that were asked for and made at once, without a worker: quick, small, of any shape."""

import contextlib
import hashlib
import io
from collections.abc import Iterator, Sequence
from uuid import UUID

from PIL import Image

from api.settings import Settings
from api.storing import build_storage
from generation.pictures import thumbnail
from generation.storage import Storage
from ledger.commands import RequestGeneration, SettleGeneration, Submission
from ledger.facts import ImageRecord, PromptVersion
from ledger.identity import new_id
from ledger.ledger import Ledger
from website import Website

SIZES = {
    "1:1": (96, 96),
    "3:2": (120, 80),
    "2:3": (80, 120),
    "4:3": (120, 90),
    "3:4": (90, 120),
    "16:9": (160, 90),
    "9:16": (90, 160),
}


class Sheets:
    """Writes into the log and the storage of a site."""

    def __init__(self, ledger: Ledger, storage: Storage) -> None:
        self._ledger = ledger
        self.storage = storage

    def make(
        self, account_id: str, shape: str = "1:1", *, count: int = 1, title: str = "梦幻森林"
    ) -> tuple[UUID, Sequence[ImageRecord]]:
        """One generation of that many images, charged at 5 each."""
        generation_id = new_id()
        request = RequestGeneration(
            account_id=account_id,
            generation_id=generation_id,
            prompt=PromptVersion(id="dreamy-forest", version=1, title=title, token_cost=5),
            members_only=False,
            count=count,
            aspect_ratio=shape,
        )
        images = [self._image(account_id, generation_id, shape, each) for each in range(count)]
        settle = SettleGeneration(
            account_id=account_id, generation_id=generation_id, images=tuple(images)
        )
        for command in (request, settle):
            self._ledger.record(Submission(command=command, actor="test"))
        return generation_id, images

    def _image(self, account_id: str, generation_id: UUID, shape: str, number: int) -> ImageRecord:
        image_id = new_id()
        colour = tuple(60 + byte % 160 for byte in image_id.bytes[-3:])
        out = io.BytesIO()
        Image.new("RGB", SIZES[shape], colour).save(out, "PNG")
        data = out.getvalue()
        key = f"{account_id}/{generation_id}/1-{number}-{image_id}"
        self.storage.put(f"{key}.png", data, mime_type="image/png")
        self.storage.put(f"{key}-thumbnail.webp", thumbnail(data), mime_type="image/webp")
        return ImageRecord(
            id=image_id,
            key=f"{key}.png",
            thumbnail_key=f"{key}-thumbnail.webp",
            sha256=hashlib.sha256(data).hexdigest(),
            mime_type="image/png",
            width=SIZES[shape][0],
            height=SIZES[shape][1],
            bytes=len(data),
            model="test-model",
        )


@contextlib.contextmanager
def sheets_of(site: Website) -> Iterator[Sheets]:
    """Over the site's own log and storage, until the block ends."""
    settings = Settings.from_environ(site.stack.environment)
    with (
        contextlib.closing(Ledger(site.stack.database.url)) as ledger,
        contextlib.closing(build_storage(settings)) as storage,
    ):
        yield Sheets(ledger, storage)
