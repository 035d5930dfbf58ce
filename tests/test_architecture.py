"""The arrows between the parts: pages -> app -> core, never back, and torch only where torch is."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.paths import PROJECT
from core.tracking.table import TRACKERS

HEAVY = ("torch", "timm", "torchvision")
MAY_LOAD_TORCH = {
    "core.data.loaders",
    "core.evaluation",
    "core.export",
    "core.hardware",
    "core.hub",
    "core.inference",
    "core.models",
    "core.report",
    "core.training",
}
"""Packages and modules of which some load torch as they are imported. The server, the command line and supervisors load none of these."""


def files(folder: str) -> list[Path]:
    return sorted((PROJECT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file, with relative ones made absolute."""
    result = set()
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            result |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            result.add(module)
            result |= {f"{module}.{name.name}" for name in node.names}
    return result


def imported_at_once(path: Path) -> set[str]:
    """Every module that is loaded when a file is imported: none of those that a function imports, or only a type checker."""
    result, todo = set(), list(ast.parse(path.read_text(encoding="utf-8")).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            result |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            result |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt | ast.excepthandler)]
    result.add(module_of(path))
    return {".".join(parts[:end]) for parts in (name.split(".") for name in result) for end in range(1, len(parts) + 1)}


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def test_there_is_something_to_look_at():
    assert len(files("core")) > 40 and len(files("app")) > 5 and len(files("pages")) > 3
    assert "core.runs.store" in imported(PROJECT / "core/runner/local.py")


@pytest.mark.parametrize(
    ("folder", "never"),
    [("core", {"streamlit", "plotly", "app", "pages"}), ("app", {"pages", *HEAVY}), ("pages", set(HEAVY))],
)
def test_arrows_point_one_way(folder, never):
    wrong = {str(path.relative_to(PROJECT)): tops(path) & never for path in files(folder) if tops(path) & never}
    assert not wrong


LAYERS = (
    {
        "core.auth",
        "core.data.sources",
        "core.disk_usage",
        "core.errors",
        "core.extras",
        "core.files",
        "core.labels",
        "core.models.diagram_layout",
        "core.models.encoder_table",
        "core.models.explanations",
        "core.models.families",
        "core.models.summary_types",
        "core.papers",
        "core.paths",
        "core.processes",
        "core.progress",
        "core.squeue",
        "core.text",
        "core.tracking.table",
        "core.training.tables",
    },
    {"core.config"},
    {"core.hardware", "core.jobs"},
    {"core.runs", "core.data", "core.models", "core.evaluation.metrics"},
    {"core.training", "core.runner", "core.inference", "core.tracking", "core.labelling"},
    {"core.sweeps", "core.evaluation", "core.hub", "core.export"},
    {"core.report"},
    {"core.commands"},
    {"core.__main__"},
)
"""From the lowest up; a longer name goes before the package that it is in."""
KNOWN_SIDEWAYS = {
    ("core.training", "core.runner"),  # a trainer started by hand takes the device's lock itself
    ("core.training", "core.tracking"),  # and starts the processes that tell others of it
    ("core.tracking", "core.runner"),  # which are started and kept apart as a run's own are
    ("core.inference", "core.training"),  # a checkpoint rebuilds its network; both live in a process with torch
}


def layer_of(module: str) -> tuple[int, str] | None:
    matches = [
        (len(name), index, name)
        for index, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(f"{name}.")
    ]
    return max(matches)[1:] if matches else None


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


def loads_torch() -> set[str]:
    """The modules of core that import torch, or what does, as they are imported."""
    graph = {module_of(path): imported_at_once(path) for path in files("core")}
    result, todo = set(), {*HEAVY, "safetensors.torch"}
    while todo:
        result |= todo
        todo = {module for module, names in graph.items() if names & todo} - result
    return result & graph.keys()


def test_torch_is_where_it_may_be():
    def may(module: str) -> bool:
        return any(module == name or module.startswith(f"{name}.") for name in MAY_LOAD_TORCH)

    assert not sorted(module for module in loads_torch() if not may(module))


def test_the_rest_of_core_loads_no_torch_and_no_screen():
    """Neither itself nor through a package that it imports."""
    trackers = {tracker.module for tracker in TRACKERS.values()}
    rest = {module_of(path) for path in files("core")} - loads_torch() - trackers
    assert loaded_by(sorted(rest)) == ""


def test_what_app_and_pages_import_loads_no_torch():
    modules = set()
    for path in files("app") + files("pages"):
        for name in imported(path):
            if name.split(".")[0] in ("app", "core"):
                source = PROJECT / name.replace(".", "/")
                if source.is_dir() or source.with_suffix(".py").is_file():
                    modules.add(name)
    assert {"core.runs.store", "core.config"} <= modules
    assert not set(loaded_by(sorted(modules)).split()) & set(HEAVY)


def test_a_plain_network_needs_no_timm():
    """It takes as long to import as torch itself, and every trainer would wait for it."""
    assert loaded_by(["core.training.loop", "core.inference.predictor", "core.models.unet"]) == "torch"


def test_every_module_says_what_it_does():
    missing = [
        str(path.relative_to(PROJECT))
        for path in files("core")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not missing


DIALECT = {
    "anatomy",
    "answer",
    "answers",
    "asked",
    "binned",
    "carded",
    "ceiling",
    "ceilings",
    "climb",
    "colour",
    "colours",
    "fewest",
    "foreign",
    "found",
    "kept",
    "ladder",
    "least",
    "longest",
    "look",
    "most",
    "onlooker",
    "photo",
    "photograph",
    "photographs",
    "photos",
    "picture",
    "pictures",
    "place",
    "places",
    "rehearsal",
    "rehearse",
    "remedy",
    "room",
    "said",
    "scorecard",
    "scorecards",
    "shelf",
    "shelved",
    "sight",
    "silence",
    "strangers",
    "tally",
    "team",
    "telling",
    "told",
    "turn",
    "turns",
    "wanted",
    "whoever",
    "word",
    "words",
    "zoom",
}
"""Words that no API of the field uses; there it is image, result, prediction, cached, index, text, request, max, min."""
EXCEPTIONS = {
    "break_long_words",  # textwrap's
    "most_common",  # collections.Counter's
    "pictures",  # a field of ReportSettings, which stands in stored requests and on the command line
    "zip_longest",  # itertools'
}


def identifiers(path: Path) -> set[str]:
    """Every name that a file defines or uses, and its own."""
    result = {path.stem}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [getattr(node, field, None) for field in ("id", "arg", "attr", "name", "asname", "rest")]
        names += getattr(node, "kwd_attrs", [])
        result |= {name.rpartition(".")[2] for name in names if isinstance(name, str)}
    return result


def test_identifiers_are_words_of_the_field():
    wrong = []
    for path in files("core") + files("app") + files("pages"):
        for name in identifiers(path) - EXCEPTIONS:
            parts = set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))
            if parts & DIALECT and not name.endswith("NotFoundError"):
                wrong.append(f"{path.relative_to(PROJECT)}: {name}")
    assert not sorted(wrong)


# ---- text is text: what becomes HTML or Markdown is escaped on its way

FOREIGN = {"error", "id", "message", "name", "owner", "path", "problem", "repo", "root", "sentence", "tags"}
"""Attributes that hold what people typed, or what files are called."""
MARKDOWN_WIDGETS = set(
    [
        "markdown",
        "caption",
        "error",
        "warning",
        "info",
        "success",
        "toast",
        "spinner",
        "progress",
        "button",
        "checkbox",
        "toggle",
        "radio",
        "text_input",
        "text_area",
        "number_input",
        "slider",
        "selectbox",
        "multiselect",
        "file_uploader",
        "camera_input",
        "popover",
        "expander",
        "subheader",
        "header",
        "title",
        "metric",
        "page_link",
        "link_button",
        "download_button",
        "write",
        "pills",
        "segmented_control",
        "status",
        "form_submit_button",
    ]
)


def calls(folder: str):
    """Every call in the files of a folder, with where it stands."""
    for path in files(folder):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(PROJECT)}:{node.lineno}", node


def name_of(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


@pytest.mark.parametrize("folder", ["app", "pages"])
def test_only_literals_become_html(folder):
    wrong = []
    for where, call in calls(folder):
        if name_of(call) == "Markup" and not all(isinstance(argument, ast.Constant) for argument in call.args):
            wrong.append(f"{where}: Markup of what is no literal")
        shown = name_of(call) == "html" and isinstance(call.func, ast.Attribute)
        unsafe = any(keyword.arg and keyword.arg.startswith("unsafe_allow") for keyword in call.keywords)
        if (shown or unsafe) and not where.startswith("app/html.py"):
            wrong.append(f"{where}: HTML is shown by app.html alone")
    assert not wrong


def unescaped(node: ast.AST) -> list[str]:
    """Foreign attributes in an expression that no function escapes."""
    if isinstance(node, ast.Compare) or (isinstance(node, ast.Call) and name_of(node) in ("escape_markdown", "len")):
        return []
    own = [ast.unparse(node)] if isinstance(node, ast.Attribute) and node.attr in FOREIGN else []
    if isinstance(node, ast.Call) and name_of(node) == "str":
        own = [ast.unparse(node)]
    return own + [text for child in ast.iter_child_nodes(node) for text in unescaped(child)]


@pytest.mark.parametrize("folder", ["app", "pages"])
def test_no_name_goes_raw_into_markdown(folder):
    wrong = []
    for where, call in calls(folder):
        if (
            name_of(call) not in MARKDOWN_WIDGETS
            and name_of(call) != "image"
            or not isinstance(call.func, ast.Attribute)
        ):
            continue
        shown = call.args[1:2] if name_of(call) == "image" else call.args[:1]  # an image's caption is formatted too
        texts = shown + [
            keyword.value for keyword in call.keywords if keyword.arg in ("label", "help", "text", "caption")
        ]
        wrong += [f"{where}: {text}" for argument in texts for text in unescaped(argument)]
    assert not wrong


def test_these_tests_see_what_is_raw():
    assert unescaped(ast.parse("f'of {run.name}'")) == ["run.name"] and not unescaped(
        ast.parse("escape_markdown(run.name)")
    )
