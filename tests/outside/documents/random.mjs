/** A small generator of pseudo-random numbers (mulberry32), so that a seed says everything of a run. */
export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, and without, 1. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  chance(probability) {
    return this.next() < probability;
  }

  /** A whole number from `least` to `most`. */
  int(least, most) {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  pick(items) {
    return items[Math.floor(this.next() * items.length)];
  }
}
