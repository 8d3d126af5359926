// Reading the columns that encode.rs wrote, in the same order.

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  number() {
    // Not with shifts: times need more than 32 bits.
    let value = 0, scale = 1, byte;
    do {
      byte = this.bytes[this.at++];
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte > 127);
    return value;
  }

  signed() {
    const number = this.number();
    return number % 2 ? -(number + 1) / 2 : number / 2;
  }

  option() {
    const number = this.number();
    return number ? number - 1 : null;
  }

  list() {
    const list = new Array(this.number());
    let last = 0;
    for (let i = 0; i < list.length; i++) list[i] = last += this.signed();
    return list;
  }
}

async function unpack(text) {
  let bytes;
  if (Uint8Array.fromBase64) {
    bytes = Uint8Array.fromBase64(text);
  } else {
    const binary = atob(text);
    bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const chunks = [];
  let length = 0;
  for (const reader = stream.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    length += value.length;
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function decode(bytes) {
  const reader = new Reader(bytes);
  const data = { events: reader.number() === 1 };
  data.texts = readTexts(reader);
  readOperations(reader, data);
  data.verdict = reader.number();
  for (const key of data.keys) readKey(reader, data, key);
  readFaults(reader, data);
  return data;
}

function readTexts(reader) {
  const buffers = reader.number();
  const lengths = new Uint32Array(buffers), starts = new Uint32Array(buffers);
  let total = 0;
  for (let i = 0; i < buffers; i++) {
    starts[i] = total;
    total += lengths[i] = reader.number();
  }
  const blob = reader.bytes.subarray(reader.at, reader.at + total);
  reader.at += total;
  const count = reader.number();
  const buffer = new Uint32Array(count), length = new Uint32Array(count);
  for (let i = 0, next = 0; i < count; i++) {
    const back = reader.number();
    buffer[i] = back ? next - (back - 1) : next;
    length[i] = back ? reader.number() : lengths[next];
    next = Math.max(next, buffer[i] + 1);
  }
  return new Texts(blob, starts, lengths, buffer, length);
}

function readOperations(reader, data) {
  data.clients = reader.list();
  data.names = Array.from({ length: reader.number() }, () => {
    const text = reader.number(), kind = reader.number();
    return { text, effect: kind >> 1, texts: (kind & 1) === 1 };
  });
  const n = data.n = reader.number();
  data.call = new Float64Array(n);
  data.end = new Float64Array(n);
  data.client = new Uint32Array(n);
  data.key = new Uint32Array(n);
  data.name = new Uint32Array(n);
  data.argument = new Int32Array(n);
  data.result = new Int32Array(n);
  let time = 0, last = 0;
  for (let i = 0; i < n; i++) data.call[i] = time += reader.number();
  for (let i = 0; i < n; i++) {
    const span = reader.option();
    data.end[i] = span === null ? Infinity : data.call[i] + span;
    last = Math.max(last, span === null ? data.call[i] : data.end[i]);
  }
  for (let i = 0; i < n; i++) data.client[i] = reader.number();
  for (let i = 0; i < n; i++) data.key[i] = reader.number();
  for (let i = 0; i < n; i++) data.name[i] = reader.number();
  let next = 0;
  const reference = () => {
    const back = reader.number();
    return back === 0 ? -1 : back === 1 ? next++ : next - (back - 1);
  };
  for (let i = 0; i < n; i++) {
    data.argument[i] = reference();
    data.result[i] = reference();
  }
  data.first = n ? data.call[0] : 0;
  data.last = last;
  data.point = new Float64Array(n).fill(NaN);
  data.place = new Int32Array(n).fill(-1);
  groupByKey(data, reader.number());
}

function groupByKey(data, count) {
  const sizes = new Uint32Array(count);
  for (let i = 0; i < data.n; i++) sizes[data.key[i]]++;
  data.keys = Array.from(sizes, (size, index) => ({ index, ops: new Uint32Array(size) }));
  const filled = new Uint32Array(count);
  for (let i = 0; i < data.n; i++) {
    const key = data.key[i];
    data.keys[key].ops[filled[key]++] = i;
  }
}

const GOOD = 1, BAD = 2, UNKNOWN = 3;

function readKey(reader, data, key) {
  key.name = data.texts.text(reader.number());
  key.status = reader.number();
  if (key.status === BAD) {
    key.kind = data.texts.text(reader.number());
    key.sentence = data.texts.text(reader.number());
    key.minimal = reader.number() === 1;
    key.witness = reader.list();
    key.context = reader.list();
  } else if (key.status === UNKNOWN) {
    key.reached = reader.option();
    if (key.reached !== null) {
      key.states = reader.number();
      key.limit = reader.number() ? "memory" : "states";
    }
  }
  readOrder(reader, data, key);
  if (!reader.number()) return;
  key.stuck = reader.number();
  key.alternatives = Array.from({ length: reader.number() }, () => ({
    op: reader.number(), legal: reader.number() === 1,
    state: reader.option(), expected: reader.option(), observed: reader.option(),
  }));
}

function readOrder(reader, data, key) {
  if (!reader.number()) return;
  key.order = Uint32Array.from(reader.list(), (place) => key.ops[place]);
  key.initial = reader.number();
  // An operation takes effect, say, at the latest call so far: then nothing has to wait, and nobody has returned yet.
  let latest = -Infinity;
  key.order.forEach((op, place) => {
    data.place[op] = place;
    data.point[op] = latest = Math.max(latest, data.call[op]);
  });
  key.edits = Array.from(key.order, () => {
    const code = reader.number();
    return code === 3 ? { head: reader.number(), tail: reader.number(), text: reader.number() } : code;
  });
}

function readFaults(reader, data) {
  data.groups = [];
  data.faults = Array.from({ length: reader.number() }, (_, index) => {
    const from = reader.number(), span = reader.option();
    const name = data.texts.text(reader.number()), label = data.texts.text(reader.number());
    const targets = Array.from({ length: reader.number() }, () => data.texts.text(reader.number()));
    let group = data.groups.find((group) => group.name === name);
    if (!group) data.groups.push(group = { name, index: data.groups.length, hidden: false, faults: [] });
    const fault = { index, from, to: span === null ? Infinity : from + span, group, label, targets };
    group.faults.push(fault);
    data.last = Math.max(data.last, span === null ? from : fault.to);
    data.first = Math.min(data.first, from);
    return fault;
  });
}
