# /// script
# requires-python = ">=3.11"
# dependencies = ["fonttools==4.68.0"]
# ///
"""Make the mock provider's font from Debian's `fonts-lxgw-wenkai` package.

    apt-get download fonts-lxgw-wenkai
    uv run ops/make_mock_font.py fonts-lxgw-wenkai_1.250+repack-1_all.deb

The result holds GB 2312's characters and Latin, and is byte for byte the same each time. Its
licence reserves the original's names for the original, so the subset has a name of our own.
"""

import argparse
import hashlib
import subprocess
import tempfile
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

PACKAGE_SHA256 = "6d1e4c4aac78ad32062aefa2c836ee4d6e58f9dcf8b3f4407c9eefe304615318"
FONT_IN_PACKAGE = "usr/share/fonts/truetype/lxgw-wenkai/LXGWWenKai-Regular.ttf"
FONTS = Path(__file__).parents[1] / "src" / "generation" / "fonts"
FAMILY = "Mintage Kai"
SIZE_MAX_BYTES = 3 * 1024 * 1024

RANGES = (
    range(0x20, 0x180),  # Latin
    range(0x2010, 0x2028),  # dashes, quotation marks, ellipsis
    range(0x3000, 0x3020),  # CJK punctuation
    range(0xFF00, 0xFF60),  # full-width forms
)


def characters() -> set[int]:
    """Every character that the subset keeps."""
    kept = {code for codes in RANGES for code in codes}
    for row in range(0xB0, 0xF8):
        for cell in range(0xA1, 0xFF):
            try:
                kept.add(ord(bytes([row, cell]).decode("gb2312")))
            except UnicodeDecodeError:
                continue
    return kept


def make(source: Path, target: Path) -> None:
    """Write the subset of the font `source` to `target`."""
    options = subset.Options()
    options.hinting = False
    options.layout_features = []
    options.notdef_outline = True
    options.name_IDs = [0, 13, 14]
    font = TTFont(source, recalcTimestamp=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters())
    subsetter.subset(font)
    for name_id, text in ((1, FAMILY), (2, "Regular"), (4, FAMILY), (6, "MintageKai-Regular")):
        font["name"].setName(text, name_id, 3, 1, 0x409)
    font.flavor = "woff"
    font.save(target)


def main() -> None:
    """Check the package, take the font out of it, write the subset, say what was made."""
    parser = argparse.ArgumentParser(description="Make the mock provider's font.")
    parser.add_argument("package", type=Path, help="fonts-lxgw-wenkai_1.250+repack-1_all.deb")
    package: Path = parser.parse_args().package
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != PACKAGE_SHA256:
        raise SystemExit(f"{package} has SHA-256 {found}, expected {PACKAGE_SHA256}")
    target = FONTS / "mintage-kai.woff"
    with tempfile.TemporaryDirectory() as folder:
        unpack = ["dpkg-deb", "-x", str(package), folder]
        subprocess.run(unpack, check=True, timeout=120)  # noqa: S603 - the package's hash was checked
        make(Path(folder) / FONT_IN_PACKAGE, target)
    made = target.read_bytes()
    if len(made) > SIZE_MAX_BYTES:
        raise SystemExit(f"{target} has {len(made)} bytes, more than {SIZE_MAX_BYTES}")
    print(f"{target}: {len(made)} bytes, SHA-256 {hashlib.sha256(made).hexdigest()}")  # noqa: T201 - a script's answer


if __name__ == "__main__":
    main()
