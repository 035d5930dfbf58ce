// One run's rows as columns of numbers, and what is worked out from them. Knows no screen and no server.

const FINAL_STATES = new Set(["finished", "failed", "stopped", "lost", "deleted"]);

const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const percent = (value) => (number(value) === null ? null : value * 100);
const gigabytes = (value) => (number(value) === null ? null : value / 1e9);

// What the train rows say beside the loss: field -> how its value is shown. Runs of an older lab lack some of them.
const TRAIN_FIELDS = {
  learning_rate: number,
  images_per_second: number,
  cpu: percent,
  memory: gigabytes,
  gpu_memory: gigabytes,
  waiting: percent,
};

class Series {
  constructor() {
    this.offset = 0; // bytes of metrics.jsonl already read
    this.state = "queued"; // as the lab says, or "deleted"
    this.due = 0; // when to ask next, in the page's milliseconds
    this.train = { step: [], minutes: [], loss: [] };
    for (const name of Object.keys(TRAIN_FIELDS)) this.train[name] = [];
    this.evals = { step: [], minutes: [], loss: [], miou: [], accuracy: [], iou: [] }; // scores in per cent
    this.epoch = 0; // the highest seen
    this.longest = 0; // no epoch has fewer steps than this
  }

  get isFinal() {
    return FINAL_STATES.has(this.state);
  }

  get isEmpty() {
    return this.train.step.length + this.evals.step.length === 0;
  }

  // Steps in one epoch, or null before the second epoch. Rows say (step, epoch) with epoch = ceil(step / length), so
  // the largest step / epoch, rounded up, is the length as soon as one row lies near an epoch's end.
  get stepsPerEpoch() {
    return this.epoch > 1 ? this.longest : null;
  }

  // Whether any row tells how many minutes the training had taken.
  get hasMinutes() {
    return [this.train, this.evals].some(({ minutes }) => minutes.some((value) => value !== null));
  }

  // Whether the run has a place on the axis: on "epoch" from its second epoch on, on "minutes" where its rows tell them.
  isPlaced(axis) {
    return axis === "step" || (axis === "epoch" ? this.stepsPerEpoch !== null : this.hasMinutes);
  }

  // Take in rows in file order. Returns true where a resume made earlier rows void: what was drawn must be drawn anew.
  append(rows) {
    let cut = false;
    for (const row of rows) {
      if (row.kind === "resume") {
        cut = this.#dropAfter(row.step) || cut;
        continue;
      }
      if (row.kind === "train") {
        this.train.step.push(row.step);
        this.train.minutes.push(number(row.minutes));
        this.train.loss.push(number(row.loss));
        for (const [name, shown] of Object.entries(TRAIN_FIELDS)) this.train[name].push(shown(row[name]));
      } else if (row.kind === "eval") {
        this.evals.step.push(row.step);
        this.evals.minutes.push(number(row.minutes));
        this.evals.loss.push(number(row.loss));
        this.evals.miou.push(percent(row.miou));
        this.evals.accuracy.push(percent(row.pixel_accuracy));
        this.evals.iou.push((row.iou ?? []).map(percent));
      } else {
        continue; // a kind from a later version of the lab
      }
      if (row.epoch >= 1) {
        this.epoch = Math.max(this.epoch, row.epoch);
        this.longest = Math.max(this.longest, Math.ceil(row.step / row.epoch));
      }
    }
    return cut;
  }

  // Where the rows of `columns` (train or evals) from index `from` lie on the axis "step", "epoch" or "minutes".
  positions(columns, axis, from) {
    if (axis === "minutes") return columns.minutes.slice(from);
    const steps = columns.step.slice(from);
    return axis === "step" ? steps : steps.map((step) => step / this.stepsPerEpoch);
  }

  // The eval column named by a measure: "miou", "accuracy", or "class:3"; of one of `TRAIN_FIELDS` the train column.
  scores(measure, from) {
    if (measure in TRAIN_FIELDS) return this.train[measure].slice(from.train);
    return this.#evalScores(measure, from.evals);
  }

  #evalScores(measure, from) {
    if (!measure.startsWith("class:")) return this.evals[measure].slice(from);
    const index = Number(measure.slice("class:".length));
    return this.evals.iou.slice(from).map((row) => row[index] ?? null);
  }

  #dropAfter(step) {
    let dropped = false;
    for (const columns of [this.train, this.evals]) {
      let keep = columns.step.length;
      while (keep > 0 && columns.step[keep - 1] > step) keep -= 1;
      dropped ||= keep < columns.step.length;
      for (const column of Object.values(columns)) column.length = keep;
    }
    return dropped;
  }
}

// Exponential moving average over about `span` values, debiased so that it starts at the first value and not at zero.
// A missing value gives a gap and leaves the average as it was.
class Smoother {
  constructor(span) {
    this.weight = 1 - 1 / span;
    this.sum = 0;
    this.mass = 0;
  }

  next(value) {
    if (value === null) return null;
    this.sum = this.weight * this.sum + (1 - this.weight) * value;
    this.mass = this.weight * this.mass + (1 - this.weight);
    return this.sum / this.mass;
  }
}
