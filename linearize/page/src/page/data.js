// Reading what encode.rs and blocks.rs wrote: the head, and blocks of two lines of JSON.

async function unpack(text) {
  let bytes;
  if (Uint8Array.fromBase64) {
    bytes = Uint8Array.fromBase64(text);
  } else {
    const binary = atob(text);
    bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return (await new Response(stream).text()).split("\n").map((line) => JSON.parse(line));
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

const GOOD = 1, BAD = 2, UNKNOWN = 3;

function readHead(head) {
  const n = head.operations, data = { ...head, n, complete: false, texts: new Texts(head.texts, head.buffers), splices: new Map() };
  for (const name of ["call", "end", "point"]) data[name] = new Float64Array(n);
  for (const name of ["client", "key", "name"]) data[name] = new Uint32Array(n);
  for (const name of ["argument", "result", "place"]) data[name] = new Int32Array(n);
  for (const name of ["edit", "known"]) data[name] = new Uint8Array(n);
  data.keys.forEach((key, index) => Object.assign(key, { index, segments: [], reached: null }, key.found));
  data.worst = head.worst === null ? null : data.keys[head.worst];
  data.blocks = head.blocks.map((segments, number) => ({ known: false, segments: segments.map(({ key, from, to }) => {
    const segment = { key: data.keys[key], from, to: to ?? Infinity, block: number + 1 };
    segment.key.segments.push(segment);
    return segment;
  }) }));
  data.blocks.unshift({ known: true });
  readFaults(data);
  return data;
}

function readFaults(data) {
  data.groups = [];
  data.faults.forEach((fault, index) => {
    let group = data.groups.find((group) => group.name === fault.group);
    if (!group) data.groups.push(group = { name: fault.group, index: data.groups.length, hidden: false, faults: [] });
    Object.assign(fault, { index, to: fault.to ?? Infinity, group });
    group.faults.push(fault);
  });
}

function readBlock(data, number, [texts, columns]) {
  const block = data.blocks[number];
  let next = data.texts.read(texts);
  block.segments.forEach((segment, place) => (next = readSegment(data, segment, columns[place], next)));
  block.known = true;
}

function readSegment(data, segment, columns, next) {
  const ops = segment.ops = new Uint32Array(columns.gaps.length);
  let op = 0, time = segment.from, text = 0, splice = 0, place = -1;
  const reference = () => {
    const back = columns.texts[text++];
    return back === 0 ? -1 : back === 1 ? next++ : next - (back - 1);
  };
  for (let i = 0; i < ops.length; i++) {
    op = ops[i] = op + columns.gaps[i];
    time = data.call[op] = time + columns.calls[i];
    data.end[op] = columns.spans[i] === null ? Infinity : time + columns.spans[i];
    data.key[op] = segment.key.index;
    data.client[op] = columns.clients[i];
    data.name[op] = columns.names[i];
    data.argument[op] = reference();
    data.result[op] = reference();
    data.place[op] = columns.places[i] ? place += columns.places[i] : -1;
    data.edit[op] = columns.edits[i];
    if (data.edit[op] === 3) data.splices.set(op, { head: columns.splices[splice++], tail: columns.splices[splice++], text: reference() });
    data.known[op] = 1;
  }
  readMoments(data, ops, columns.moments);
  return next;
}

// The moments at which operations can have taken effect: at a call of this segment, or so long after their own.
function readMoments(data, ops, moments) {
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i], moment = moments[i];
    data.point[op] = data.place[op] < 0 ? NaN : moment < 0 ? data.call[op] - moment : data.call[ops[i + moment]];
  }
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
