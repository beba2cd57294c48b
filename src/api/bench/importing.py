"""What each role imports before it can begin: how long that takes, and which heavy packages."""

import sys
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from api.bench.processes import Ran, ran

HEAVY = (
    "PIL",
    "alembic",
    "cryptography",
    "eventsourcing",
    "google.genai",
    "httpx2",
    "jinja2",
    "litestar",
    "matplotlib",
    "minio",
    "psycopg",
    "pydantic",
    "rich",
    "sqlalchemy",
    "uvicorn",
)
"""Packages that cost a start a tenth of a second, or a process some megabytes."""

ROLES: Mapping[str, str] = MappingProxyType(
    {
        "api": (
            "import api.commands.api; from api.http.application import Application;Application([])"
        ),
        "worker, mock": "import api.commands.worker",
        "worker, Gemini": (
            "import api.commands.worker, generation.gemini, generation.gemini_http;"
            "import generation.gemini_errors; from google.genai import types"
        ),
        "projector": "import api.commands.projector",
        "up, before its server": "import api.commands.up",
        "up, afterwards": "import api.commands.up, api.launch.preparing",
        "mintage alone": "import api.cli",
        "python alone": "pass",
    }
)
"""By the name that is shown: the statements that import what the role needs."""

# After the role's own, so that it counts nothing of ours.
_TELL = """
import sys
pss = next(line for line in open('/proc/self/smaps_rollup') if line.startswith('Pss:'))
print('{"pss_kb": %s, "modules": [%s]}' % (
    pss.split()[1], ', '.join('"%s"' % name for name in sys.modules)))
"""


class Imported(msgspec.Struct, frozen=True):
    """A role's process when it has imported everything, and nothing has begun."""

    pss_kb: int
    modules: list[str]

    @property
    def heavy(self) -> list[str]:
        """Those of `HEAVY` that it has."""
        return sorted({*HEAVY}.intersection(self.modules))


def imported(role: str) -> tuple[Ran, Imported]:
    """Import what the role needs in a Python of its own."""
    done = ran([sys.executable, "-P", "-c", f"{ROLES[role]}\n{_TELL}"])
    return done, msgspec.json.decode(done.output, type=Imported)
