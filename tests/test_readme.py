"""The tree in docs/house.md is the house as it stands, and the README's pictures and commands exist."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HOUSE = (ROOT / "docs/house.md").read_text()


def test_the_tree_is_that_of_the_house() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from house import with_tree
    finally:
        sys.path.pop(0)
    assert with_tree(HOUSE) == HOUSE, "make house writes it anew"


def test_the_pictures_are_there() -> None:
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "images").glob("*.png")}
    assert len(images) == len(set(images)) and set(images) == there


def test_every_dependency_is_named_with_its_purpose_and_bounded() -> None:
    for line in [*PYPROJECT["project"]["dependencies"], *in_groups()]:
        package = re.fullmatch(r"([a-z0-9-]+)>=[\d.]+,<[\d.]+", line)
        assert package, line
        assert re.search(rf"^\|.*\b{re.escape(package[1])}\b.*\|.+\|$", README, re.M), package[1]


def in_groups() -> set[str]:
    """The dependencies of all groups, of the form `name>=1,<2`."""
    return {each for group in PYPROJECT["dependency-groups"].values() for each in group if isinstance(each, str)}


def test_what_is_installed_is_what_pyproject_asks_for() -> None:
    requests = PYPROJECT["project"]["dependencies"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == requests, "make lock writes it anew"
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    lab = next(package["metadata"] for package in lock["package"] if package["name"] == PYPROJECT["project"]["name"])
    groups = (each for group in lab["requires-dev"].values() for each in group)
    assert {each["name"] + each["specifier"] for each in lab["requires-dist"]} == set(requests), "make lock"
    assert {each["name"] + each["specifier"] for each in groups} == in_groups(), "make lock"
    hosts = set(re.findall(r"https?://[^/]+", (ROOT / "uv.lock").read_text()))
    assert hosts == {"https://pypi.org", "https://files.pythonhosted.org"}, "made where PyPI has another address"


def test_nothing_foreign_is_in_the_project() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    own = [file for file in files if not file.startswith("tests/lab_0_1/")]  # tiny networks of the lab's own
    assert not [file for file in own if re.search(r"_leftImg8bit|_gtFine_|\.(safetensors|pth|pt|ckpt|pkl)$", file)]
