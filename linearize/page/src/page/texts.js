// Texts as they are stored, searched and shown. What is shown goes to a canvas or to textContent, never to markup.

const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

class Texts {
  // A text is the beginning of a buffer, a buffer is a piece of the blob of its block.
  constructor(buffers, texts) {
    this.starts = new Uint32Array(buffers);
    this.lengths = new Uint32Array(buffers);
    this.home = new Uint32Array(buffers);
    this.buffer = new Uint32Array(texts);
    this.length = new Uint32Array(texts);
    this.blobs = [];
    this.known = new Map();
  }

  read(reader, number, { buffers, texts, firstBuffer, firstText }) {
    const lengths = reader.column(buffers);
    let total = 0;
    for (let i = 0; i < buffers; i++) {
      this.starts[firstBuffer + i] = total;
      this.home[firstBuffer + i] = number;
      total += this.lengths[firstBuffer + i] = lengths[i];
    }
    this.blobs[number] = reader.bytes.subarray(reader.at, reader.at + total);
    reader.at += total;
    for (let id = firstText, next = firstBuffer; id < firstText + texts; id++) {
      const back = reader.number();
      const buffer = this.buffer[id] = back ? next - (back - 1) : next;
      this.length[id] = back ? reader.number() : this.lengths[next];
      if (buffer >= next) next = buffer + 1;
    }
  }

  bytes(id) {
    const buffer = this.buffer[id], start = this.starts[buffer];
    return this.blobs[this.home[buffer]].subarray(start, start + this.length[id]);
  }

  text(id) {
    let text = this.known.get(id);
    if (text === undefined) {
      text = DECODER.decode(this.bytes(id));
      if (this.known.size > 500) this.known.clear();
      this.known.set(id, text);
    }
    return text;
  }

  // Made visible, and not much longer than `room` characters: of a long text the end, because lists grow there.
  short(id, room) {
    const length = this.length[id];
    if (length <= room) return visible(this.text(id));
    const bytes = this.bytes(id).subarray(length - Math.max(room, 8));
    return `…${visible(DECODER.decode(bytes).replace(/^\ufffd+/, ""))}`;
  }

  // A predicate: which texts contain `query`. Each buffer is scanned once, since texts share them.
  containing(query) {
    const needle = new TextEncoder().encode(query);
    const ends = new Map();
    const endIn = (buffer) => {
      let end = ends.get(buffer);
      if (end === undefined) {
        const start = this.starts[buffer];
        end = indexOf(this.blobs[this.home[buffer]], needle, start, start + this.lengths[buffer]) - start + needle.length;
        ends.set(buffer, end);
      }
      return end;
    };
    return (id) => id >= 0 && endIn(this.buffer[id]) <= this.length[id];
  }
}

// The texts that were written to a key, to be found in longer ones. By their bytes, since there may be a million of them.
class Written {
  constructor(ops) {
    const { length } = D.texts;
    let size = 16;
    while (size < 2 * ops.length) size *= 2;
    this.table = new Int32Array(size).fill(-1);
    this.sizes = new Uint8Array(200);
    this.longest = 0;
    for (const op of ops) {
      const id = D.argument[op];
      if (id >= 0 && length[id] > 0 && length[id] < 200) this.add(id);
    }
  }

  add(id) {
    const bytes = D.texts.bytes(id);
    let hash = 0;
    for (const byte of bytes) hash = mixed(hash, byte);
    const place = this.place(hash, bytes, 0, bytes.length);
    this.table[place] = id;
    this.sizes[bytes.length] = 1;
    this.longest = Math.max(this.longest, bytes.length);
  }

  // Where bytes[at..at + size] is in the table, or where it would be.
  place(hash, bytes, at, size) {
    const mask = this.table.length - 1;
    for (let place = (hash ^ (hash >>> 15)) & mask; ; place = (place + 1) & mask) {
      const id = this.table[place];
      if (id < 0 || (D.texts.length[id] === size && same(D.texts.bytes(id), bytes, at))) return place;
    }
  }

  // The length of the longest written text that stands at bytes[at..], or 0.
  at(bytes, at) {
    let best = 0, hash = 0;
    const most = Math.min(this.longest, bytes.length - at);
    for (let size = 1; size <= most; size++) {
      hash = mixed(hash, bytes[at + size - 1]);
      if (this.sizes[size] && this.table[this.place(hash, bytes, at, size)] >= 0) best = size;
    }
    return best;
  }
}

const mixed = (hash, byte) => Math.imul(hash ^ byte, 0x01000193) + 0x9e37;

function same(part, bytes, at) {
  for (let i = 0; i < part.length; i++) if (part[i] !== bytes[at + i]) return false;
  return true;
}

// The place of `needle` in bytes[from..to], or infinity.
function indexOf(bytes, needle, from, to) {
  for (let at = from; at + needle.length <= to; at++) {
    let same = 0;
    while (same < needle.length && bytes[at + same] === needle[same]) same++;
    if (same === needle.length) return at;
  }
  return Infinity;
}

// Control characters, lone surrogates, and what is invisible or changes the direction of text, as escapes.
const STEERING = /[\p{Cc}\p{Cs}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu;

function visible(text) {
  return text.replace(STEERING, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}

function quote(text) {
  return `"${visible(text)}"`;
}

// The beginning and the end of a text that may be very long.
function cut(text, room) {
  // Made visible a character may take up to ten places, never none.
  const shown = visible(text.length > 2 * room ? text.slice(0, room) + text.slice(-room) : text);
  if (text.length <= room && shown.length <= room) return shown;
  const half = Math.max(1, (room - 1) >> 1);
  return `${shown.slice(0, half)}…${shown.slice(-half)}`;
}

// How long, in nanoseconds; or in events, if the history comes from a log without a clock.
function span(nanoseconds) {
  if (D.events) return nanoseconds === 1 ? "1 event" : `${nanoseconds} events`;
  const size = Math.abs(nanoseconds);
  const unit = size < 1e3 ? [1, "ns"] : size < 1e6 ? [1e3, "µs"] : size < 1e9 ? [1e6, "ms"] : [1e9, "s"];
  return `${Number((nanoseconds / unit[0]).toPrecision(4))} ${unit[1]}`;
}

// A moment, in milliseconds or seconds with all digits that differ within `window`.
function moment(nanoseconds, window) {
  if (D.events) return `event ${Number(nanoseconds.toFixed(2))}`;
  const [size, unit] = Math.abs(nanoseconds) < 1e9 ? [1e6, "ms"] : [1e9, "s"];
  const digits = Math.max(0, Math.min(9, Math.ceil(Math.log10(size / Math.max(window / 200, 1)))));
  return `${(nanoseconds / size).toFixed(Math.min(digits, unit === "ms" ? 6 : 9))} ${unit}`;
}

// The resolution of the history's clock: the largest power of ten that all its times are multiples of.
function resolution() {
  if (D.resolution) return D.resolution;
  let unit = 1e9;
  for (let op = 0; op < D.n; op++) {
    for (const time of [D.call[op], D.end[op]]) {
      while (unit > 1 && D.known[op] && time < Infinity && time % unit) unit /= 10;
    }
  }
  if (D.complete) D.resolution = unit;
  return unit;
}

const UNITS = { "": 1e6, ns: 1, us: 1e3, "µs": 1e3, ms: 1e6, s: 1e9, min: 6e10 };

function parseMoment(text) {
  if (D.events) return /^\s*\d+\s*$/.test(text) ? Number(text) : null;
  const match = /^\s*(-?\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|min)?\s*$/.exec(text);
  return match ? Number(match[1]) * UNITS[match[2] || ""] : null;
}
