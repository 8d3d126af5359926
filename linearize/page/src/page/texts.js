// Texts as they are stored, searched and shown. What is shown goes to a canvas or to textContent, never to markup.

class Texts {
  // A text is the beginning of a buffer. The first buffers are those that several blocks share.
  constructor(count, buffers) {
    this.buffers = buffers;
    this.buffer = new Uint32Array(count);
    this.length = new Uint32Array(count);
  }

  // The texts of a block; the number of the first one. See strings.rs.
  read({ first, buffers, texts }) {
    let next = this.buffers.length, id = first;
    for (const buffer of buffers) this.buffers.push(buffer);
    for (let at = 0; at < texts.length; id++) {
      const back = texts[at++], buffer = back < 0 ? -1 - back : back ? next - (back - 1) : next;
      this.buffer[id] = buffer;
      this.length[id] = back ? texts[at++] : this.buffers[buffer].length;
      next = Math.max(next, back < 0 ? 0 : buffer + 1);
    }
    return first;
  }

  text(id) {
    return this.buffers[this.buffer[id]].slice(0, this.length[id]);
  }

  // Made visible, and not much longer than `room` characters: of a long text the end, because lists grow there.
  short(id, room) {
    const text = this.text(id);
    if (text.length <= room) return visible(text);
    return `…${visible(text.slice(-Math.max(room, 8)).replace(/^[\udc00-\udfff]/, ""))}`;
  }

  // A predicate: which texts contain `query`. Each buffer is scanned once, since texts share them.
  containing(query) {
    const ends = new Map();
    const endIn = (buffer) => {
      if (!ends.has(buffer)) {
        const at = this.buffers[buffer].indexOf(query);
        ends.set(buffer, at < 0 ? Infinity : at + query.length);
      }
      return ends.get(buffer);
    };
    return (id) => id >= 0 && endIn(this.buffer[id]) <= this.length[id];
  }
}

// The texts that were written to a key, to be found in longer ones.
class Written {
  constructor(ops) {
    this.texts = new Set();
    const sizes = new Set();
    for (const op of ops) {
      const id = D.argument[op], length = id < 0 ? 0 : D.texts.length[id];
      if (length === 0 || length >= 200) continue;
      this.texts.add(D.texts.text(id));
      sizes.add(length);
    }
    this.sizes = [...sizes].sort((one, other) => other - one);
  }

  // The length of the longest written text that stands at this place of `text`, or 0.
  at(text, place) {
    return this.sizes.find((size) => place + size <= text.length && this.texts.has(text.slice(place, place + size))) ?? 0;
  }
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
