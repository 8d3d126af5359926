// Drawing what is in view: rows by their number, operations by halving, and nothing narrower than a pixel twice.

let canvas, context, palette;
let stage = { width: 0, height: 0 };

const canvasHeight = () => stage.height;
const laneHeight = () => Math.max(ROW, stage.height - AXIS - faultRows().length * FAULT_ROW);
const scale = () => (stage.width - GUTTER) / (V.right - V.left);
const unitAt = (x) => V.left + (x - GUTTER) / scale();

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  const six = (name) => [0, 1, 2, 3, 4, 5].map((number) => color(`${name}-${number}`));
  palette = { kinds: six("kind"), groups: six("group") };
  for (const name of ["paper", "ground", "line", "ink", "faint", "bad", "good", "unknown", "select"]) palette[name] = color(name);
  palette.badGround = color("bad-ground");
  palette.unknownGround = color("unknown-ground");
}

const kindColor = (op) => palette.kinds[D.names[D.name[op]].color];
const groupColor = (group) => palette.groups[group.index % 6];

function resize() {
  const ratio = window.devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  const next = { width: Math.max(box.width, GUTTER + 50), height: Math.max(box.height, 80) };
  if (next.width === stage.width && next.height === stage.height && canvas.width === Math.round(next.width * ratio)) return;
  stage = next;
  canvas.width = Math.round(stage.width * ratio);
  canvas.height = Math.round(stage.height * ratio);
  paintOverviewLater();
  changed();
}

function paintAll() {
  const ratio = window.devicePixelRatio || 1;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.textBaseline = "alphabetic";
  paint(new CanvasSurface(context));
  paintOverview();
}

function paint(surface) {
  const { width, height } = stage;
  const lanes = laneHeight();
  const toX = (unit) => GUTTER + (unit - V.left) * ((width - GUTTER) / (V.right - V.left));
  surface.rect(0, 0, width, height, palette.paper);
  surface.clip(GUTTER, AXIS, width - GUTTER, lanes, () => {
    paintTicks(surface, toX, AXIS, AXIS + lanes, false);
    paintShades(surface, toX, lanes);
    eachRow((row, y) => row.client !== undefined ? paintLane(surface, row, y, toX) : paintHeading(surface, row, y, 0, width));
    paintWitness(surface, toX);
    paintChosen(surface, toX);
  });
  surface.clip(0, AXIS, GUTTER, lanes, () => paintGutter(surface));
  surface.rect(0, 0, width, AXIS, palette.ground);
  surface.clip(0, 0, width, AXIS, () => paintTicks(surface, toX, 0, AXIS, true));
  surface.rect(0, AXIS - 1, width, 1, palette.line);
  surface.rect(GUTTER - 1, 0, 1, height, palette.line);
  paintFaults(surface, toX, AXIS + lanes);
  if (!D.complete) paintProgress(surface, AXIS + lanes);
  if (!V.rows.length) surface.text(GUTTER + 20, AXIS + 40, "Nothing passes the filters.", palette.faint, { size: 13 });
}

// Not everything is there yet: a lane that looks empty may not be.
function paintProgress(surface, bottom) {
  const known = D.blocks.reduce((sum, block) => sum + block.known, 0);
  const text = `reading the rest of the history: ${Math.floor((known / D.blocks.length) * 100)} %`;
  const width = text.length * 6.7 + 16;
  surface.rect(stage.width - width - 8, bottom - 26, width, 20, palette.ink, 0.85);
  surface.text(stage.width - width, bottom - 12, text, palette.paper);
}

function eachRow(visit) {
  const first = Math.max(0, Math.floor(V.scroll / ROW));
  const last = Math.min(V.rows.length, Math.ceil((V.scroll + laneHeight()) / ROW));
  for (let index = first; index < last; index++) visit(V.rows[index], AXIS + index * ROW - V.scroll, index);
}

// Ticks at round distances of 90 pixels or more.
function paintTicks(surface, toX, top, bottom, labelled) {
  const { width } = stage;
  const least = 110 / scale();
  const power = 10 ** Math.floor(Math.log10(least));
  let step = power * [1, 2, 5, 10].find((factor) => factor * power >= least);
  if (V.axis === "rank") step = Math.max(1, step);
  for (let tick = Math.ceil(V.left / step) * step; tick <= V.right; tick += step) {
    const x = Math.round(toX(tick));
    if (x < GUTTER || x > width) continue;
    surface.rect(x, labelled ? bottom - 6 : top, 1, labelled ? 6 : bottom - top, palette.line);
    if (!labelled) continue;
    const label = V.axis === "time" ? moment(tick, V.right - V.left) : moment(toTime(tick), toTime(V.right) - toTime(V.left));
    surface.text(x + 3, bottom - 9, label, palette.faint);
  }
  if (labelled) surface.text(8, bottom - 9, V.axis === "time" ? "time, to scale" : "order only", palette.faint);
}

// Faults and what is undecided, behind the operations.
function paintShades(surface, toX, lanes) {
  for (const group of D.groups) {
    if (group.hidden) continue;
    for (const fault of group.faults) {
      const x = toX(toUnit(fault.from)), end = toX(faultEnd(fault));
      if (end < GUTTER || x > stage.width) continue;
      const left = Math.max(x, GUTTER - 2);
      surface.rect(left, AXIS, Math.max(1, Math.min(end, stage.width) - left), lanes, groupColor(group), fault === V.fault ? 0.26 : 0.1);
    }
  }
  eachRow((row, y) => {
    if (row.key.status !== UNKNOWN || row.client === undefined) return;
    const from = row.key.reached === null || !D.known[row.key.reached] ? V.left : toUnit(Math.min(D.end[row.key.reached], D.last));
    const left = Math.max(toX(from), GUTTER);
    if (left < stage.width) hatch(surface, left, y, stage.width - left, ROW);
  });
}

function hatch(surface, x, y, width, height) {
  surface.rect(x, y, width, height, palette.unknownGround);
  const first = Math.ceil((x - height) / 14) * 14;
  for (let at = first; at < x + width; at += 14) {
    const from = Math.max(at, x), to = Math.min(at + height, x + width);
    surface.line([[from, y + height - (from - at)], [to, y + height - (to - at)]], palette.unknown, 0.5);
  }
}

function paintHeading(surface, row, y, x, width) {
  surface.rect(x, y, width, ROW, palette.ground);
  surface.rect(x, y + ROW - 1, width, 1, palette.line);
}

function paintGutter(surface) {
  surface.rect(0, AXIS, GUTTER, laneHeight(), palette.paper);
  eachRow((row, y) => {
    if (row.client !== undefined) {
      surface.text(GUTTER - 10, y + 15, `client ${D.clients[row.client]}`, palette.ink, { align: "right" });
      return;
    }
    paintHeading(surface, row, y, 0, GUTTER);
    const mark = { [GOOD]: "✓", [BAD]: "✗", [UNKNOWN]: "?" }[row.key.status];
    const color = { [GOOD]: palette.good, [BAD]: palette.bad, [UNKNOWN]: palette.unknown }[row.key.status];
    surface.text(8, y + 15, mark, color, { bold: true });
    surface.text(22, y + 15, row.key.name ? cut(row.key.name, 14) : "operations", palette.ink, { bold: true });
  });
}

function paintLane(surface, row, y, toX) {
  const { ops } = row, { call, end } = V.unit;
  surface.rect(GUTTER, y + ROW - 1, stage.width - GUTTER, 1, palette.line, 0.45);
  // One before the first that is called in view may reach into it.
  let i = Math.max(0, firstAbove(ops.length, (at) => call[ops[at]], V.left) - 1);
  const perPixel = 1 / scale();
  while (i < ops.length) {
    const op = ops[i];
    if (call[op] > V.right) break;
    const width = (end[op] - call[op]) / perPixel;
    if (width >= 2) {
      paintOperation(surface, op, y, toX(call[op]), width);
      i++;
      continue;
    }
    // Too small to be told from its neighbours: one mark, then on to the first that begins behind it.
    const x = Math.floor(toX(call[op]));
    surface.rect(x, y + 3, 2, BAR, kindColor(op));
    const behind = V.left + (x + 2 - GUTTER) * perPixel;
    i = gallop(ops, call, i + 1, behind);
  }
}

// The first place from `from` on whose call is not before `unit`; it is probably near.
function gallop(ops, call, from, unit) {
  let step = 1, low = from;
  while (low + step < ops.length && call[ops[low + step]] < unit) {
    low += step;
    step *= 2;
  }
  let high = Math.min(ops.length, low + step + 1);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (call[ops[middle]] < unit) low = middle + 1;
    else high = middle;
  }
  return low;
}

function paintOperation(surface, op, y, from, full) {
  const open = full === Infinity;
  const x = Math.max(from, GUTTER - 4), right = Math.min(from + full, stage.width + 4);
  const width = right - x;
  if (width <= 0) return;
  const stepped = V.step && V.step.key.index === D.key[op];
  const pending = stepped && !(D.place[op] >= 0 && D.place[op] < V.step.at);
  surface.rect(x, y + 3, width, BAR, kindColor(op), pending ? 0.3 : open ? 0.45 : 1);
  if (full < 6) return;
  surface.rect(x, y + 3, 1, BAR, palette.ink, 0.55);
  if (!open) surface.rect(right - 1, y + 3, 1, BAR, palette.ink, 0.25);
  else surface.line([[x, y + 3 + BAR], [right, y + 3 + BAR]], palette.faint, 1, [2, 3]);
  const room = Math.floor((width - 8) / 6.7);
  if (room >= 2) surface.text(x + 5, y + 14.5, label(op, room), palette.ink);
  const point = V.unit.point[op];
  if (point === point) {
    const at = GUTTER + (point - V.left) * scale();
    surface.rect(at - 1, y + 1, 2, BAR + 4, palette.ink, pending ? 0.25 : 0.8);
  }
}

const labels = new Map();
// In full, or else the value alone (the colour tells the rest), or else its end.
function label(op, room) {
  let [text, value] = labels.get(op) || [];
  if (text === undefined) {
    if (labels.size > 20000) labels.clear();
    text = words(op, 60);
    const id = D.result[op] >= 0 ? D.result[op] : D.argument[op];
    value = id < 0 ? text : D.texts.short(id, 40);
    if (D.result[op] >= 0) value = `→${value}`;
    labels.set(op, [text, value]);
  }
  if (text.length <= room) return text;
  if (value.length <= room) return value;
  return room < 5 ? "" : `…${value.slice(1 - room)}`;
}

// An operation in words: what was called and what it returned.
function words(op, room) {
  const name = D.names[D.name[op]], mark = name.texts ? '"' : "";
  let text = visible(name.text);
  if (D.argument[op] >= 0) text += ` ${mark}${D.texts.short(D.argument[op], room)}${mark}`;
  if (D.result[op] >= 0) text += ` → ${mark}${D.texts.short(D.result[op], room)}${mark}`;
  if (D.end[op] === Infinity) text += " …";
  return text;
}

// Where an operation is, or null if it is filtered away.
function boxOf(op, toX) {
  const row = rowOf(op);
  if (row < 0) return null;
  const x = toX(V.unit.call[op]);
  return { x, right: Math.min(toX(V.unit.end[op]), stage.width + 50), y: AXIS + row * ROW - V.scroll };
}

// The witness above everything, with what real time says between its operations.
function paintWitness(surface, toX) {
  for (const key of V.errors) {
    if (V.key !== null && key.index !== V.key) continue;
    paintContext(surface, key, toX);
    const focus = focusOf(key);
    focus.forEach((op, number) => {
      if (!D.known[op]) return;
      const box = boxOf(op, toX);
      if (!box) return;
      const before = precedent(focus, op);
      if (before !== undefined && key.status === BAD) paintGap(surface, boxOf(before, toX), box, before, op);
      paintNamed(surface, key, op, box, key.status === BAD ? String(number + 1) : "?");
    });
  }
}

// What the witness saw. There may be thousands, so what is too small to be seen is left out.
function paintContext(surface, key, toX) {
  const least = 5 / scale(), { call, end } = V.unit;
  for (const op of key.context || []) {
    if (call[op] > V.right || end[op] < V.left || end[op] - call[op] < least) continue;
    const box = boxOf(op, toX);
    if (box && box.y > AXIS - ROW && box.y < stage.height) {
      surface.outline(box.x, box.y + 3, box.right - box.x, BAR, palette.bad, 1, [3, 2]);
    }
  }
}

function paintNamed(surface, key, op, box, name) {
  const bad = key.status === BAD, color = bad ? palette.bad : palette.unknown;
  if (box.right < GUTTER || box.x > stage.width) return paintBeyond(surface, box, name, color);
  const width = Math.max(4, box.right - box.x), left = Math.max(box.x, GUTTER);
  surface.rect(box.x, box.y + 3, width, BAR, bad ? palette.badGround : palette.unknownGround);
  const room = Math.floor((Math.min(box.right, stage.width) - left - 24) / 6.7);
  if (room >= 3) surface.text(left + 19, box.y + 14.5, label(op, room), palette.ink);
  surface.outline(box.x, box.y + 3, width, BAR, color, 2);
  // The number inside, or before a box that is too small for it.
  const badge = width < 22 ? Math.max(box.x - 9, GUTTER + 8) : left + 10;
  surface.circle(badge, box.y + 10.5, 7, color);
  return surface.text(badge, box.y + 14.5, name, palette.paper, { align: "center", bold: true });
}

// Out of view: at the edge, with an arrow to where it is.
function paintBeyond(surface, box, name, color) {
  const left = box.right < GUTTER, y = box.y + 10.5;
  const edge = left ? GUTTER + 3 : stage.width - 3, side = left ? 1 : -1;
  surface.shape([[edge, y], [edge + side * 8, y - 6], [edge + side * 8, y + 6]], color);
  surface.text(edge + side * 14, y + 4, name, color, { align: "center", bold: true });
}

// The last of `focus` that had returned before `op` was called.
function precedent(focus, op) {
  let best;
  for (const other of focus) {
    if (D.end[other] < D.call[op] && (best === undefined || D.end[other] > D.end[best])) best = other;
  }
  return best;
}

function paintGap(surface, from, to, before, op) {
  if (!from) return;
  const text = span(D.call[op] - D.end[before]);
  const y1 = from.y + 10.5, y2 = to.y + 10.5;
  surface.line([[from.right, y1], [to.x, y2]], palette.bad, 1.5, [5, 3]);
  surface.shape([[to.x, y2], [to.x - 7, y2 - 4], [to.x - 7, y2 + 4]], palette.bad);
  const x = (Math.max(from.right, GUTTER) + Math.min(to.x, stage.width)) / 2, y = (y1 + y2) / 2;
  const width = text.length * 6.7 + 8;
  if (to.x - from.right < width || x < GUTTER || x > stage.width) return;
  surface.rect(x - width / 2, y - 8, width, 15, palette.paper, 0.9);
  surface.text(x, y + 3.5, text, palette.bad, { align: "center" });
}

function paintChosen(surface, toX) {
  const marked = [[V.hover, 1], [V.selected, 2.5]];
  if (V.step && V.step.at > 0) marked.push([orderOf(V.step.key)[V.step.at - 1], 2.5]);
  for (const [op, thickness] of marked) {
    const row = op >= 0 ? rowOf(op) : -1;
    if (row < 0) continue;
    const x = Math.max(toX(V.unit.call[op]), GUTTER - 9), right = Math.min(toX(V.unit.end[op]), stage.width + 9);
    surface.outline(x - 1, AXIS + row * ROW - V.scroll + 1.5, Math.max(4, right - x + 2), BAR + 3, palette.select, thickness);
  }
}

function paintFaults(surface, toX, top) {
  const rows = faultRows();
  if (!rows.length) return;
  surface.rect(0, top, stage.width, rows.length * FAULT_ROW, palette.ground);
  surface.rect(0, top, stage.width, 1, palette.line);
  rows.forEach((row, index) => {
    const y = top + index * FAULT_ROW, color = groupColor(row.group);
    if (row.first) surface.text(GUTTER - 10, y + 12.5, cut(row.group.name, 17), color, { align: "right" });
    surface.clip(GUTTER, y, stage.width - GUTTER, FAULT_ROW, () => row.faults.forEach((fault) => {
      const x = toX(toUnit(fault.from)), right = toX(faultEnd(fault));
      if (right < GUTTER - 6 || x > stage.width + 6) return;
      paintFault(surface, fault, Math.max(x, GUTTER - 4), Math.min(right, stage.width + 4), y, color);
    }));
  });
}

function paintFault(surface, fault, x, right, y, color) {
  if (right - x < 3) {
    surface.shape([[x, y + 2], [x + 5, y + 8.5], [x, y + 15], [x - 5, y + 8.5]], color);
    return;
  }
  surface.rect(x, y + 3, right - x, FAULT_ROW - 5, color, 0.85);
  if (fault === V.fault) surface.outline(x, y + 3, right - x, FAULT_ROW - 5, palette.ink, 2);
  const room = Math.floor((right - x - 8) / 6.7);
  const text = visible([fault.label, ...fault.targets].join(" "));
  if (room >= 3) surface.text(x + 4, y + 12.5, text.length > room ? `${text.slice(0, room - 1)}…` : text, palette.paper);
}
