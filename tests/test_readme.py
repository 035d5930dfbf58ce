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


def tree_paths() -> set[str]:
    """Paths that the tree names, folders with a slash at their end."""
    block = HOUSE.split("Arrows go")[0]
    found, folders = set(), []
    for line in block.splitlines():
        match = re.match(r"^    ( *)(\S+)(?:  +|$)", line)
        if match:
            depth = len(match[1]) // 2
            folders = [*folders[:depth], match[2]]
            found.add("".join(folders))
    return found


def test_the_tree_names_every_module_and_nothing_that_is_not_there() -> None:
    named = tree_paths()
    for path in named:
        assert (ROOT / path).exists(), f"docs/house.md names {path}, which isn't there"
    for folder in ("app", "core"):
        for module in (ROOT / folder).rglob("*.py"):
            path = module.relative_to(ROOT).as_posix()
            inside_a_named_room = any(
                path.startswith(room) for room in ("app/viewer/", "app/curves/", "core/data/streets/")
            )
            assert path in named or module.name == "__init__.py" or inside_a_named_room, f"docs/house.md lacks {path}"
    pages = next(line for line in HOUSE.splitlines() if line.startswith("    pages/"))
    for page in (ROOT / "pages").glob("*.py"):
        assert page.stem in pages


def test_the_pictures_are_there() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 4
    for picture in pictures:
        assert (ROOT / picture).is_file(), picture


def test_every_dependency_is_named_with_its_purpose_and_bounded() -> None:
    for line in [*PYPROJECT["project"]["dependencies"], *in_groups()]:
        package = re.fullmatch(r"([a-z0-9-]+)>=[\d.]+,<[\d.]+", line)
        assert package, line
        assert re.search(rf"^\|.*\b{re.escape(package[1])}\b.*\|.+\|$", README, re.M), package[1]


def in_groups() -> set[str]:
    """The dependencies of all groups, of the form `name>=1,<2`."""
    return {each for group in PYPROJECT["dependency-groups"].values() for each in group if isinstance(each, str)}


def test_what_is_installed_is_what_pyproject_asks_for() -> None:
    asked = PYPROJECT["project"]["dependencies"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == asked, "make lock writes it anew"
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    lab = next(package["metadata"] for package in lock["package"] if package["name"] == PYPROJECT["project"]["name"])
    groups = (each for group in lab["requires-dev"].values() for each in group)
    assert {each["name"] + each["specifier"] for each in lab["requires-dist"]} == set(asked), "make lock"
    assert {each["name"] + each["specifier"] for each in groups} == in_groups(), "make lock"
    hosts = set(re.findall(r"https?://[^/]+", (ROOT / "uv.lock").read_text()))
    assert hosts == {"https://pypi.org", "https://files.pythonhosted.org"}, "made where PyPI has another address"


def test_nothing_foreign_is_in_the_project() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    assert not [file for file in files if re.search(r"_leftImg8bit|_gtFine_|\.(safetensors|pth|pt|ckpt|pkl)$", file)]


FOURTH_FAMILY = """
import re, sys, types
from pathlib import Path
from typing import Literal
import core.models.families as families

readme = Path("README.md").read_text()
name, line = re.search(r'`"(\\w+)": (FamilyEntry\\(.*?\\)),`', readme).groups()
families.FAMILIES[name] = eval(line, vars(families))
families.Family = Literal[*families.FAMILIES]  # as it is once the line stands in the file
module = types.ModuleType(families.FAMILIES[name].module)
exec(re.search(r"```python\\n(.*?)```", readme, re.S)[1], vars(module))
sys.modules[module.__name__] = module

import torch
from core.config import read_config
from core.models.encoder_table import encoders_of
from core.models.build import build_model
from core.models.model_summary import describe

config = read_config({"model": {"family": name}})
logits = build_model(config.model, 7)(torch.rand(2, 3, 97, 161))
logits.mean().backward()
anatomy = describe(config.model, (64, 128))
assert anatomy.output_stride == 16 and anatomy.blocks[-1].name == "score", anatomy
print(config.model.title, tuple(logits.shape), encoders_of(name)[0].name)
"""


def test_the_fourth_family_works_as_it_stands_there() -> None:
    done = subprocess.run([sys.executable, "-c", FOURTH_FAMILY], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "Linear · EfficientNet-Lite0 (2, 7, 97, 161) tf_efficientnet_lite0"
