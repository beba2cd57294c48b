import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PACKAGES = {"ledger", "generation", "projections", "api"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def clean_python(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, and the dependencies of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    wheel.extractall(site)
    # A folder named in a .pth has its own .pth files left alone: no editable install comes with it.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


def run(python: Path, code: str) -> str:
    finished = subprocess.run(
        [str(python), "-I", "-c", code],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_everything_under_src_is_in_the_wheel_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    present = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == present
    assert {name.split("/")[0] for name in packed} == PACKAGES


@pytest.mark.parametrize(
    "pattern",
    [
        "ledger/migrations/*.sql",
        "projections/sql/*.sql",
        "generation/fonts/*",
        "api/locale/*/*/*.[mp]o",
        "api/pages/templates/*.html",
        "api/pages/static/*.css",
        "api/pages/static/*.js",
        "*/py.typed",
    ],
)
def test_the_data_files_are_in_the_wheel(wheel: zipfile.ZipFile, pattern: str) -> None:
    assert [name for name in wheel.namelist() if Path(name).match(pattern)]


def test_the_installed_packages_come_from_the_wheel(clean_python: Path) -> None:
    code = f"import importlib; [print(importlib.import_module(n).__file__) for n in {PACKAGES}]"
    files = run(clean_python, code).splitlines()
    assert len(files) == len(PACKAGES)
    assert all(file.startswith(str(clean_python.parents[1])) for file in files)


def test_every_migration_in_the_wheel_is_a_revision_and_no_other(clean_python: Path) -> None:
    code = (
        "from ledger.migrate import MIGRATIONS; from ledger.revisions import SqlFiles;"
        "history = SqlFiles(sorted(MIGRATIONS.glob('*.sql'))).walk_revisions();"
        "[print(script.down_revision, script.revision) for script in history]"
    )
    names = sorted(path.stem for path in SOURCE.glob("ledger/migrations/*"))
    in_line = [f"{previous} {name}" for previous, name in pairwise([None, *names])]
    assert run(clean_python, code).splitlines()[::-1] == in_line


def test_the_mintage_command_starts(clean_python: Path) -> None:
    code = (
        "import sys; from importlib.metadata import entry_points;"
        "(command,) = entry_points(group='console_scripts', name='mintage');"
        "sys.argv = ['mintage', '--help']; command.load()()"
    )
    assert "up" in run(clean_python, code)
