// Reading the columns that encode.rs and blocks.rs wrote, in the same order.

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
    return unfolded(this.number());
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

  // So many numbers at once, valid until the next call. Most are one byte, which is the case that must be fast.
  column(count) {
    if (Reader.numbers.length < count) Reader.numbers = new Float64Array(count);
    const { bytes } = this, { numbers } = Reader;
    let { at } = this;
    for (let i = 0; i < count; i++) {
      let byte = bytes[at++], value = byte & 127;
      for (let scale = 128; byte > 127; scale *= 128) {
        byte = bytes[at++];
        value += (byte & 127) * scale;
      }
      numbers[i] = value;
    }
    this.at = at;
    return numbers;
  }
}
Reader.numbers = new Float64Array(4096);

const unfolded = (number) => (number % 2 ? -(number + 1) / 2 : number / 2);

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
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The blocks of an element, which are "number:base64" with a space behind each, into `blocks`.
function takeBlocks(id, blocks) {
  const text = $(id).textContent;
  $(id).remove();
  for (let at = 0; at < text.length;) {
    const colon = text.indexOf(":", at), end = text.indexOf(" ", colon);
    blocks[Number(text.slice(at, colon))] = text.slice(colon + 1, end);
    at = end + 1;
  }
}

function decodeHead(bytes) {
  const reader = new Reader(bytes);
  const data = { events: reader.number() === 1, complete: false };
  const counts = { buffers: reader.number(), texts: reader.number() };
  data.texts = new Texts(counts.buffers + reader.number(), counts.texts + reader.number());
  data.texts.read(reader, 0, { ...counts, firstBuffer: 0, firstText: 0 });
  data.clients = reader.list();
  data.names = Array.from({ length: reader.number() }, () => {
    const text = reader.number(), kind = reader.number();
    return { text, effect: kind >> 1, texts: (kind & 1) === 1 };
  });
  const n = data.n = reader.number();
  data.first = reader.number();
  data.last = reader.number();
  for (const name of ["call", "end", "point"]) data[name] = new Float64Array(n);
  for (const name of ["client", "key", "name"]) data[name] = new Uint32Array(n);
  for (const name of ["argument", "result", "place"]) data[name] = new Int32Array(n);
  for (const name of ["edit", "known"]) data[name] = new Uint8Array(n);
  data.splices = new Map();
  data.verdict = reader.number();
  const worst = reader.option();
  data.usual = reader.number();
  data.some = reader.number();
  data.keys = Array.from({ length: reader.number() }, (_, index) => readKey(reader, data, index));
  data.worst = worst === null ? null : data.keys[worst];
  readContents(reader, data, counts);
  readFaults(reader, data);
  return data;
}

const GOOD = 1, BAD = 2, UNKNOWN = 3;

function readKey(reader, data, index) {
  const key = { index, name: data.texts.text(reader.number()), size: reader.number(), segments: [] };
  key.clients = reader.list();
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
  key.steps = reader.option();
  if (key.steps !== null) key.initial = reader.number();
  if (reader.number()) {
    key.stuck = reader.number();
    key.alternatives = Array.from({ length: reader.number() }, () => ({
      op: reader.number(), legal: reader.number() === 1,
      state: reader.option(), expected: reader.option(), observed: reader.option(),
    }));
  }
  const bins = reader.number();
  key.bins = reader.column(bins).slice(0, bins);
  return key;
}

function readContents(reader, data, head) {
  let { buffers: firstBuffer, texts: firstText } = head;
  data.blocks = [{ known: true }];
  for (let count = reader.number(); count > 0; count--) {
    const block = { known: false, firstBuffer, firstText, buffers: reader.number(), texts: reader.number() };
    block.needs = reader.list().map((number) => number + 1);
    block.segments = Array.from({ length: reader.number() }, () => {
      const segment = { key: data.keys[reader.number()], size: reader.number(), from: reader.number(), block: data.blocks.length };
      const lasts = reader.option();
      segment.to = lasts === null ? Infinity : segment.from + lasts;
      segment.key.segments.push(segment);
      return segment;
    });
    firstBuffer += block.buffers;
    firstText += block.texts;
    data.blocks.push(block);
  }
}

function readBlock(data, number, bytes) {
  const block = data.blocks[number], reader = new Reader(bytes);
  data.texts.read(reader, number, block);
  let next = block.firstText;
  for (const segment of block.segments) next = readSegment(reader, data, segment, next);
  block.known = true;
}

function readSegment(reader, data, segment, next) {
  const { size } = segment, ops = segment.ops = new Uint32Array(size);
  const fill = (visit) => {
    const numbers = reader.column(size);
    for (let i = 0; i < size; i++) visit(ops[i], numbers[i]);
  };
  const gaps = reader.column(size);
  for (let i = 0, op = 0; i < size; i++) ops[i] = op += gaps[i];
  const { call, end, key, known } = data;
  let time = segment.from;
  fill((op, gap) => {
    call[op] = time += gap;
    key[op] = segment.key.index;
    known[op] = 1;
  });
  fill((op, span) => (end[op] = span ? call[op] + (span - 1) : Infinity));
  fill((op, client) => (data.client[op] = client));
  fill((op, name) => (data.name[op] = name));
  readSteps(reader, data, segment);
  return readReferences(reader, data, ops, next);
}

// The place in the order, a moment at which the operation can have taken effect, and what it does to the state.
function readSteps(reader, data, { key, ops }) {
  for (let i = 0, last = 0; i < ops.length; i++) {
    const op = ops[i], place = key.steps === null ? 0 : reader.number();
    data.place[op] = -1;
    data.point[op] = NaN;
    if (!place) continue;
    data.place[op] = last += unfolded(place - 1);
    const moment = reader.number();
    data.point[op] = moment % 2 ? data.call[op] + (moment - 1) / 2 : data.call[ops[i + moment / 2]];
    data.edit[op] = reader.number();
    if (data.edit[op] === 3) data.splices.set(op, { head: reader.number(), tail: reader.number(), text: -1 });
  }
}

function readReferences(reader, data, ops, next) {
  const { argument, result, edit } = data;
  const reference = () => {
    const back = reader.number();
    return back === 0 ? -1 : back === 1 ? next++ : next - (back - 1);
  };
  for (const op of ops) {
    argument[op] = reference();
    result[op] = reference();
    if (edit[op] === 3) data.splices.get(op).text = reference();
  }
  return next;
}

// Once all is known: the operations of each key.
function groupByKey(data) {
  for (const key of data.keys) key.ops = new Uint32Array(key.size);
  const filled = new Uint32Array(data.keys.length);
  for (let i = 0; i < data.n; i++) {
    const key = data.key[i];
    data.keys[key].ops[filled[key]++] = i;
  }
}

// The operations of a key in the order in which they take effect.
function orderOf(key) {
  if (!key.order) {
    key.order = new Uint32Array(key.steps);
    for (const op of key.ops) if (D.place[op] >= 0) key.order[D.place[op]] = op;
  }
  return key.order;
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
    return fault;
  });
}
