"""Checking and reducing pictures. Everything that comes from outside is hostile until decoded."""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec
from PIL import Image, ImageOps, UnidentifiedImageError

MimeType = Literal["image/jpeg", "image/png", "image/webp"]

PICTURE_BYTES_MAX = 50 * 1024 * 1024
PIXELS_MAX = 26_000_000
WEBP_PIXELS_MAX = 4096 * 4096
"""Less, since its decoder keeps four copies: at either limit a decoding takes about 300 MB."""
SIDE_PIXELS_MAX = 8192
CLEAN_SIDE_PIXELS_MAX = 4096
"""A larger reference is made smaller: no provider looks at more."""
CLEAN_BYTES_MAX = 14 * 1024 * 1024
"""Base64 makes it 19 MB, within what a provider takes in one request (20 MB)."""
THUMBNAIL_SIDE_PIXELS_MAX = 512
DECODERS_MAX = 2
"""Decodings at once in this process; further callers wait."""

_FORMATS = ("JPEG", "PNG", "WEBP")
_MIME_TYPES: dict[str | None, MimeType] = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # a JPEG that carries further pictures, as many phones write
    "PNG": "image/png",
    "WEBP": "image/webp",
}
_TURNED = frozenset({5, 6, 7, 8})
_ORIENTATION = 0x0112

# Process-wide, so they are set once, at import, and never per call: threads share them. Our own
# checks of the size in `_opened` do not lean on them.
Image.MAX_IMAGE_PIXELS = PIXELS_MAX
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
_decoders = threading.BoundedSemaphore(DECODERS_MAX)


class UnsupportedPictureError(Exception):
    """Not a JPEG, PNG or WebP that we take; the text says why, for people."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """What the bytes are. The sides are in pixels, as the picture is shown."""

    mime_type: MimeType
    width: int
    height: int


class CleanPicture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of our own encoding, upright, without metadata; the sides are in pixels."""

    data: bytes
    mime_type: MimeType
    width: int
    height: int


def inspect(data: bytes) -> Picture:
    """Decode all of the picture and say what it is, whatever it claims to be.

    Raises `UnsupportedPictureError`. Changes nothing: providers sign their bytes.
    """
    with _decoders, _opened(data) as image:
        image.load()
        return _described(image)


def develop(data: bytes) -> tuple[Picture, bytes]:
    """What the picture is and its thumbnail, from one decoding of all of it.

    Raises `UnsupportedPictureError`. Takes less time than `inspect` and `thumbnail`.
    """
    with _decoders:
        with _opened(data) as image:
            image.load()
            picture = _described(image)
            plain, _ = _plain_of(image, THUMBNAIL_SIDE_PIXELS_MAX)
        return picture, _encode(plain, "image/webp")


def clean_reference(data: bytes) -> CleanPicture:
    """Decode, turn upright, bound to `CLEAN_SIDE_PIXELS_MAX` and encode anew without metadata.

    Raises `UnsupportedPictureError`. The format stays, unless the result would be larger than
    `CLEAN_BYTES_MAX`: then it is a JPEG, smaller with each try.
    """
    with _decoders:
        plain, mime_type = _plain(data, CLEAN_SIDE_PIXELS_MAX)
        encoded = _encode(plain, mime_type)
        while len(encoded) > CLEAN_BYTES_MAX:
            if mime_type == "image/jpeg":
                plain = plain.reduce(2)
            mime_type = "image/jpeg"
            encoded = _encode(plain, mime_type)
    return CleanPicture(data=encoded, mime_type=mime_type, width=plain.width, height=plain.height)


def thumbnail(data: bytes) -> bytes:
    """Make a WebP of at most `THUMBNAIL_SIDE_PIXELS_MAX` on the long side, upright.

    Raises `UnsupportedPictureError`. A smaller picture keeps its size.
    """
    with _decoders:
        plain, _ = _plain(data, THUMBNAIL_SIDE_PIXELS_MAX)
        return _encode(plain, "image/webp")


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """Open an allowed, single, bounded picture; what goes wrong inside is the picture's fault."""
    if len(data) > PICTURE_BYTES_MAX:
        raise UnsupportedPictureError(f"more than {PICTURE_BYTES_MAX} bytes")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check(image)
            yield image
    except (UnsupportedPictureError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise UnsupportedPictureError("not a JPEG, PNG or WebP") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnsupportedPictureError(f"more than {PIXELS_MAX} pixels") from None
    except Exception as error:
        # A broken file makes decoders raise nearly anything: OSError, SyntaxError, ...
        raise UnsupportedPictureError("damaged, or cut off") from error


def _check(image: Image.Image) -> None:
    width, height = image.size
    if max(width, height) > SIDE_PIXELS_MAX:
        raise UnsupportedPictureError(f"a side of more than {SIDE_PIXELS_MAX} pixels")
    pixels_max = WEBP_PIXELS_MAX if image.format == "WEBP" else PIXELS_MAX
    if width * height > pixels_max:
        raise UnsupportedPictureError(f"more than {pixels_max} pixels")
    if image.format != "MPO" and getattr(image, "n_frames", 1) != 1:
        raise UnsupportedPictureError("an animation")


def _described(image: Image.Image) -> Picture:
    width, height = image.size
    if image.getexif().get(_ORIENTATION) in _TURNED:
        width, height = height, width
    return Picture(mime_type=_MIME_TYPES[image.format], width=width, height=height)


def _plain(data: bytes, side_max: int) -> tuple[Image.Image, MimeType]:
    """All of the picture as upright 8-bit RGB or RGBA within `side_max`, and nothing but pixels."""
    with _opened(data) as image:
        return _plain_of(image, side_max)


def _plain_of(image: Image.Image, side_max: int) -> tuple[Image.Image, MimeType]:
    mime_type = _MIME_TYPES[image.format]
    if image.mode in {"RGB", "RGBA", "L", "CMYK"}:
        # Reducing first lets the JPEG decoder skip work and turns fewer pixels.
        image.thumbnail((side_max, side_max), reducing_gap=2.0)
    ImageOps.exif_transpose(image, in_place=True)
    source = image
    if image.mode.startswith("I"):  # 16 bits a pixel; converting alone would clip them
        source = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    plain = source.convert("RGBA" if source.has_transparency_data else "RGB")
    plain.thumbnail((side_max, side_max), reducing_gap=2.0)
    # Encoders copy what they find here: colour profiles, comments, resolutions.
    plain.info = {}
    return plain, mime_type


def _encode(image: Image.Image, mime_type: MimeType) -> bytes:
    out = io.BytesIO()
    match mime_type:
        case "image/jpeg":
            _opaque(image).save(out, "JPEG", quality=92)
        case "image/png":
            image.save(out, "PNG", compress_level=4)
        case "image/webp":
            # Methods 3 and up take thrice as long, for a few bytes.
            image.save(out, "WEBP", quality=85, method=2)
    return out.getvalue()


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white
