// Patches on their way to the server: kept in the browser until each is acknowledged, sent one after the other, and again
// where the connection broke. `store` is localStorage or its like; `send(body)` resolves to {status, body}.

const PREFIX = "lab-labels ";
const RETRY_MS = [500, 1000, 2000, 5000];

export class Outbox {
  // `onState(state, text)` is called with "saved", "saving", "waiting" (for the server) or "failed"; `onConflict()` is
  // to bring the mask as it is now, and resolves to its revision.
  constructor({ address, revision, store, send, onState, onConflict, wait = (ms) => new Promise((go) => setTimeout(go, ms)) }) {
    Object.assign(this, { address, revision, store, send, onState, onConflict, wait });
    this.key = `${PREFIX}${address}`;
    this.waiting = this.#stored();
    this.isSending = false;
  }

  // Patches that aren't acknowledged yet, the oldest first.
  get pending() {
    return this.waiting;
  }

  add(patch) {
    this.waiting.push(patch);
    this.#keep();
    return this.flush();
  }

  // Send what waits, until nothing does.
  async flush() {
    if (this.isSending) return;
    this.isSending = true;
    for (let failures = 0; this.waiting.length > 0; ) {
      this.onState("saving", "Saving");
      const answer = await this.#sendFirst();
      if (answer.status === 200) {
        failures = 0;
        this.revision = answer.body.revision;
        this.waiting.shift();
        this.#keep();
      } else if (answer.status === 409) {
        this.revision = await this.onConflict(answer.body.error).catch(() => this.revision);
        await this.wait(RETRY_MS[0]);
      } else if (answer.status === 422 || answer.status === 413) {
        this.waiting.shift(); // never to be taken: it must not keep back those behind it
        this.#keep();
        this.revision = await this.onConflict(answer.body.error).catch(() => this.revision);
      } else if (answer.status === 0 || answer.status >= 502) {
        this.onState("waiting", "The lab doesn't answer. What you paint is kept in this browser until it does.");
        await this.wait(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
      } else {
        this.onState("failed", answer.body.error ?? `It could not be saved (${answer.status}).`);
        break;
      }
    }
    this.isSending = false;
    if (this.waiting.length === 0) this.onState("saved", "Saved");
  }

  async #sendFirst() {
    try {
      return await this.send({ revision: this.revision, patch: this.waiting[0] });
    } catch {
      return { status: 0, body: {} }; // the connection broke
    }
  }

  #keep() {
    try {
      if (this.waiting.length > 0) this.store.setItem(this.key, JSON.stringify(this.waiting));
      else this.store.removeItem(this.key);
    } catch {
      // The browser's store is full or forbidden: then it is in memory alone.
    }
  }

  #stored() {
    try {
      return JSON.parse(this.store.getItem(this.key) ?? "[]");
    } catch {
      return [];
    }
  }
}

// The addresses for which a store still holds patches.
export const waitingAddresses = (store) =>
  Array.from({ length: store.length }, (_, index) => store.key(index) ?? "")
    .filter((key) => key.startsWith(PREFIX))
    .map((key) => key.slice(PREFIX.length));
