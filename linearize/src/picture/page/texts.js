// Texts as they are stored, searched and shown. What is shown goes to a canvas or to textContent, never to markup.

const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

class Texts {
  constructor(blob, starts, lengths, buffer, length) {
    Object.assign(this, { blob, starts, lengths, buffer, length });
    this.known = new Map();
  }

  bytes(id) {
    const start = this.starts[this.buffer[id]];
    return this.blob.subarray(start, start + this.length[id]);
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
        end = indexOf(this.blob, needle, start, start + this.lengths[buffer]) - start + needle.length;
        ends.set(buffer, end);
      }
      return end;
    };
    return (id) => id >= 0 && endIn(this.buffer[id]) <= this.length[id];
  }
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

const UNITS = { "": 1e6, ns: 1, us: 1e3, "µs": 1e3, ms: 1e6, s: 1e9, min: 6e10 };

function parseMoment(text) {
  if (D.events) return /^\s*\d+\s*$/.test(text) ? Number(text) : null;
  const match = /^\s*(-?\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|min)?\s*$/.exec(text);
  return match ? Number(match[1]) * UNITS[match[2] || ""] : null;
}
