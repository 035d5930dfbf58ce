"""The model card of a published run: README.md, written from what the run folder says.

Said there: what it is, how three lines load it, what it learned from and how, and how well it does. Not said: paths,
names of people, and the note, which is its owner's.
"""

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, StrictUndefined

from core.data.sources import SOURCES
from core.escaping import escape_markdown
from core.hub.origin import read_origin
from core.models.families import FAMILIES
from core.runs import metrics_log
from core.runs.lineage import lineage
from core.runs.store import Run
from core.text import one_line

TEMPLATE = Path(__file__).with_name("card.md")
SETTINGS = (
    "optimizer",
    "learning_rate",
    "schedule",
    "weight_decay",
    "batch_size",
    "loss",
    "class_weights",
    "scale_min",
    "scale_max",
    "test_scale",
    "flip",
    "color_jitter",
    "seed",
)
"""Training fields that stand in the card; all of them stand in config.json."""


def best_evaluation(run: Run) -> dict[str, Any]:
    """Return the metrics row of a run's best checkpoint; empty where it was never scored."""
    best = metrics_log.best_evaluation(metrics_log.evaluations(run.path))
    return {**best} if best else {}


def model_card(run: Run, repo: str, images: tuple[str, ...] = ()) -> str:
    """Return the text of README.md.

    Args:
        run: with a config.
        repo: OWNER/NAME that it is pushed to.
        images: names of sample pictures beside it, each a photograph and the network's mask.
    """
    row = best_evaluation(run)
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)  # noqa: S701 - Markdown; `_plain` escapes what others named
    environment.filters.update(plain=_plain, percent=lambda share: f"{share:.1%}")
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        run=run,
        repo=repo,
        images=images,
        row=row,
        metadata=_metadata(run, repo, row).to_yaml(),
        origin=read_origin(run.path),
        ancestors=lineage(run),
        sources=SOURCES,
        dataset=run.config.dataset,
        source=SOURCES[run.config.dataset.name],
        class_scores=list(zip(run.class_names, row.get("iou", ()), strict=False)),
        settings=_settings(run),
    )


def _metadata(run: Run, repo: str, row: dict[str, Any]) -> ModelCardData:
    name = run.config.dataset.name
    results = [
        EvalResult(
            task_type="image-segmentation",
            task_name="Semantic segmentation",
            dataset_type=name,
            dataset_name=f"{SOURCES[name].title}, validation frames",
            metric_type=kind,
            metric_name=title,
            metric_value=round(row[key], 4),
        )
        for key, kind, title in (("miou", "mean_iou", "Mean IoU"), ("pixel_accuracy", "accuracy", "Pixel accuracy"))
        if row
    ]
    bases = [origin.repo for older in lineage(run) if older.run and (origin := read_origin(older.run.path))]
    scenes = ["street-scenes"] if SOURCES[name].group == "city" else []
    return ModelCardData(
        library_name="segmentation-lab",
        pipeline_tag="image-segmentation",
        tags=["image-segmentation", "semantic-segmentation", *scenes, run.config.model.family, name],
        model_name=repo.partition("/")[2],
        eval_results=results or None,
        base_model=bases or None,
    )


def _settings(run: Run) -> list[tuple[str, Any]]:
    model, training, plan = run.config.model, run.config.training, run.plan
    rows: list[tuple[str, Any]] = [("family", FAMILIES[model.family].title), ("encoder", model.encoder_name)]
    rows += [(option, getattr(model, option)) for option in model.options]
    if plan.get("parameters"):
        rows.append(("parameters", f"{plan['parameters'] / 1e6:.2f} million"))
    rows += [("steps", run.status.step), ("crop", f"{training.crop_width} x {training.crop_height}")]
    return rows + [(name, getattr(training, name)) for name in SETTINGS]


def _plain(text: str) -> str:
    """Return typed text as Markdown of one line that shows it as it is."""
    return escape_markdown(one_line(text))
