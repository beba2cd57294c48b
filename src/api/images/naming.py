"""What an image is called where it is saved as a file."""

from generation.objects import EXTENSIONS
from projections.images import ImageRow


def download_name(row: ImageRow) -> str:
    """By its title, with a piece of its id; still to be made safe for where it goes."""
    return f"{row.title}-{str(row.id)[-8:]}.{EXTENSIONS.get(row.mime_type, 'bin')}"
