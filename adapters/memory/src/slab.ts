const slabSize = 65_536;

/**
 * Copies of bodies, many in one piece of memory, which costs a fifth of a buffer for each. A slab belongs to one log:
 * its bodies are stored and removed one after another, so none keeps much more than itself.
 */
export class Slab {
  #memory = Buffer.alloc(0);
  #used = 0;

  copy(body: Uint8Array): Uint8Array {
    const { length } = body;
    if (length > slabSize / 8) return Buffer.from(body);
    if (this.#used + length > this.#memory.length) {
      this.#memory = Buffer.allocUnsafeSlow(slabSize);
      this.#used = 0;
    }
    const copy = this.#memory.subarray(this.#used, this.#used + length);
    copy.set(body);
    this.#used += length;
    return copy;
  }
}
