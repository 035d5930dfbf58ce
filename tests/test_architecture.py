"""The arrows between the parts: pages -> app -> core, never back, and torch only where torch is."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from core.paths import PROJECT

HEAVY = ("torch", "timm", "torchvision")
LIGHT_CORE = (
    "core",
    "core.models.summary_types",
    "core.squeue",
    "core.models.diagram_layout",
    "core.data.download_job",
    "core.commands",
    "core.commands.data",
    "core.commands.hub",
    "core.commands.export",
    "core.commands.options",
    "core.commands.predictions",
    "core.commands.progress_bar",
    "core.commands.report",
    "core.commands.runs",
    "core.commands.scores",
    "core.commands.sweeps",
    "core.config",
    "core.processes",
    "core.data",
    "core.data.transforms",
    "core.data.cache",
    "core.data.cityscapes",
    "core.data.class_table",
    "core.data.collections",
    "core.data.dataset",
    "core.data.decoding",
    "core.data.download",
    "core.data.doctor",
    "core.data.doctor.causes",
    "core.data.doctor.examination",
    "core.data.doctor.findings",
    "core.data.doctor.known_colors",
    "core.data.doctor.survey",
    "core.data.folder",
    "core.data.frames",
    "core.data.polygons",
    "core.data.statistics",
    "core.synthetic",
    "core.models.encoder_table",
    "core.errors",
    "core.models.explanations",
    "core.export",
    "core.export.__main__",
    "core.export.offer",
    "core.extras",
    "core.models.families",
    "core.hub",
    "core.hub.__main__",
    "core.hub.card",
    "core.hub.client",
    "core.hub.jobs",
    "core.hub.origin",
    "core.hub.pictures",
    "core.hub.published",
    "core.hub.pull",
    "core.inference",
    "core.inference.prediction_cache",
    "core.inference.batches",
    "core.inference.exports",
    "core.inference.frame_scores",
    "core.inference.tta",
    "core.inference.process",
    "core.inference.fair_queue",
    "core.inference.uploads",
    "core.inference.worker",
    "core.labels",
    "core.auth",
    "core.paths",
    "core.report",
    "core.report.__main__",
    "core.report.contents",
    "core.report.figures",
    "core.report.html",
    "core.report.jobs",
    "core.report.progress",
    "core.report.latex",
    "core.report.report_data",
    "core.report.network",
    "core.report.phrases",
    "core.report.references",
    "core.report.settings",
    "core.report.saved_reports",
    "core.report.structure",
    "core.report.used",
    "core.runner",
    "core.runner.control",
    "core.jobs.engine",
    "core.runner.quotas",
    "core.runner.local",
    "core.runner.device_lock",
    "core.runner.slurm.engine",
    "core.runner.supervisor",
    "core.runner.trainer",
    "core.runner.slurm.job",
    "core.runs",
    "core.evaluation",
    "core.evaluation.__main__",
    "core.evaluation.submission_archives",
    "core.evaluation.results",
    "core.evaluation.staleness",
    "core.evaluation.jobs",
    "core.evaluation.leaderboard",
    "core.evaluation.metrics",
    "core.evaluation.bootstrap",
    "core.evaluation.metrics.boundaries",
    "core.evaluation.metrics.calibration",
    "core.evaluation.metrics.upper_bounds",
    "core.evaluation.metrics.confusion",
    "core.evaluation.metrics.counting",
    "core.evaluation.metrics.instances",
    "core.evaluation.metrics.protocol",
    "core.evaluation.published",
    "core.evaluation.metrics.robustness",
    "core.evaluation.metrics.scorer",
    "core.evaluation.metrics.scores",
    "core.evaluation.submission",
    "core.sweeps",
    "core.sweeps.driver",
    "core.sweeps.space",
    "core.sweeps.sweep",
    "core.sweeps.trials",
    "core.tracking",
    "core.tracking.__main__",
    "core.tracking.points",
    "core.tracking.start",
    "core.tracking.tracker",
    "core.training.__main__",
    "core.models.weights_source",
    "core.__main__",
)


def files(folder: str) -> list[Path]:
    return sorted((PROJECT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file, with relative ones made absolute."""
    found = set()
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.add(module)
            found |= {f"{module}.{name.name}" for name in node.names}
    return found


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def test_there_is_something_to_look_at():
    assert len(files("core")) > 40 and len(files("app")) > 5 and len(files("pages")) > 3
    assert "core.runs" in imported(PROJECT / "core/runner/local.py")


@pytest.mark.parametrize(
    ("folder", "never"),
    [("core", {"streamlit", "plotly", "app", "pages"}), ("app", {"pages", *HEAVY}), ("pages", set(HEAVY))],
)
def test_arrows_point_one_way(folder, never):
    wrong = {str(path.relative_to(PROJECT)): tops(path) & never for path in files(folder) if tops(path) & never}
    assert not wrong


LAYERS = (
    {
        "core.errors",
        "core.labels",
        "core.models.families",
        "core.models.encoder_table",
        "core.models.summary_types",
        "core.squeue",
        "core.processes",
        "core.models.diagram_layout",
        "core.models.explanations",
        "core.paths",
        "core.auth",
        "core.extras",
    },
    {"core.config"},
    {"core.hardware"},
    {"core.runs", "core.models.weights_source", "core.data", "core.models", "core.evaluation.metrics"},
    {"core.training", "core.runner", "core.inference", "core.tracking"},
    {"core.sweeps", "core.evaluation", "core.hub", "core.export", "core.data.download_job"},
    {"core.report"},
    {"core.commands"},
    {"core.__main__"},
)
KNOWN_SIDEWAYS = {
    ("core.training", "core.runner"),  # a trainer started by hand takes the device's lock itself
    ("core.training", "core.tracking"),  # and starts the processes that tell others of it
    ("core.tracking", "core.runner"),  # which are started and kept apart as a run's own are
    ("core.data", "core.runs"),  # who builds a cache is told from a later process as a run's trainer is
    ("core.inference", "core.training"),  # a checkpoint rebuilds its network; both live in a process with torch
}


def layer_of(module: str) -> tuple[int, str] | None:
    for number, names in enumerate(LAYERS):
        for name in names:
            if module == name or module.startswith(f"{name}."):
                return number, name
    return None


def test_core_is_layered():
    wrong = []
    for path in files("core"):
        own = layer_of(module_of(path))
        for module in imported(path):
            other = layer_of(module)
            if own is None or other is None or own[1] == other[1]:
                continue
            beside = other[0] == own[0] and own[0] > 0  # in the lowest layer names may know each other
            if (other[0] > own[0] or beside) and (own[1], other[1]) not in KNOWN_SIDEWAYS:
                wrong.append(f"{module_of(path)} imports {module}")
    assert not sorted(set(wrong))


def loaded_by(modules: list[str]) -> str:
    """Which of the heavy modules a fresh process has after importing some."""
    program = f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
print(*sorted({{name.split(".")[0] for name in sys.modules}} & set({HEAVY + ("streamlit", "plotly")!r})))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_light_part_of_core_loads_no_torch_and_no_screen():
    assert loaded_by(list(LIGHT_CORE)) == ""


def test_what_app_and_pages_import_loads_no_torch():
    modules = set()
    for path in files("app") + files("pages"):
        for name in imported(path):
            if name.split(".")[0] in ("app", "core"):
                source = PROJECT / name.replace(".", "/")
                if source.is_dir() or source.with_suffix(".py").is_file():
                    modules.add(name)
    assert {"core.runs", "core.config"} <= modules
    assert not set(loaded_by(sorted(modules)).split()) & set(HEAVY)


def test_every_module_says_what_it_does():
    missing = [
        str(path.relative_to(PROJECT))
        for path in files("core")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not missing
