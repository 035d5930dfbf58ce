"""Text is text: two hundred strings that want to be more go through every field, and come out of every target as they are."""

import csv
import io
import json
import re
import shlex
from html.parser import HTMLParser

import numpy as np
import pytest
from hostile_strings import HOSTILE
from markupsafe import Markup

from app.auth import user_of_claims
from app.html import joined, show
from app.tables import Cell, badge, run_link, swatch
from core.data.class_table import read_class_table
from core.data.collections import list_collections, save_collection, slug_of
from core.errors import LabError
from core.escaping import JOINER, csv_cell, escape_markdown, escape_plotly
from core.inference.batches import shown_name
from core.report.latex import tex, tex_code
from core.report.settings import ReportSettings, checked_settings
from core.runs.notes import Notes, checked_notes, read_notes, write_notes
from core.runs.store import create_run, read_run
from core.text import keep_lines, one_line

LATEX_COMMANDS = {*"#{}&_$%", "allowbreak", "texttt", "textbackslash", "textasciitilde", "textasciicircum"} | {
    f"text{name}" for name in ("greater", "less", "bar", "quotesingle", "quotedbl", "asciigrave")
}
"""All that a text may become."""

hostile = pytest.mark.parametrize("text", HOSTILE, ids=ascii)


class Tags(HTMLParser):
    """What a browser would make of a piece of HTML: its elements with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[str | None] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, tuple(name for name, _ in attributes)))
        self.attributes += [value for _, value in attributes]

    def handle_data(self, data):
        self.text += data


def test_there_are_two_hundred():
    assert len(set(HOSTILE)) >= 200


@hostile
def test_html_shows_it(text):
    for make in (
        lambda text: joined([text]),
        badge,
        lambda text: run_link("x", text),
        lambda text: joined([swatch((1, 2, 3)), text]),
    ):
        read, usual = Tags(make(text)), Tags(make("x"))
        assert read.elements == usual.elements and read.text == text
    held = Tags(badge("x", title=text))
    assert held.elements == [("span", ("class", "title"))] and text in held.attributes


def test_a_page_shows_no_text_as_html():
    for text in ("<b>x</b>", "x"):
        with pytest.raises(TypeError, match="Markup"):
            show(text)
    assert isinstance(joined([Cell("x").content]), Markup)


@hostile
def test_markdown_shows_it(text):
    escaped = escape_markdown(text)
    shown = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escaped).replace(JOINER, "")
    assert shown == "\n".join(line.strip() for line in text.splitlines())
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", escaped)
    assert not set(bare) & set("\\`*_{}[]()#+-.!|<>~$:&=^"), "all that Markdown reads has a stroke before it"
    assert "://" not in escaped and "www." not in escaped


@hostile
def test_plotly_shows_it(text):
    escaped = escape_plotly(text)
    assert "<" not in escaped and "%{" not in escaped and not escaped.startswith("$")


@hostile
def test_latex_prints_it(text):
    for escaped in (tex(text), tex_code(text)):
        commands = set(re.findall(r"\\([a-zA-Z]+|.)", escaped))
        assert commands <= LATEX_COMMANDS, commands
        rest = re.sub(r"\\([a-zA-Z]+|.)", "", escaped)
        assert not set(rest) & set("\\$#%^&~_") and rest.count("{") == rest.count("}")


@hostile
def test_a_spreadsheet_reads_it_as_text(text):
    file = io.StringIO()
    csv.writer(file).writerow(["first", csv_cell(text)])
    cell = next(csv.reader(io.StringIO(file.getvalue(), newline="")))[1]
    assert cell.lstrip("'") == text.lstrip("'") and cell[:1] not in tuple("=+-@\t\r\n")


@hostile
def test_a_shell_gets_it_as_one_word(text):
    assert shlex.split(f"python -m core doctor {shlex.quote(text)}")[-1] == text


@hostile
def test_a_line_of_a_log_or_a_header_stays_one(text):
    line = one_line(text)
    assert line.isprintable() and len(line.splitlines()) <= 1 and line == line.strip()
    assert shown_name(text).isprintable() and "/" not in shown_name(text)


@hostile
def test_a_run_keeps_it(text, lab_folders, tiny_config):
    run = create_run(tiny_config(), lab_folders.runs)
    try:
        write_notes(run, Notes(text, (text,), text))
    except (LabError, UnicodeEncodeError) as error:
        assert len(text) > 30 and isinstance(error, LabError), error
        return
    notes = read_notes(run)
    assert notes == checked_notes(Notes(text, (text,), text)) and notes.name == one_line(text)
    assert notes.note == keep_lines(text).strip() and (not text.isprintable() or notes.note == text.strip())
    assert not set(notes.note) & set("\0\x08\x1b\x7f\r\u202e\u2066\ud800")


@hostile
def test_a_class_is_called_it(text, tmp_path):
    path = tmp_path / "classes.json"
    path.write_text(json.dumps([{"name": text, "ids": [0]}, {"name": "other", "ids": [1]}]))
    try:
        (name, _) = read_class_table(path).class_names
    except LabError as error:
        assert "has no name" in str(error) and not one_line(text)
        return
    assert name == one_line(text)[:80]


@hostile
def test_a_collection_and_its_images_are_called_it(text, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path))
    image = np.zeros((16, 16, 3), np.uint8)
    try:
        saved = save_collection(text, [(text, image)])
    except LabError as error:
        assert str(error).endswith(".")
        return
    assert re.fullmatch(r"[a-z0-9-]+", saved.slug) and saved.slug == slug_of(text)
    assert [each.slug for each in list_collections()] == [saved.slug]
    assert one_line(saved.name) == saved.name and one_line(saved.images[0][0]) == saved.images[0][0]


@hostile
def test_a_report_is_called_it(text):
    try:
        settings = checked_settings(ReportSettings(("x",), title=text, author=text, course=text))
    except LabError as error:
        assert "characters" in str(error)
        return
    assert {settings.title, settings.author, settings.course} == {one_line(text)}


@hostile
def test_a_person_is_called_it(text, lab_folders, tiny_config, monkeypatch):
    user = user_of_claims({"iss": "https://provider.example", "sub": text, "name": text})
    assert user.name.isprintable() and user.id.isprintable()
    monkeypatch.setattr("core.auth._source", lambda: user)
    run = create_run(tiny_config(), lab_folders.runs)
    assert read_run(run).owner == user.id[:320].strip()


def test_no_two_people_are_called_the_same():
    assert len({user_of_claims({"iss": "x", "sub": text}).id for text in HOSTILE}) == len(HOSTILE)
