// Which operations are shown, and in which rows: for each key a heading and a row for each of its clients.

// Rows are { key } for a heading, or lanes, whose operations do not overlap.
class Lane {
  constructor(key, client, ops) {
    Object.assign(this, { key, client, chosen: ops });
  }

  // Found when they are looked at: most lanes never are.
  get ops() {
    return this.chosen || (this.chosen = lanesOf(this.key).get(this.client) || NO_OPS);
  }
}

const NO_OPS = new Uint32Array(0);

// What is known of a key's operations, in the order of their calls.
function opsOf(key) {
  if (key.ops) return key.ops;
  const known = key.segments.filter((segment) => segment.ops).map((segment) => segment.ops);
  const ops = new Uint32Array(known.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of known) {
    ops.set(part, at);
    at += part.length;
  }
  return ops.sort();
}

// The operations of a key by client.
function lanesOf(key) {
  if (key.lanes) return key.lanes;
  const ops = opsOf(key), place = new Int32Array(D.clients.length).fill(-1);
  key.clients.forEach((client, index) => (place[client] = index));
  const sizes = new Uint32Array(key.clients.length);
  for (let i = 0; i < ops.length; i++) sizes[place[D.client[ops[i]]]]++;
  const lanes = Array.from(sizes, (size) => new Uint32Array(size));
  sizes.fill(0);
  for (let i = 0; i < ops.length; i++) {
    const lane = place[D.client[ops[i]]];
    lanes[lane][sizes[lane]++] = ops[i];
  }
  return (key.lanes = new Map(key.clients.map((client, index) => [client, lanes[index]])));
}

// More was read: what was derived from the rest is stale.
function forgetLanes() {
  for (const key of D.keys) key.lanes = key.written = null;
}

const filtered = () => V.client !== null || V.name !== null || V.text !== "" || V.from > -Infinity || V.to < Infinity || V.overlap;

function layOut() {
  const passes = filtered() ? filter() : null;
  const focus = focusOf(errorKey()).filter((op) => D.known[op]);
  V.rows = [];
  for (const key of D.sorted) {
    if (V.key !== null && key.index !== V.key) continue;
    const lanes = passes ? passing(key, passes) : key.clients.map((client) => new Lane(key, client));
    if (!lanes.length) continue;
    const involved = new Set(focus.filter((op) => D.key[op] === key.index).map((op) => D.client[op]));
    // Clients of the witness first, so that it is in view however many others there are.
    lanes.sort((a, b) => involved.has(b.client) - involved.has(a.client) || D.clients[a.client] - D.clients[b.client]);
    V.rows.push({ key }, ...lanes);
  }
  rowIndex = null;
  measure();
  V.scroll = Math.max(0, Math.min(V.scroll, V.rows.length * ROW));
  paintOverviewLater();
  changed();
}

function passing(key, passes) {
  const lanes = [];
  for (const [client, ops] of lanesOf(key)) {
    const chosen = ops.filter(passes);
    if (chosen.length) lanes.push(new Lane(key, client, chosen));
  }
  return lanes;
}

function filter() {
  const tests = [];
  if (V.client !== null) tests.push((op) => D.client[op] === V.client);
  if (V.name !== null) tests.push((op) => D.name[op] === V.name);
  if (V.from > -Infinity) tests.push((op) => D.end[op] >= V.from);
  if (V.to < Infinity) tests.push((op) => D.call[op] <= V.to);
  if (V.text) {
    const contains = D.texts.containing(V.text);
    const named = new Set(D.names.flatMap((name, index) => name.text.includes(V.text) ? [index] : []));
    tests.push((op) => contains(D.argument[op]) || contains(D.result[op]) || named.has(D.name[op]));
  }
  if (V.overlap) {
    const focus = focusOf(errorKey());
    tests.push((op) => focus.some((other) => D.call[op] <= D.end[other] && D.call[other] <= D.end[op]));
  }
  return (op) => tests.every((test) => test(op));
}

// The places of all operations on the axis. Ranks count the calls and returns of what is shown; equal times share one.
function measure() {
  if (V.axis === "time") {
    V.moments = null;
    V.unit = { call: D.call, end: D.end, point: D.point };
    return;
  }
  const lanes = V.rows.filter((row) => row.client !== undefined);
  const times = new Float64Array(lanes.reduce((sum, row) => sum + row.ops.length * 2, 0));
  let count = 0;
  for (const row of lanes) for (const op of row.ops) {
    times[count++] = D.call[op];
    if (D.end[op] < Infinity) times[count++] = D.end[op];
  }
  const sorted = times.subarray(0, count).sort();
  let distinct = 0;
  for (let i = 0; i < count; i++) if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[distinct++] = sorted[i];
  V.moments = sorted.slice(0, distinct);
  const unit = { call: new Float64Array(D.n), end: new Float64Array(D.n), point: new Float64Array(D.n) };
  for (const row of lanes) for (const op of row.ops) {
    unit.call[op] = toUnit(D.call[op]);
    unit.end[op] = D.end[op] < Infinity ? toUnit(D.end[op]) : Infinity;
    unit.point[op] = D.point[op] === D.point[op] ? toUnit(D.point[op]) : NaN;
  }
  V.unit = unit;
}

// The row of each key's client, or -1; made anew when rows change.
let rowIndex = null;
function laneOf(op) {
  const clients = D.clients.length;
  if (!rowIndex) {
    rowIndex = new Int32Array(D.keys.length * clients).fill(-1);
    V.rows.forEach((row, index) => {
      if (row.client !== undefined) rowIndex[row.key.index * clients + row.client] = index;
    });
  }
  return rowIndex[D.key[op] * clients + D.client[op]];
}

// The row of an operation, or -1 if it does not pass the filters.
function rowOf(op) {
  const index = laneOf(op);
  if (index < 0) return -1;
  const ops = V.rows[index].ops;
  const at = firstAbove(ops.length, (i) => ops[i], op) - 1;
  return ops[at] === op ? index : -1;
}

function scrollTo(row) {
  const room = laneHeight();
  const top = row * ROW;
  if (row < 0 || (top >= V.scroll && top + ROW <= V.scroll + room)) return;
  V.scroll = Math.max(0, top - room / 2);
}

// The lanes of faults: a row for each that overlaps another of its group.
function faultRows() {
  const rows = [];
  for (const group of D.groups) {
    if (group.hidden) continue;
    const ends = [];
    for (const fault of group.faults) {
      let row = ends.findIndex((end) => end < fault.from);
      if (row < 0) row = Math.min(ends.push(0) - 1, 3);
      ends[row] = fault.to;
      fault.row = row;
    }
    for (let row = 0; row < Math.min(ends.length, 4); row++) {
      rows.push({ group, first: row === 0, faults: group.faults.filter((fault) => fault.row === row) });
    }
  }
  return rows;
}

// The operation at a place of the canvas, or -1.
function operationAt(x, y) {
  if (x < GUTTER || y < AXIS || y > AXIS + laneHeight()) return -1;
  const row = V.rows[Math.floor((y - AXIS + V.scroll) / ROW)];
  if (!row || !row.ops) return -1;
  const slack = 3 / scale();
  const unit = unitAt(x);
  // The last that was called before here, or the next one if it is within reach.
  const next = firstAbove(row.ops.length, (i) => V.unit.call[row.ops[i]], unit + slack);
  for (const op of [row.ops[next - 1], row.ops[next - 2]]) {
    if (op !== undefined && V.unit.end[op] >= unit - slack) return op;
  }
  return -1;
}

function faultAt(x, y) {
  const rows = faultRows();
  const top = canvasHeight() - rows.length * FAULT_ROW;
  const row = rows[Math.floor((y - top) / FAULT_ROW)];
  if (y < top || !row || x < GUTTER) return null;
  const slack = 4 / scale(), unit = unitAt(x);
  return row.faults.find((fault) => toUnit(fault.from) - slack <= unit && unit <= faultEnd(fault) + slack) || null;
}

const faultEnd = (fault) => fault.to === Infinity ? finish() : toUnit(fault.to);
