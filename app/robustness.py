"""Scores under corruptions: the button that makes the robustness cards, and a plot for each run."""

from collections.abc import Sequence

import streamlit as st

from app.score_figures import robustness_figure
from app.score_views import PLAIN, Shown
from app.scoring import ROBUSTNESS_FRAMES, find_robustness, robustness_seconds, robustness_settings, start
from app.tables import class_table
from core.escaping import escape_markdown
from core.evaluation.metrics.robustness import VERSION
from core.text import format_duration


def robustness_view(chosen: Sequence[str], shown: Shown, busy: bool) -> None:
    """Show how much of a score is left under corruptions."""
    frames = st.number_input("Frames, at even distances", 2, 500, ROBUSTNESS_FRAMES, key="robustness-frames", width=220)
    settings = robustness_settings(shown.settings, int(frames))
    seconds = [
        robustness_seconds(
            shown.runs[run_id],
            shown.results[run_id].metadata.milliseconds if run_id in shown.results else None,
            int(frames),
        )
        for run_id in chosen
    ]
    known = [value for value in seconds if value is not None]
    estimate = f"about {format_duration(sum(known) / len(known) * len(chosen))}" if known else "known once it has begun"
    st.caption(
        f"Seven corruptions and resolution loss in five strengths each, on {int(frames)} frames"
        f" ({robustness_settings(shown.settings, 0).description}). What that takes: {estimate}."
    )
    st.button(
        f"Score {len(chosen)} runs under corruptions" if len(chosen) > 1 else "Score it under corruptions",
        icon=":material/thunderstorm:",
        disabled=busy,
        key="score-robustness",
        on_click=start,
        args=(list(chosen), settings, "robustness"),
    )
    results = {run_id: robustness for run_id in chosen if (robustness := find_robustness(shown.runs[run_id]))}
    if not results:
        st.caption("No robustness card yet.")
        return
    relative = (
        st.segmented_control(
            "Shown as",
            ["miou", "share"],
            format_func={"miou": "mIoU", "share": "Share of the score as it is"}.get,
            default="miou",
            required=True,
            key="robustness-as",
        )
        == "share"
    )
    for run_id, (result, stale) in results.items():
        mark = " · outdated" if stale else ""
        mark += " · with the corruptions of an earlier version" if result.version != VERSION else ""
        st.subheader(escape_markdown(shown.names[run_id]))
        st.plotly_chart(robustness_figure(result.miou, relative), key=f"robustness-{run_id}", config=PLAIN)
        st.caption(
            f"{result.metadata.settings.description}, {result.metadata.size[1]} x {result.metadata.size[0]}"
            f" pixels{mark}."
        )
    if (
        len(
            {
                (
                    result.metadata.data,
                    result.metadata.space,
                    result.metadata.size,
                    result.metadata.settings.description,
                    result.version,
                )
                for result, _ in results.values()
            }
        )
        > 1
    ):
        st.caption("These runs were tried on other frames or otherwise, so that no table sets them side by side.")
        return
    kinds = [kind for kind in next(iter(results.values()))[0].miou if kind != "none"]
    columns = {
        shown.names[run_id]: [_left_under(result.miou, kind) for kind in kinds]
        for run_id, (result, _) in results.items()
    }
    dots = {shown.names[run_id]: shown.colors[run_id] for run_id in results}
    class_table(kinds, None, columns, {}, dots)
    st.caption("Mean over the five strengths, as a share of the score on the frames as they are.")


def _left_under(miou: dict[str, dict[int, float | None]], kind: str) -> float | None:
    """Return mean share of the clean score that is left under a corruption."""
    clean = miou["none"][0]
    values = [value for value in miou[kind].values() if value is not None]
    return sum(values) / len(values) / clean if values and clean else None
