"""The lab's HTML tables: nothing that was typed becomes markup, and the best is marked."""

from markupsafe import Markup
from streamlit.testing.v1 import AppTest

from app.html import joined
from app.tables import Cell, badge, dot, run_link, swatch

HOSTILE = '<img src=x onerror="alert(1)">'


def shown(script) -> str:
    app = AppTest.from_function(script).run()
    assert not app.exception
    (element,) = app.get("html")
    return element.proto.body


def test_every_cell_is_escaped_wherever_it_stands() -> None:
    def page():
        from app.html import joined
        from app.tables import Cell, badge, dot, run_link, table
        from tests.pages.test_tables import HOSTILE

        made = joined([dot(HOSTILE), HOSTILE, badge(HOSTILE, HOSTILE, HOSTILE), run_link(HOSTILE, HOSTILE)])
        table(
            ("", HOSTILE, Cell(HOSTILE)),
            [(HOSTILE, Cell(HOSTILE, HOSTILE, HOSTILE), made)],
            (HOSTILE,),
            HOSTILE.replace('"', ""),
        )

    html = shown(page)
    assert "<img" not in html and "alert(1)&#34;" in html


def test_a_table_has_a_head_rows_and_a_total() -> None:
    def page():
        from app.tables import MISSING, Cell, table

        table(
            ("", "mIoU"),
            [("a", Cell("50.0%", "lab-best", "of two")), ("b", MISSING)],
            ("all", "25.0%"),
            style="lab-board",
        )

    assert shown(page) == (
        '<div class="lab-scroll" tabindex="0"><table class="lab-table lab-board"><tr><th></th><th>mIoU</th></tr>'
        '<tr><td>a</td><td class="lab-best" title="of two">50.0%</td></tr><tr><td>b</td><td class="lab-quiet">–</td></tr>'
        '<tr class="lab-total"><td>all</td><td>25.0%</td></tr></table></div>'
    )


def test_only_what_the_lab_made_is_markup() -> None:
    both = joined([swatch((1, 2, 3)), "a < b"])
    assert both == '<i class="lab-swatch" style="background:rgb(1, 2, 3)"></i>a &lt; b' and isinstance(both, Markup)
    assert joined([both]) == both and joined([str(both)]) != both
    assert Cell(badge("x")).content == '<span class="lab-badge">x</span>'
    assert dot("red") == '<i class="lab-dot" style="background:red"></i>'
    assert run_link("1", "<") == '<a href="runs?runs=1" target="_self">&lt;</a>'


def test_the_best_of_a_row_is_marked_and_what_is_missing_is_a_dash() -> None:
    def page():
        from app.tables import class_table

        columns = {"one": [0.5, None], "other": [0.25, float("nan")]}
        class_table(
            ["road", "sky"],
            [(1, 2, 3), (4, 5, 6)],
            columns,
            {"one": 0.5, "other": 0.25},
            {"one": "red", "other": "blue"},
        )

    html = shown(page)
    assert html.count("lab-best") == 2 and html.count("–") == 2 and "width:25.0%;background:blue" in html
    assert "mean IoU" in html and 'rgb(4, 5, 6)"></i>sky' in html


def test_an_empty_state_has_a_button_where_there_is_something_to_do() -> None:
    def page():
        import streamlit as st

        from app.widgets import empty_state

        empty_state("Nothing <here>", "Wait.")
        if empty_state("Nothing there", "Draw it.", "Draw"):
            st.write("drawn")

    app = AppTest.from_function(page).run()
    assert [button.label for button in app.button] == ["Draw"]
    assert "&lt;here&gt;" in app.get("html")[0].proto.body
    assert [text.value for text in app.button[0].click().run().markdown] == ["drawn"]
