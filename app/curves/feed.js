// Polls the lab for each run's new rows, as long as the page is visible.
//
// Ended runs are polled seldom, a hidden tab polls nothing, and a lab that doesn't answer is tried less and less often.

const FINAL_POLL_MS = 10_000; // a stopped run may be resumed
const MAX_RETRY_MS = 15_000;
const TIMEOUT_MS = 20_000;

export class Feed {
  // `onRound(library, wasReset)` is called after every round: with what `loadLibrary` resolved to, or undefined where
  // that failed, and whether rows of earlier rounds became void.
  constructor(loadLibrary, onRound) {
    Object.assign(this, { loadLibrary, onRound });
    this.runs = [];
    this.failures = 0; // failed rounds in a row
    this.isFetching = false;
    this.timer = null;
    this.closed = new AbortController();
    document.addEventListener("visibilitychange", () => this.#schedule(0), { signal: this.closed.signal });
  }

  // Poll these runs from now on, {id, series} each, beginning at once.
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
    if (this.isFetching) return; // the round under way schedules the next
    this.isFetching = true;
    const now = performance.now();
    const due = this.runs.filter(({ series }) => series.due <= now);
    const fetches = due.map((run) => this.#fetchRows(run));
    const [library, ...resets] = await Promise.allSettled([this.loadLibrary(), ...fetches]);
    this.isFetching = false;
    if (this.closed.signal.aborted) return;

    const failed = [library, ...resets].some((result) => result.status === "rejected");
    this.failures = failed ? this.failures + 1 : 0;
    this.onRound(library.value, resets.some((result) => result.value === true));

    const retry = Math.min(this.pollMs * 2 ** this.failures, MAX_RETRY_MS);
    const soonest = Math.min(...this.runs.map(({ series }) => series.due)) - performance.now();
    if (this.runs.length > 0) this.#schedule(failed ? retry : Math.max(soonest, 0));
  }

  // Fetch one run's new rows. Resolves to true where the lab sent all rows again, since a resume made earlier ones
  // void.
  async #fetchRows({ id, series }) {
    const response = await fetch(`/lab/metrics/${encodeURIComponent(id)}?offset=${series.offset}`, {
      cache: "no-store",
      signal: AbortSignal.any([this.closed.signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    if (!response.ok && response.status !== 404) throw new Error(`${response.status} for ${id}`);
    const deleted = { rows: [], offset: series.offset, reset: false, state: "deleted", is_final: true };
    const { rows, offset, reset, state, is_final: isFinal } = response.ok ? await response.json() : deleted;
    if (reset) series.clear();
    series.append(rows);
    Object.assign(series, { offset, state, isFinal });
    series.due = performance.now() + (isFinal ? FINAL_POLL_MS : this.pollMs);
    return reset;
  }
}
