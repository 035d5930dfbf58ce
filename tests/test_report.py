"""Reports: every number as the files have it, whatever state the runs are in, whatever they are called."""

import io
import json
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from report_sources import Files, figures_in_page, printed_value

from core.config import all_fields, read_config, setting_of, used_settings
from core.errors import LabError
from core.evaluation import staleness
from core.evaluation.evaluate_run import evaluate_robustness
from core.evaluation.results import EvaluationSettings
from core.labelling.label_set import create_label_set
from core.labelling.masks import change_mask, read_mask
from core.papers import REFERENCES
from core.progress import no_progress
from core.report.gathering import gather
from core.report.html import TEMPLATES, html_page
from core.report.latex import latex_files, table_csv, tex, tex_code
from core.report.progress import ProgressTracker
from core.report.saved_reports import delete_report, find_report, list_reports
from core.report.sections.reproduction import train_command
from core.report.settings import SECTIONS, ReportSettings, checked_settings
from core.report.structure import Cell, Number, Paragraph, Report, Section, Table
from core.report.writing import write_report
from core.runs.notes import Notes, write_notes
from core.runs.status import read_status, update_status
from core.runs.store import create_run, read_run
from core.synthetic import draw_scene

HOSTILE = "<script>alert(1)</script> 50% & $x_1$ \\input{/etc/passwd} {#~^} \"q\" 'é' 道"
IDS = ("20260101-000001-unet-aaaa", "20260101-000002-unet-bbbb", "20260101-000003-unet-cccc")


@pytest.fixture(scope="module")
def written(tmp_path_factory, streets, trained_run, tiny_config):
    """A report of two runs that differ, one with a hostile name, robustness scored; and their folder."""
    from core.training.loop import train

    folder = tmp_path_factory.mktemp("report")
    runs = folder / "runs"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("SEGLAB_CHECKPOINTS", runs),
            ("SEGLAB_DATA", streets.parent),
            ("SEGLAB_CACHE", folder / "cache"),
            ("SEGLAB_WEIGHTS", folder / "none"),
        ):
            patch.setenv(name, str(value))
        shutil.copytree(trained_run, runs / IDS[0])
        update_status(runs / IDS[0], state="finished")
        another_seed(runs, IDS[0])
        config = tiny_config(epochs=2, seed=5, rotation=10.0, optimizer="sgd")
        create_run(config, runs).rename(runs / IDS[1])
        state = train(runs / IDS[1], config, report=lambda **changes: None, should_stop=lambda: False)
        update_status(runs / IDS[1], state=state, started=1000.0, ended=1090.0)
        write_notes(runs / IDS[1], Notes(name=HOSTILE[:80]))
        for run_id in IDS[:2]:
            evaluate_robustness(read_run(runs / run_id), EvaluationSettings(frames=2), kinds=("noise", "resolution"))
        message = []
        settings = ReportSettings(IDS[:2], title=HOSTILE, author="A. Student", course="Vision & 100 %")
        saved = write_report(settings, folder / "out", lambda *told: message.append(told))
    return saved, runs, message


def another_seed(runs, run_id):
    """A finished run of the same recipe with another seed, whose scores are somewhat lower."""
    other = shutil.copytree(runs / run_id, runs / f"{run_id[:-4]}5eed")
    config = json.loads((other / "config.json").read_text())
    config["training"]["seed"] = 9
    (other / "config.json").write_text(json.dumps(config))
    rows = [json.loads(line) for line in (other / "metrics.jsonl").read_text().splitlines()]
    rows = [row | {"miou": 0.9 * row["miou"]} if row["kind"] == "eval" else row for row in rows]
    (other / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def page_of(saved):
    return (saved.path / "report.html").read_text(encoding="utf-8")


def source_of(saved):
    with zipfile.ZipFile(saved.path / "report.zip") as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_latex_says_how_it_becomes_a_pdf(written):
    text = source_of(written[0])["README.txt"].decode()
    assert "pdflatex main" in text and "bibtex main" in text and "Overleaf" in text


# ---- numbers


def test_every_number_of_the_page_is_what_its_file_says(written):
    saved, runs, _ = written
    files = Files(runs)
    values = figures_in_page(page_of(saved))
    assert len(values) > 200
    kinds = set()
    for value, scale, source, text in values:
        assert files.value(source) == pytest.approx(value, rel=1e-12, abs=1e-12), source
        shown, digits = printed_value(text)
        assert abs(abs(shown) - abs(value * scale)) <= 0.5000001 * 10**-digits or text == f"{value:g}", (
            text,
            value,
            source,
        )
        if re.search(
            r":/metadata/(frames|step|pixels_per_cell|size)|/(steps_total|train_frames|val_frames|seed|step|objects)$",
            source,
        ):
            assert scale == 1 and "." not in text, (source, text)  # a count is no share
        kinds.add(source.split(" ")[0] if " " in source else source.partition("/")[2].split(":")[0].split("/")[0])
    assert {"bootstrap", "repeats", "share", "mean", "reached", "confusion", "network", "rare", "frequent"} <= kinds
    assert {"config.json", "plan.json", "scores", "train", "eval"} & kinds >= {
        "config.json",
        "plan.json",
        "scores",
        "train",
    }


def test_no_number_is_without_a_source_in_the_tables_of_results(written):
    page = page_of(written[0])
    for name in ("scores", "cost", "iou", "significance-table", "ceilings", "corruptions"):
        table = re.search(rf'<figure id="{name}" class="table.*?</figure>', page, re.S)[0]
        cells = re.findall(r'<td class="( best|)">(.*?)</td>', table)
        assert cells
        assert all("<data" in cell or cell in ("–", "") for _, cell in cells), name


def test_no_text_of_a_csv_is_a_formula():
    table = Table("t", (), ("run", "=1+1"), ((Cell(("\t=2+2",)), Cell((Number("-3.0", -3.0, "@x"),))),))
    assert table_csv(table).splitlines()[1:] == ["'\t=2+2,'=1+1,-3.0,-3.0,1,'@x"]


def test_the_latex_tables_have_the_same_numbers(written):
    saved, runs, _ = written
    files, source = Files(runs), source_of(saved)
    printed_in_page = {(source, text) for _, _, source, text in figures_in_page(page_of(saved))}
    tables = [name for name in source if name.endswith(".csv")]
    assert len(tables) > 12
    checked = 0
    for name in tables:
        lines = source[name].decode().splitlines()[1:]
        body = source[name.replace(".csv", ".tex")].decode()
        assert body.startswith("\\begin{tabular}") and "\\toprule" in body and "\\bottomrule" in body
        for line in __import__("csv").reader(lines):
            _, _, text, value, scale, where = line
            assert files.value(where) == pytest.approx(float(value), rel=1e-12)
            assert (where, text) in printed_in_page
            assert tex(text.replace(" ", "\N{NO-BREAK SPACE}")) in body
            checked += 1
    assert checked > 150


def test_the_best_of_a_column_is_bold_and_only_it(written):
    page = page_of(written[0])
    table = re.search(r'<figure id="scores".*?</figure>', page, re.S)[0]
    rows = [
        re.findall(r'<td class="( best|)"><data value="([^"]+)"', row) for row in re.findall(r"<tr>.*?</tr>", table)[1:]
    ]
    columns = list(zip(*rows, strict=True))
    assert len(columns) >= 5
    for folder, column in enumerate(columns):
        bold = [float(value) for mark, value in column if mark]
        values = [float(value) for _, value in column]
        winner = min(values) if folder == len(columns) - 1 else max(values)  # the last is the calibration error
        assert bold == [winner]


# ---- what somebody typed


class Checker(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links, self.loads, self.events = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "href" and tag == "a":
                self.links.append(value)
            elif name in ("src", "href", "xlink:href", "data", "action", "srcset"):
                self.loads.append(value)
            if name.startswith("on"):
                self.events.append(name)


def test_the_page_runs_nothing_and_asks_nobody(written):
    page = page_of(written[0])
    checker = Checker()
    checker.feed(page)
    assert "script" not in checker.tags and not checker.events
    assert not {"iframe", "object", "embed", "form", "base", "link"} & set(checker.tags)
    assert all(load.startswith(("data:image/", "#")) for load in checker.loads)
    assert all(link.startswith(("#", "https://arxiv.org/abs/")) for link in checker.links)
    assert "default-src 'none'" in page and "@import" not in page
    assert not re.findall(r"url\((?!#)", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_every_link_of_the_page_arrives(written):
    page = page_of(written[0])
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    targets = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
    assert targets and not targets - set(names)


def test_latex_escapes_whatever_is_typed(written):
    main = source_of(written[0])["main.tex"].decode()
    title = re.search(r"\\title\{(.*)\}", main)[1]
    assert r"\textless{}script\textgreater{}" in title and r"\$x\_1\$" in title and r"\textbackslash{}input\{" in title
    assert (
        r"50\% \& " in title and r"\{\#\textasciitilde{}\textasciicircum{}\}" in title and r"\texttt{U+9053}" in title
    )
    assert r"\input{/etc" not in main
    assert tex("a_b%") == r"a\_b\%" and tex("é–×") == r"é--$\times$" and tex("a\nb\x00") == r"a b\texttt{U+0000}"


def test_latex_compiles(written, tmp_path):
    if not shutil.which("pdflatex") or not shutil.which("bibtex"):
        pytest.skip("there is no pdflatex; on Debian, texlive-latex-recommended and texlive-fonts-recommended have it")
    for name, data in source_of(written[0]).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "main.tex"]
    for command in (latex, ["bibtex", "main"], latex, latex):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
        assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "main.log").read_text(errors="replace")
    assert "undefined references" not in log and "Citation" not in log and "Missing character" not in log
    overfull = [float(width) for width in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)]
    assert max(overfull, default=0) < 12
    assert (tmp_path / "main.pdf").stat().st_size > 20_000


def test_no_name_is_taken_for_an_argument(tmp_path):
    names = ("[mine] best", "[3cm]", "*[2em]", "* starred", "a]b [c] ]")
    assert [tex(name) for name in names[:3]] == ["{[}mine{]} best", "{[}3cm{]}", "{*}{[}2em{]}"]
    if not shutil.which("pdflatex"):
        pytest.skip("there is no pdflatex; on Debian, texlive-latex-recommended and texlive-fonts-recommended have it")
    rows = "".join(f"{tex(name)} & 1 \\\\\n" for name in names)
    table = f"\\begin{{tabular}}{{lr}}\n\\toprule\n{rows}\\midrule\n{rows}\\bottomrule\n\\end{{tabular}}\n"
    items = "".join(f"\\item {tex(name)}\n\\item {tex_code(name)}\n" for name in names)
    title = rf"\hypersetup{{pdftitle={{{tex(names[0])}}}}}\title{{{tex(names[0])}}}\author{{A\\ {tex(names[0])}}}"
    body = f"\\section{{{tex(names[0])}}}\n{table}\\begin{{itemize}}\n{items}\\end{{itemize}}\n"
    preamble = (TEMPLATES / "preamble.tex").read_text()
    (tmp_path / "main.tex").write_text(f"{preamble}{title}\n\\begin{{document}}\\maketitle\n{body}\\end{{document}}\n")
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "main.tex"]
    done = subprocess.run(latex, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    if shutil.which("pdftotext"):
        message = subprocess.run(["pdftotext", "main.pdf", "-"], cwd=tmp_path, capture_output=True, text=True).stdout
        assert [message.count(text) for text in ("[mine] best", "[3cm]", "*[2em]", "* starred")] == [7, 4, 4, 4]


# ---- what is said


def test_the_sections_are_there_and_conclusions_follow_from_tables(written):
    page = page_of(written[0])
    for name, title in SECTIONS.items():
        assert f'<section id="{name}"' in page and f"<h2>{title}</h2>" in page
    drafts = re.findall(r'<p class="draft">(.*?)</p>', page, re.S)
    assert len(drafts) > 8 and "Draft for the author" in page
    assert sum("follows" in draft for draft in drafts) >= len(drafts) - 2
    assert "is better than" in page or "can&#39;t be told apart" in page
    assert re.search(r"trained with <data[^>]*>2</data> seeds, comes to a mean IoU of", page), "one run has a repeat"
    assert "not learned from equally many crops" in page  # 60 steps of 4 against 8 of 2
    assert "What would come next" in page


def test_methodology_says_what_was_used_and_nothing_else(written):
    page = page_of(written[0])
    method = re.search(r'<section id="methodology".*?</section>', page, re.S)[0]
    assert "turned by up to" in method and "momentum of" in method  # of the second run alone
    assert "label smoothing" not in method and "accumulate_grad_batches" not in method and "drop path" not in method
    assert "AdamW" in method and "stochastic gradient descent" in method


def test_only_papers_that_are_named_are_listed(written):
    saved = written[0]
    bib = source_of(saved)["references.bib"].decode()
    keys = re.findall(r"^@\w+\{(\w+),", bib, re.M)
    cited = set(",".join(re.findall(r"\\cite\{([^}]+)\}", source_of(saved)["main.tex"].decode())).split(","))
    assert set(keys) == cited and "ronneberger2015unet" in keys and "long2015fcn" not in keys
    assert all(f'id="ref-{key}"' in page_of(saved) for key in keys)


def test_bibtex_entries_are_whole():
    for entry in REFERENCES.values():
        assert entry.bibtex.count("{") == entry.bibtex.count("}") and 1970 < entry.year < 2027
        assert not entry.arxiv or re.fullmatch(r"\d{4}\.\d{4,5}", entry.arxiv)
        assert entry.author_text and "{" not in entry.venue_text + entry.plain_title


def test_progress_only_grows(written):
    _, _, message = written
    assert all(0 <= done < total for _, done, total in message)
    assert [done for _, done, _ in message] == sorted(done for _, done, _ in message)
    assert any("Scoring" in what for what, _, _ in message)


# ---- runs in any state


def config_json(path, text):
    (path / "config.json").write_text(text)


def rewritten(path, change):
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    (path / "metrics.jsonl").write_text("".join(json.dumps(change(row)) + "\n" for row in rows))


def no_number(row):
    return {name: None if isinstance(value, float) else value for name, value in row.items()} | (
        {"iou": [None] * len(row["iou"]), "truth": [0.0] * len(row["iou"])} if row["kind"] == "eval" else {}
    )


def without_checkpoints(path):
    for which in ("best", "last"):
        shutil.rmtree(path / which)


def moved(path):
    values = json.loads((path / "config.json").read_text())
    values["dataset"] |= {"name": "cityscapes", "root": str(path.parent.parent / "gone")}
    (path / "config.json").write_text(json.dumps(values))


def queued(path):
    for name in ("plan.json", "metrics.jsonl"):
        (path / name).unlink()
    without_checkpoints(path)
    update_status(path, state="queued", step=0, steps_total=None)


def other_classes(path):
    plan = json.loads((path / "plan.json").read_text())
    for name in ("classes", "colors", "class_pixels"):
        plan[name] = plan[name][:7]
    (path / "plan.json").write_text(json.dumps(plan | {"space": "other"}))
    rewritten(path, lambda row: row | {name: row[name][:7] for name in ("iou", "predicted", "truth") if name in row})
    without_checkpoints(path)


STATES = {
    "queued": (queued, "has not begun to train"),
    "running": (lambda path: update_status(path, state="running", step=30), "stopped unexpectedly"),  # nobody is there
    "stopped": (lambda path: update_status(path, state="stopped", step=30), "was stopped before its end"),
    "failed without a plan": (
        lambda path: (queued(path), update_status(path, state="failed", failure="data", error="There are no frames.")),
        "There are no frames.",
    ),
    "diverged": (
        lambda path: (rewritten(path, no_number), update_status(path, state="failed", failure="diverged", error="It ran away.")),
        "It ran away.",
    ),
    "no checkpoint": (without_checkpoints, "those of its best evaluation"),
    "no evaluation": (
        lambda path: (without_checkpoints(path), (path / "metrics.jsonl").write_text("")),
        "it has not been scored yet",
    ),
    "no metrics at all": (lambda path: (path / "metrics.jsonl").unlink(), "mean IoU"),
    "no validation labels": (lambda path: (rewritten(path, no_number), without_checkpoints(path)), "has no score"),
    "moved data": (moved, "There is no folder"),
    "other classes": (other_classes, "two groups"),
    "broken plan": (lambda path: (path / "plan.json").write_text("[1"), "mean IoU"),
    "torn metrics": (lambda path: (path / "metrics.jsonl").write_text('{"kind": "eval", "st'), "mean IoU"),
}  # fmt: skip


WITHOUT_DRAWINGS = tuple(name for name in SECTIONS if name != "architectures")
"""Networks are described as they are configured, whatever became of the run."""


def is_sensible(page):
    text = re.sub(r"<svg.*?</svg>", "", page, flags=re.S).replace("None of these", "")
    assert "None" not in text and "nan" not in re.findall(r"<data[^>]*>([^<]*)</data>", page)


@pytest.mark.parametrize("state", STATES)
def test_a_run_in_any_state_makes_a_sensible_document(written, lab_folders, monkeypatch, state):
    monkeypatch.setenv("SEGLAB_CACHE", str(written[1].parent / "cache"))
    shutil.copytree(written[1] / IDS[0], lab_folders.runs / IDS[2])
    change, sentence = STATES[state]
    change(lab_folders.runs / IDS[2])
    page = page_of(write_report(ReportSettings(IDS[2:], sections=WITHOUT_DRAWINGS), lab_folders.other / "out"))
    is_sensible(page)
    if state != "other classes":
        assert sentence in page.replace("&#39;", "'")


def test_runs_in_many_states_stand_beside_each_other(written, lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(written[1].parent / "cache"))
    ids = [*IDS[:2]]
    for run_id in ids:
        shutil.copytree(written[1] / run_id, lab_folders.runs / run_id)
    sentences = []
    for folder, state in enumerate(
        ("queued", "diverged", "no checkpoint", "moved data", "other classes", "failed without a plan")
    ):
        ids.append(f"20260101-00001{folder}-unet-dddd")
        shutil.copytree(written[1] / IDS[0], lab_folders.runs / ids[-1])
        STATES[state][0](lab_folders.runs / ids[-1])
        sentences.append(STATES[state][1])
    saved = write_report(ReportSettings(tuple(ids), sections=WITHOUT_DRAWINGS), lab_folders.other / "out")
    page = page_of(saved).replace("&#39;", "'")
    is_sensible(page)
    assert "is better" in page or "can't be told apart" in page
    for sentence in sentences[:4] + sentences[5:]:
        assert sentence in page
    assert "can't all be compared" in page and "Data of group 2" in page
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))


def test_a_broken_config_is_left_out_and_alone_refused(written, lab_folders):
    _, runs, _ = written
    for run_id in IDS[:2]:
        shutil.copytree(runs / run_id, lab_folders.runs / run_id)
    (lab_folders.runs / IDS[1] / "config.json").write_text('{"dataset":')
    saved = write_report(ReportSettings(IDS[:2], sections=("introduction",)), lab_folders.other / "out")
    assert "is left out" in saved.notes[0] and IDS[1] in saved.notes[0]
    with pytest.raises(LabError, match=r"Nothing can be said of these runs.*config\.json"):
        write_report(ReportSettings(IDS[1:2]), lab_folders.other / "other")
    with pytest.raises(LabError, match="There is no run"):
        write_report(ReportSettings(("20200101-000000-fcn-0000",)), lab_folders.other / "other")
    assert not (lab_folders.other / "other").exists() and not list(lab_folders.other.glob(".other*"))


def test_pictures_of_cityscapes_are_left_out_unless_asked_for(written, lab_folders, streets, monkeypatch):
    _, runs, _ = written
    monkeypatch.setenv("SEGLAB_CACHE", str(runs.parent / "cache"))
    path = lab_folders.runs / IDS[0]
    shutil.copytree(runs / IDS[0], path)
    values = json.loads((path / "config.json").read_text())
    values["dataset"] |= {"name": "cityscapes", "root": str(streets)}  # the same layout
    (path / "config.json").write_text(json.dumps(values))
    chosen = ("introduction", "results")
    plain = write_report(ReportSettings(IDS[:1], sections=chosen), lab_folders.other / "plain")
    assert "<img" not in page_of(plain) and not [name for name in source_of(plain) if name.startswith("images/")]
    assert any("may be used for research and teaching, but not passed on" in note for note in plain.notes)
    requests = write_report(ReportSettings(IDS[:1], sections=chosen, pictures=True), lab_folders.other / "asked")
    assert page_of(requests).count("<img") >= 9 and not requests.notes
    assert "not with published results" in page_of(requests)


def test_labels_that_were_painted_in_the_lab_say_so(written, lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(lab_folders.other))
    path = lab_folders.runs / IDS[0]
    shutil.copytree(written[1] / IDS[0], path)
    images = [(f"photo {n}", lambda n=n: draw_scene(n, 0, size=(40, 60)).image) for n in range(2)]
    label_set = create_label_set("Mine", images, ("road", "sky"))
    created = read_status(path).created
    moments = iter([created - 300, created - 270, created - 200, created + 500])
    with monkeypatch.context() as clock:
        clock.setattr("core.labelling.masks.time.time", lambda: next(moments))
        for number, frame in enumerate([*label_set.images, *label_set.images]):
            stroke = {"id": f"{number:08x}", "box": [0, 0, 9, 1], "runs": [9, number % 2 ^ number // 2]}
            change_mask(label_set, frame, stroke, read_mask(label_set, frame).revision)
    values = json.loads((path / "config.json").read_text())
    values["dataset"] |= {"name": "folder", "root": str(label_set.root)}
    (path / "config.json").write_text(json.dumps(values))
    page = page_of(write_report(ReportSettings(IDS[:1], sections=("introduction",)), lab_folders.other / "out"))
    printed = {
        source.rpartition(":")[2]: value for value, _, source, _ in figures_in_page(page) if "/labelling:" in source
    }
    assert printed == {"/frames": 2, "/changes": 3, "/minutes": 0.5}
    assert "The labels were painted in this lab" in page
    marker = label_set.root / "labelling.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"mends": "/data"}))
    page = page_of(write_report(ReportSettings(IDS[:1], sections=("introduction",)), lab_folders.other / "mended"))
    assert "corrected in this lab" in page and "painted in this lab" not in page


def test_labels_that_were_mended_in_place_of_the_own_ones_say_so(written, lab_folders):
    for run_id in IDS[:2]:
        shutil.copytree(written[1] / run_id, lab_folders.runs / run_id)
    settings = ReportSettings(IDS[:2], sections=("introduction",))
    sentences = []
    for run_id in (None, *IDS[:2]):
        if run_id:
            path = lab_folders.runs / run_id / "config.json"
            values = json.loads(path.read_text())
            values["dataset"]["corrections"] = "/mended"
            path.write_text(json.dumps(values))
        page = page_of(write_report(settings, lab_folders.other / str(run_id)))
        sentences.append(
            re.findall(r"Labels of some training frames were mended before they were learned from[^.]*", page)
        )
    beginning = "Labels of some training frames were mended before they were learned from"
    assert sentences == [[], [f"{beginning} by some of the runs"], [beginning]]


def test_a_report_takes_no_card_of_masks_that_were_corrected_since_unless_the_data_are_away(
    written, lab_folders, streets, monkeypatch
):
    monkeypatch.setenv("SEGLAB_CACHE", str(written[1].parent / "cache"))
    shutil.copytree(written[1] / IDS[0], lab_folders.runs / IDS[0])
    data = lab_folders.other / "data"
    shutil.copytree(streets, data / "streets")
    monkeypatch.setenv("SEGLAB_DATA", str(data))

    def scored():
        settings = ReportSettings(IDS[:1], sections=("introduction",))
        summary = gather(settings, ProgressTracker(no_progress)).groups[0].summaries[0]
        return summary.result, summary.result_file

    before, mask = scored(), next((data / "streets" / "gtFine" / "val").rglob("*_labelIds.png"))
    original = mask.read_bytes()
    values = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(mask), np.full_like(values, 7))
    corrected = scored()
    assert corrected[0].metadata.data != before[0].metadata.data and corrected[1] != before[1]
    assert corrected[0].scores.miou != before[0].scores.miou
    mask.write_bytes(original)
    assert scored()[0].metadata.data == before[0].metadata.data, "the newest file isn't the one of today's data"
    shutil.move(data / "streets", lab_folders.other / "away")
    (data / "streets").mkdir()
    (data / "streets" / "streets.json").write_text("{}")  # else they would be drawn anew
    staleness.forget_data()
    assert scored()[0] is not None, "what was scored is still known"


# ---- settings, shelf, commands


def test_settings_are_checked():
    with pytest.raises(LabError, match="at least one run"):
        checked_settings(ReportSettings(()))
    with pytest.raises(LabError, match="room for 8"):
        checked_settings(ReportSettings(tuple(str(index) for index in range(9))))
    with pytest.raises(LabError, match="no section 'x'"):
        checked_settings(ReportSettings(("a",), sections=("x",)))
    with pytest.raises(LabError, match="at least one section"):
        checked_settings(ReportSettings(("a",), sections=()))
    with pytest.raises(LabError, match="title has 201 characters"):
        checked_settings(ReportSettings(("a",), title="x" * 201))
    result = checked_settings(ReportSettings(("a", "a", "b"), title=" a\n\x00b ", sections=("results", "introduction")))
    assert result.runs == ("a", "b") and result.title == "a b" and result.sections == ("introduction", "results")


def test_reports_are_kept_found_and_deleted(written, lab_folders, monkeypatch):
    saved, _, _ = written
    monkeypatch.setenv("SEGLAB_REPORTS", str(lab_folders.other / "reports"))
    assert list_reports() == []
    name = "20260101-000000-report-abcd"
    shutil.copytree(saved.path, lab_folders.other / "reports" / name)
    (lab_folders.other / "reports" / "20260101-000000-report-dcba").mkdir()  # half of one
    assert [report.id for report in list_reports()] == [name] and find_report(name).title == saved.title
    for wrong in ("..", "../reports", "20260101-000000-report-dcba", "20260101-000000-report-abcd/", ""):
        with pytest.raises(LabError, match="no such report"):
            find_report(wrong)
    delete_report(name)
    assert list_reports() == []


def test_every_setting_is_used_by_some_run_or_said_elsewhere():
    reported = {f"{part}.{name}" for part, name in all_fields() if setting_of(part, name).in_report}
    configs = [
        {"model": {"family": "fcn", "encoder": "vgg16", "freeze": 1}},
        {"model": {"family": "fcn", "dilated_head": True, "head_only": True}},
        {"model": {"freeze": 0.5}, "training": {"unfreeze": 0.5, "teacher": "20260101-000000-fcn-0000"}, "dataset": {"unlabelled": 1}},
        {"model": {"family": "unet", "encoder": "plain", "dropout": 0.1}},
        {"model": {"family": "unet"}},
        {"model": {"family": "vit", "drop_path": 0.1, "patch_size": 8}, "training": {"layer_decay": 0.7, "encoder_lr_scale": 0.1, "half_size_share": 0.5}},
        {"dataset": {"annotations": "fine+coarse", "max_train_samples": 5, "train_sample_seed": 1, "max_val_samples": 2, "cache": "jpeg", "corrections": "/x/mended"}},
        {"dataset": {"name": "folder", "root": "/x", "bands": "4 3 2 1", "white_level": "4095", "folds": 3}},
        {"training": {"minutes": 0, "accumulate_grad_batches": 2, "stop_early": "miou", "num_processes": 2, "sync_batch_norm": True, "rotation": 5, "blur": 0.1, "vertical_flip": True, "rotate90": True, "elastic": 10}},
        {"training": {"rare_crops": 0.5, "copy_paste": 0.5, "optimizer": "sgd", "schedule": "step", "ema": 0.9, "label_smoothing": 0.1}},
        {"training": {"schedule": "polynomial", "warmup_fraction": 0.1, "second_loss": "dice"}},
    ]  # fmt: skip
    used = {f"{part}.{name}" for values in configs for part, name in used_settings(read_config(values))}
    assert used == reported
    plain = {f"{part}.{name}" for part, name in used_settings(read_config({}))}
    assert not {"training.momentum", "training.gamma", "model.head", "dataset.coarse_weight", "training.epochs"} & plain
    dice = {name for _, name in used_settings(read_config({"training": {"loss": "dice"}}))}
    assert "class_weights" not in dice and "label_smoothing" not in dice


@pytest.mark.parametrize(
    "values",
    [
        {},
        {
            "model": {"family": "vit", "grad_checkpointing": True},
            "training": {"minutes": 5.0, "flip": False, "seed": 7},
        },
        {
            "dataset": {"name": "cityscapes", "root": "/a b/$c'd", "annotations": "fine+coarse"},
            "training": {"scale_max": 1.5},
        },
    ],
)
def test_the_command_makes_the_same_config(values, monkeypatch):
    import shlex

    from core.__main__ import _parser
    from core.commands.options import requested_config

    config = read_config(values)
    text = shlex.split(train_command(config))
    assert text[:4] == ["python", "-m", "core", "train"]
    assert requested_config(_parser().parse_args(text[3:])) == config


def test_equal_epochs_give_equal_steps():
    from core.report.report_data import RunSummary
    from core.report.sections.reproduction import same_epochs
    from core.runs.status import Status
    from core.runs.store import Run
    from core.training.plan import count_steps

    for steps in (1, 7, 60, 409, 12_345):
        config = read_config({"training": {"minutes": 5.0, "batch_size": 8}})
        run = Run(None, Status("finished", 0.0), config, plan={"steps_total": steps, "train_frames": 409})
        epochs = same_epochs(RunSummary(run, "x", "#000", {}))
        training = config.training.model_copy(update={"minutes": 0.0, "epochs": epochs})
        assert count_steps(training, 409, 0, 1, 1) == steps


def test_the_command_line_writes_a_report(written, lab_folders, monkeypatch, capsys):
    from core.__main__ import main

    _, runs, _ = written
    monkeypatch.setenv("SEGLAB_CACHE", str(runs.parent / "cache"))
    shutil.copytree(runs / IDS[0], lab_folders.runs / IDS[0])
    out = lab_folders.other / "report"
    text = [
        "report",
        "aaaa",
        "--out",
        str(out),
        "--sections",
        "results",
        "conclusions",
        "--title",
        "A title",
        "--json",
    ]
    assert main(text) == 0
    response = json.loads(capsys.readouterr().out)
    assert response["title"] == "A title" and sorted(path.name for path in out.iterdir()) == [
        "report.html", "report.json", "report.zip",
    ]  # fmt: skip
    assert 'id="methodology"' not in (out / "report.html").read_text()
    assert main(text) == 42 and "is there already" in capsys.readouterr().out


def test_a_job_writes_onto_the_shelf(written, lab_folders, monkeypatch, wait_until):
    from core.jobs.kinds import latest, stop
    from core.report.job import start_report

    _, runs, _ = written
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    monkeypatch.setenv("SEGLAB_REPORTS", str(lab_folders.other / "reports"))
    shutil.copytree(runs / IDS[0], lab_folders.runs / IDS[0])
    job = start_report(ReportSettings(IDS[:1], sections=("introduction",)))
    with pytest.raises(LabError, match="being done already"):
        start_report(ReportSettings(IDS[:1]))
    done = wait_until(lambda: (now := latest("report")) and not now.is_active and now, 120)
    assert (done.id, done.state) == (job.id, "finished"), done
    assert find_report(done.result["id"]).settings.runs == IDS[:1]
    job = start_report(ReportSettings(IDS[:1], robustness=True))
    stop("report", job)
    done = wait_until(lambda: (now := latest("report")) and not now.is_active and now, 120)
    assert done.state == "stopped" and len(list_reports()) == 1


def test_an_empty_report_is_a_document():
    report = Report("T", "", "", 0.0, (Section("a", "A", (Paragraph(("words",)), Table("t", ("c",), ("x",), ()))),))
    assert "<h2>A</h2>" in html_page(report)
    files = dict(latex_files(report))
    assert "main.tex" in files and "references.bib" not in files
    assert replace(report, title="U").title == "U" and io.BytesIO(files["main.tex"]).read()
