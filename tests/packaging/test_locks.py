import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.txt", "requirements-dev.txt", "requirements-bench.txt", "ops/uv.txt"]
PIN = re.compile(r"(?m)^([A-Za-z0-9._-]+)(?:\[.*\])?==([^\s;\\]+)")
INDEX = re.compile(r"(?m)^\s*(-i|-f|--index-url|--extra-index-url|--find-links)\b")


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text()
    return {
        canonicalize_name(name): version
        for name, version in re.findall(
            r"^([A-Za-z0-9._-]+)(?:\[.*\])?==([^\s;\\]+)", text, re.MULTILINE
        )
    }


def wanted(lock: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    if lock == "requirements-bench.txt":
        return [Requirement(name) for name in groups["bench"]]
    names = list(project["project"]["dependencies"])
    if lock == "requirements-dev.txt":
        names += groups["dev"]
    return [Requirement(name) for name in names]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_versions_and_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(
        r"^\s*(-i|-f|--index-url|--extra-index-url|--find-links)\b", text, re.MULTILINE
    )
    blocks = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", text).strip())
    assert len(blocks) == len(pins(lock)) > 0
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("lock", LOCKS[:3])
def test_a_lock_has_what_the_project_asks_for(lock: str) -> None:
    pinned = pins(lock)
    missing = [
        str(requirement)
        for requirement in wanted(lock)
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"))
    ]
    assert missing == [], "run `make lock`"


def test_the_locks_agree() -> None:
    development = pins("requirements-dev.txt")
    assert all(development[name] == version for name, version in pins("requirements.txt").items())
    assert all(
        development.get(name, version) == version
        for name, version in pins("requirements-bench.txt").items()
    )


def test_the_lock_of_what_comes_from_npm_holds_hashes_and_no_address() -> None:
    text = (ROOT / "ops/peers/package-lock.json").read_text()
    assert "://" not in text
    packages = json.loads(text)["packages"]
    asked = json.loads((ROOT / "ops/peers/package.json").read_text())["dependencies"]
    root = packages.pop("")
    assert root["dependencies"] == asked
    for name, version in asked.items():
        assert packages[f"node_modules/{name}"]["version"] == version, "run `make lock`"
    assert all("resolved" not in found for found in packages.values())
    assert all(found["integrity"].startswith("sha512-") for found in packages.values())
