// Asks the lab for the rows that each run has written since, for as long as somebody looks.
//
// Ended runs are asked seldom, a hidden tab asks for nothing, and a lab that does not answer is tried again less and
// less often. What is done with the rows is the component's affair.

const FINAL_POLL_MS = 10_000; // a stopped run may be resumed
const SLOWEST_RETRY_MS = 15_000;
const ANSWER_TIMEOUT_MS = 20_000;

class Feed {
  // `arrived(plotly, cut)` is called after every round: with Plotly, or undefined where it did not load, and whether
  // rows taken in earlier became void.
  constructor(arrived) {
    this.arrived = arrived;
    this.runs = [];
    this.failures = 0; // rounds in a row in which something was not answered
    this.asking = false;
    this.timer = null;
    this.closed = new AbortController();
    document.addEventListener("visibilitychange", () => this.#schedule(0), { signal: this.closed.signal });
  }

  // Ask for these runs from now on, {id, series} each, and at once.
  follow(runs, pollMs) {
    this.runs = runs;
    this.pollMs = pollMs;
    for (const { series } of runs) series.due = 0;
    this.#schedule(0);
  }

  close() {
    this.closed.abort();
    clearTimeout(this.timer);
  }

  #schedule(delay) {
    clearTimeout(this.timer);
    if (document.hidden || this.closed.signal.aborted) return;
    this.timer = setTimeout(() => this.#round(), delay);
  }

  async #round() {
    if (this.asking) return; // the round under way schedules the next
    this.asking = true;
    const now = performance.now();
    const asked = this.runs.filter(({ series }) => series.due <= now);
    const [plotly, ...cuts] = await Promise.allSettled([loadPlotly(), ...asked.map((run) => this.#ask(run))]);
    this.asking = false;
    if (this.closed.signal.aborted) return;

    const failed = [plotly, ...cuts].some((answer) => answer.status === "rejected");
    this.failures = failed ? this.failures + 1 : 0;
    this.arrived(plotly.value, cuts.some((answer) => answer.value === true));

    const retry = Math.min(this.pollMs * 2 ** this.failures, SLOWEST_RETRY_MS);
    const soonest = Math.min(...this.runs.map(({ series }) => series.due)) - performance.now();
    if (this.runs.length > 0) this.#schedule(failed ? retry : Math.max(soonest, 0));
  }

  // Fetch one run's new rows. Resolves to true where earlier rows became void.
  async #ask({ id, series }) {
    const answer = await fetch(`/lab/metrics/${encodeURIComponent(id)}?offset=${series.offset}`, {
      cache: "no-store",
      signal: AbortSignal.any([this.closed.signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
    });
    if (!answer.ok && answer.status !== 404) throw new Error(`${answer.status} for ${id}`);
    const { rows, offset, state } = answer.ok
      ? await answer.json()
      : { rows: [], offset: series.offset, state: "deleted" };
    const cut = series.append(rows);
    Object.assign(series, { offset, state });
    series.due = performance.now() + (series.isFinal ? FINAL_POLL_MS : this.pollMs);
    return cut;
  }
}
