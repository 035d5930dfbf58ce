"""What a training writes into its run folder while it goes on: rows, predictions of the sample frames, checkpoints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from core.config import RunConfig
from core.data.dataset import Dataset
from core.files import replacing
from core.runs.metrics_log import MetricsLog, read_metrics
from core.runs.store import Which
from core.training.checkpoint import TrainingState, save_checkpoint
from core.training.distributed import Distributed
from core.training.evaluate import Evaluation
from core.training.plan import Plan


class Recorder:
    """Writes into a run folder in the main process, and nothing in the others, so that the loop needn't ask which it is
    in.

    Args:
        run: the folder.
        config: of the run.
        dataset: its frames and classes.
        distributed: the processes that train together.
    """

    def __init__(self, run: Path, config: RunConfig, dataset: Dataset, distributed: Distributed) -> None:
        self._run, self._config, self._dataset, self._distributed = run, config, dataset, distributed
        self._log = MetricsLog(run) if distributed.is_main_process else None

    def begin(self, step: int) -> None:
        """Mark a resume after `step`.

        Also where a run ended before its first checkpoint, for then all is done again.
        """
        if read_metrics(self._run)[0]:
            self.row({"kind": "resume", "step": step})

    def row(self, row: Mapping[str, Any]) -> None:
        """Append a row to metrics.jsonl."""
        if self._log:
            self._log.append(row)

    def plan(self, plan: Plan) -> None:
        """Keep a plan that was made anew, durably, before the next step follows it."""
        if self._log:
            plan.save(self._run)
            before = plan.replans[-1][1]
            if plan.steps_total != before:
                print(f"{plan.steps_total} steps now, not {before}: so many fit into the time.")

    def say(self, text: str) -> None:
        """Print a line into the run's log."""
        if self._log:
            print(text)

    def samples(self, step: int, evaluation: Evaluation) -> None:
        """Write the label maps that an evaluation kept as PNGs; each process has those of its own frames."""
        folder = self._run / "samples" / f"{step:08d}"
        for index, labels in evaluation.labels.items():
            path = folder / f"{self._dataset.val[index].id}.png"
            path.parent.mkdir(parents=True, exist_ok=True)  # a frame's id may name folders
            with replacing(path) as draft:
                Image.fromarray(labels).save(draft, format="PNG")

    def checkpoint(self, which: Which, state: TrainingState) -> None:
        """Save a checkpoint; all processes wait for it."""
        with self._distributed.main_process_first():
            if self._log:
                save_checkpoint(self._run, which, state, self._config, self._dataset.space)

    def close(self) -> None:
        """Make the rows durable."""
        if self._log:
            self._log.close()
