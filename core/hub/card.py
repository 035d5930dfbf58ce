"""The model card of a published run: README.md, written from what the run folder says.

Said there: what it is, how three lines load it, what it learned from and how, and how well it does. Not said: paths, names of
people, and the note, which is its owner's.
"""

import re
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from core.data.sources import SOURCES
from core.hub.origin import read_origin
from core.models.families import FAMILIES
from core.runs.metrics_log import evaluations
from core.runs.store import Run

CITYSCAPES_TERMS = (
    "It learned from [Cityscapes](https://www.cityscapes-dataset.com), whose terms allow research and teaching and no commercial use; "
    "none of its pictures are shown or passed on here."
)
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
    "flip",
    "color_jitter",
    "seed",
)
"""Training fields that stand in the card; all of them stand in config.json."""


def best_evaluation(run: Run) -> dict[str, Any]:
    """Return the metrics row of a run's best checkpoint; empty where it was never scored."""
    scored = [row for row in evaluations(run.path) if row.get("miou") is not None]
    return dict(max(scored, key=lambda row: row["miou"])) if scored else {}


def model_card(run: Run, repo: str, images: tuple[str, ...] = ()) -> str:
    """Return the text of README.md.

    Args:
        run: with a config.
        repo: OWNER/NAME that it is pushed to.
        images: names of sample pictures beside it, each a photograph and the network's mask.
    """
    row = best_evaluation(run)
    name = _plain(run.notes.name or run.title)
    parts = [
        f"---\n{_metadata(run, repo, row).to_yaml()}\n---",
        f"# {name}",
        f"{_plain(run.title)}, a network for semantic segmentation: it gives every pixel of a street scene one of "
        f"{len(run.class_names)} classes. Trained in the segmentation lab.",
        *([f"It was not trained by its publisher. {read_origin(run.path).sentence}"] if read_origin(run.path) else []),
        "## Use",
        f'```python\nfrom core.hub import load_model  # in the lab\'s folder\n\nmodel = load_model("{repo}")\n'
        "prediction = model.predict(image)  # uint8 (H, W, 3), RGB\n"
        "prediction.labels, prediction.confidence  # uint8 (H, W) each\n```",
        f"Or on the lab's page Runs: *Bring a run from the Hub*, `{repo}`. The weights are one safetensors file; `config.json` holds the "
        "class table and the preprocessing.",
        *_image_links(images),
        "## Scores",
        _scores(run, row),
        "## Data",
        _data(run),
        "## Training",
        _table(("setting", "value"), _settings(run)),
        "## Limits",
        "It has seen the data above and nothing else: other cities, weather, cameras or hours of the day can mislead it, and its "
        "confidence is no guarantee. Don't let it steer anything.",
    ]
    return "\n\n".join(parts) + "\n"


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
    return ModelCardData(
        library_name="segmentation-lab",
        pipeline_tag="image-segmentation",
        tags=["image-segmentation", "semantic-segmentation", "street-scenes", run.config.model.family, name],
        model_name=repo.partition("/")[2],
        eval_results=results or None,
    )


def _image_links(names: tuple[str, ...]) -> list[str]:
    if not names:
        return []
    return ["\n".join(f"![A validation frame, and what the network sees in it]({name})" for name in names)]


def _scores(run: Run, row: dict[str, Any]) -> str:
    if not row:
        return "It was never scored."
    dataset = run.config.dataset
    head = (
        f"On the validation frames, at {dataset.width} x {dataset.height} pixels, at the best of its evaluations (step {row['step']}), as "
        "the training itself scored them:"
    )
    overall = [("**mean IoU**", f"**{row['miou']:.1%}**"), ("pixel accuracy", f"{row['pixel_accuracy']:.1%}")]
    iou = zip(run.class_names, row["iou"], strict=False)
    classes = [(_plain(name), "absent" if value is None else f"{value:.1%}") for name, value in iou]
    return f"{head}\n\n{_table(('class', 'IoU'), overall + classes)}"


def _data(run: Run) -> str:
    dataset, plan = run.config.dataset, run.plan
    frames = ""
    if "train_frames" in plan:
        frames = f" {plan['train_frames']} frames to learn from, {plan['val_frames']} to score on, read at {dataset.width} x {dataset.height}."
    source = SOURCES[dataset.name]
    text = source.model_card.format(annotations=dataset.annotations)
    return f"{text} {CITYSCAPES_TERMS}{frames}" if source.sharing == "never" else text + frames


def _settings(run: Run) -> list[tuple[str, str]]:
    model, training, plan = run.config.model, run.config.training, run.plan
    rows = [("family", FAMILIES[model.family].title), ("encoder", model.encoder_name)]
    rows += [(option, f"{getattr(model, option)}") for option in model.options]
    if plan.get("parameters"):
        rows.append(("parameters", f"{plan['parameters'] / 1e6:.2f} million"))
    rows += [("steps", str(run.status.step)), ("crop", f"{training.crop_width} x {training.crop_height}")]
    rows += [(name, f"{getattr(training, name)}") for name in SETTINGS]
    return [(name.replace("_", " "), _plain(value)) for name, value in rows]


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [f"| {left} | {right} |" for left, right in (head, ("---", "---"), *rows)]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return typed text as Markdown that shows it as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~&])", r"\\\1", " ".join(text.split()))
