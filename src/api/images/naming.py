"""What an image is called where it is saved as a file."""

from generation.objects import EXTENSIONS
from projections.images import ImageRow


def download_name(row: ImageRow) -> str:
    """By its title, with a piece of its id; still to be made safe for where it goes."""
    record = row.record
    return f"{row.charge.title}-{str(record.id)[-8:]}.{EXTENSIONS.get(record.mime_type, 'bin')}"
