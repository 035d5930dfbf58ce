"""Looks up where a report's numbers say they come from, from the files alone: nothing of core.report is used here."""

import json
import re
from html import unescape
from pathlib import Path

import numpy as np

from core.evaluation.bootstrap import compare
from core.evaluation.results import read_result
from core.models.model_summary import describe
from core.runs.metrics_log import best_evaluation, evaluations, read_metrics, valid_rows
from core.runs.repeats import T_975
from core.runs.store import read_run

RARE = 0.01


def figures_in_page(page):
    """Value, scale, source and printed text of every number of a report's HTML."""
    outcome = re.findall(r'<data value="([^"]*)" data-scale="([^"]*)" data-source="([^"]*)">([^<]*)</data>', page)
    return [(float(value), float(scale), unescape(source), unescape(text)) for value, scale, source, text in outcome]


def pointed(values, pointer):
    for part in pointer.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        values = values[int(part)] if isinstance(values, list) else values[part]
    return values


class Files:
    """The runs folder, read once."""

    def __init__(self, runs: Path):
        self.runs, self.known = runs, {}

    def read(self, name):
        if name not in self.known:
            run, _, file = name.partition("/")
            folder = self.runs / run
            if file == "eval":
                values = evaluations(folder)
            elif file == "train":
                values = [row for row in valid_rows(read_metrics(folder)[0]) if row["kind"] == "train"]
            else:
                values = json.loads((folder / file).read_text())
            self.known[name] = values
        return self.known[name]

    def result(self, name):
        key = f"card {name}"
        if key not in self.known:
            self.known[key] = read_result(self.runs / name)
        return self.known[key]

    def network(self, name):
        key = f"network {name}"
        if key not in self.known:
            run = read_run(self.runs / name.partition("/")[0])
            dataset = run.config.dataset
            self.known[key] = describe(run.config.model, (dataset.height, dataset.width), len(run.class_names))
        return self.known[key]

    def value(self, source):
        """What the source of a number says today."""
        where, _, pointer = source.rpartition(":")
        how, *names = where.split(" ") if " " in where else ("", where)
        match how:
            case "":
                return pointed(self.read(names[0]), pointer)
            case "share":
                values = pointed(self.read(names[0]), pointer.rpartition("/")[0])
                return values[int(pointer.rpartition("/")[2])] / sum(values)
            case "mean":
                values = [value for value in pointed(self.read(names[0]), pointer).values() if value is not None]
                return sum(values) / len(values)
            case "duration":
                status = self.read(source.removeprefix("duration "))
                return status["ended"] - status["started"]
            case "bootstrap":
                one, other = (self.result(name).scores for name in names)
                return getattr(compare(one, other), pointer)
            case "repeats":
                mious = [best_evaluation(self.read(name))["miou"] for name in names]
                half = T_975[len(mious) - 2] * np.std(mious, ddof=1) / len(mious) ** 0.5
                mean = np.mean(mious)
                values = {"mean": mean, "deviation": np.std(mious, ddof=1), "count": len(mious)}
                return (values | {"low": mean - half, "high": mean + half})[pointer]
            case "count":
                return len(self.read(names[0]))
            case "reached":
                result = self.read(names[0])
                return result["scores"]["miou"] / result["metadata"]["upper_bound"]
            case "confusion":
                row, column = map(int, pointer.split("/"))
                counts = np.array(self.read(names[0])["scores"]["confusion"])
                return counts[row, column] / counts[row].sum()
            case "network":
                model_summary = self.network(names[0])
                if pointer.startswith("parts/"):
                    return next(part.parameters for part in model_summary.parts if part.name == pointer[6:])
                return getattr(model_summary, pointer)
            case "slower" | "less":
                one, other = (pointed(self.read(name), pointer) for name in names)
                return one / other if how == "slower" else one - other
            case "rare" | "frequent":
                pixels = self.read(f"{pointer}/plan.json")["class_pixels"]
                run = names[0]
                if run.endswith("/eval"):
                    rows = self.read(run)
                    iou = max(rows, key=lambda row: row["miou"] or -1)["iou"]
                else:
                    iou = list(self.read(run)["scores"]["iou"].values())
                is_rare = [0 < count / sum(pixels) < RARE for count in pixels]
                cached = [
                    value
                    for folder, (value, rare) in enumerate(zip(iou, is_rare, strict=True))
                    if value is not None and rare == (how == "rare") and pixels[folder]
                ]
                return sum(cached) / len(cached)
        raise AssertionError(f"unknown source {source}")


def printed_value(text):
    """The number that is printed, and the digits behind its point."""
    index = re.match(r"[+−-]?[\d,]+(?:\.(\d+))?(?:e[+-]?\d+)?", text)
    assert index, text
    return float(index[0].replace(",", "").replace("−", "-")), len(index[1] or "")
