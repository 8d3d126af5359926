// The space-time picture: time to the right, a lane for each server and client.

const LABEL = () => (innerWidth < 600 ? 64 : 96);
const ROLES = { leader: "--leader", candidate: "--candidate", follower: "--follower" };
const TERMS = 6;

function colour(name) {
  colour.cache ??= new Map();
  if (!colour.cache.has(name)) colour.cache.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return colour.cache.get(name);
}

class Stage {
  constructor(canvas, m) {
    this.canvas = canvas;
    this.m = m;
    this.context = canvas.getContext("2d");
  }

  // Matches the canvas to its place on the page.
  fit() {
    const ratio = devicePixelRatio || 1, box = this.canvas.getBoundingClientRect();
    [this.width, this.height] = [box.width, box.height];
    const [w, h] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) [this.canvas.width, this.canvas.height] = [w, h];
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.pitch = Math.max(16, (this.height - 30) / Math.max(1, this.m.lanes.length));
  }

  x(t) { return LABEL() + ((t - view.from) / (view.to - view.from)) * (this.width - LABEL()); }
  time(x) { return view.from + ((x - LABEL()) / (this.width - LABEL())) * (view.to - view.from); }
  y(lane) { return 24 + this.pitch * (lane + 0.5); }

  draw(own) {
    this.fit();
    const c = this.context;
    c.fillStyle = colour("--paper");
    c.fillRect(0, 0, this.width, this.height);
    c.font = "11px system-ui, sans-serif";
    c.textBaseline = "middle";
    this.grid();
    c.save();
    c.beginPath();
    c.rect(LABEL(), 0, this.width, this.height);
    c.clip();
    this.roles();
    this.faults();
    this.operations();
    this.arrows(own);
    this.marks(own);
    this.verdict();
    if (own && view.cursor >= 0) this.cursor();
    if (view.split !== null) this.split();
    c.restore();
    this.labels();
  }

  grid() {
    const c = this.context, span = view.to - view.from;
    let step = 10 ** Math.floor(Math.log10(span / 6));
    if (span / step > 30) step *= 5; else if (span / step > 12) step *= 2;
    c.strokeStyle = colour("--line");
    c.fillStyle = colour("--faint");
    c.beginPath();
    for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
      const x = this.x(t);
      c.moveTo(x, 16);
      c.lineTo(x, this.height);
      c.fillText(moment(t, step), x + 3, 8);
    }
    c.stroke();
  }

  labels() {
    const c = this.context;
    c.fillStyle = colour("--ground");
    c.fillRect(0, 0, LABEL(), this.height);
    c.fillStyle = colour("--ink");
    const longest = innerWidth < 600 ? 9 : 14;
    this.m.lanes.forEach((lane, i) => c.fillText(lane.name.length > longest ? lane.name.slice(0, longest - 1) + "…" : lane.name, 6, this.y(i)));
  }

  // A bar along each lane in the colour of the server's role, with the term where it changes.
  roles() {
    const c = this.context;
    for (const [node, list] of this.m.states) {
      const y = this.y(this.m.lane.get(node));
      let last = -1e9;
      for (let i = this.first(list, view.from); i < list.length && list[i].t <= view.to; i++) {
        const e = list[i], next = list[i + 1]?.t ?? this.m.end;
        const [x, end] = [this.x(Math.max(e.t, view.from)), this.x(Math.min(next, view.to))];
        c.fillStyle = colour(ROLES[e.f.role] ?? "--follower");
        const thick = e.f.role === "leader" ? 10 : e.f.role === "candidate" ? 8 : 4;
        c.fillRect(x, y - thick / 2, Math.max(end - x, 0.5), thick);
        const before = list[i - 1];
        if (x - last > 40 && (!before || before.f.term !== e.f.term)) {
          c.fillStyle = colour("--ink");
          c.fillText(`T${e.f.term}`, x + 2, y - 12);
          last = x;
        }
      }
    }
  }

  // The place in a list, sorted by time, of the last element at or before a time.
  first(list, t) {
    let low = 0, high = list.length;
    while (low < high) { const middle = (low + high) >> 1; if ((list[middle].t ?? list[middle].sent.t) <= t) low = middle + 1; else high = middle; }
    return Math.max(0, low - 1);
  }

  faults() {
    const c = this.context;
    for (const fault of this.m.spans) {
      if (fault.to < view.from || fault.from > view.to || fault.group === "leader") continue;
      const lane = this.m.lane.get(fault.at), [x, end] = [this.x(fault.from), this.x(fault.to)];
      const [top, height] = lane === undefined ? [20, this.height - 20] : [this.y(lane) - this.pitch / 2 + 2, this.pitch - 4];
      c.fillStyle = colour(fault.group === "crash" ? "--down" : "--cut");
      c.fillRect(x, top, Math.max(end - x, 2), height);
      if (end - x > 40) { c.fillStyle = colour("--faint"); c.fillText(fault.label.slice(0, Math.floor((end - x) / 7)), Math.max(x, LABEL()) + 3, top + 7); }
    }
  }

  operations() {
    const c = this.context;
    for (const op of this.m.ops) {
      if (op.to < view.from || op.from > view.to) continue;
      const y = this.y(this.m.lane.get(`client ${op.client}`)), x = this.x(op.from), end = Math.min(this.x(op.to), this.width + 9);
      c.fillStyle = colour("--client");
      c.fillRect(x, y - 6, Math.max(end - x, 1.5), 12);
      if (end - x > 60) { c.fillStyle = colour("--ink"); c.fillText(op.text.slice(0, Math.floor((end - x) / 7)), Math.max(x, LABEL()) + 3, y); }
    }
  }

  arrows(own) {
    const c = this.context, m = this.m, list = m.list;
    const begin = this.first(list, view.from - m.longest), end = this.first(list, view.to) + 1, seen = [];
    for (let i = begin; i < end; i++) if (list[i].last >= view.from && kindShown(list[i].sent)) seen.push(list[i]);
    // Where arrows lie over one another, a few of them tell as much and are drawn in a fifth of the time.
    const many = seen.length > 1000, gap = many ? 12 : 0, last = new Map();
    const paths = { usual: new Path2D(), reply: new Path2D(), lost: new Path2D(), late: new Path2D(), cone: new Path2D() };
    const heads = seen.length < 600;
    const line = (path, x1, y1, x2, y2, head) => {
      path.moveTo(x1, y1);
      path.lineTo(x2, y2);
      if (!head || !heads) return;
      const angle = Math.atan2(y2 - y1, x2 - x1);
      for (const turn of [2.7, -2.7]) { path.moveTo(x2, y2); path.lineTo(x2 + 6 * Math.cos(angle + turn), y2 + 6 * Math.sin(angle + turn)); }
    };
    const cone = own && view.cone ? view.coneSet : null;
    for (const call of seen) {
      const from = call.lane ??= m.lane.get(call.from), to = call.goal ??= m.lane.get(call.to), x = this.x(call.sent.t);
      if (from === undefined) continue;
      if (many) {
        const key = from * 64 + (to ?? 63);
        if (x - (last.get(key) ?? -1e9) < gap) continue;
        last.set(key, x);
      }
      const y1 = this.y(from), y2 = to === undefined ? y1 + this.pitch * 0.4 : this.y(to);
      const inCone = cone?.has(call.sent.i);
      if (call.lost || to === undefined) { line(paths.lost, x, y1, x + 8, y1 + (y2 - y1) * 0.45, true); continue; }
      const late = call.ended && call.ended.f.leg === "fails" && call.replied.length && !call.replyLost;
      call.arrived.forEach((at, copy) => line(inCone ? paths.cone : late || copy ? paths.late : paths.usual, x, y1, this.x(at.t), y2, true));
      call.replied.forEach((back) => {
        const xb = this.x(back.t);
        if (back.f.lost) line(paths.lost, xb, y2, xb + 8, y2 + (y1 - y2) * 0.45, true);
        else if (call.ended) line(cone?.has(back.i) ? paths.cone : late ? paths.late : paths.reply, xb, y2, this.x(call.ended.t), y1, true);
      });
    }
    c.globalAlpha = cone ? 0.25 : many ? 0.5 : 1;
    this.stroke(paths.usual, "--message", 1, []);
    this.stroke(paths.reply, "--reply", 1, []);
    this.stroke(paths.late, "--late", 1.5, [6, 3]);
    this.stroke(paths.lost, "--lost", 1.2, [2, 2]);
    c.globalAlpha = 1;
    this.stroke(paths.cone, "--select", 2, []);
  }

  stroke(path, name, width, dash) {
    const c = this.context;
    c.strokeStyle = colour(name);
    c.lineWidth = width;
    c.setLineDash(dash);
    c.stroke(path);
    c.setLineDash([]);
    c.lineWidth = 1;
  }

  // A dot for each event that is neither message nor state.
  marks(own) {
    const c = this.context, last = new Map();
    // Messages are most of a run; they are left out once, not in each frame.
    const list = this.m.marked ??= this.m.events.filter((e) => e.kind !== "message" && e.kind !== "span");
    if (!list.length) return;
    const begin = this.first(list, view.from), end = this.first(list, view.to) + 1;
    for (let i = begin; i < end; i++) {
      const e = list[i];
      if (!shown(e)) continue;
      const lane = this.m.lane.get(laneOf(this.m, e)), x = this.x(e.t);
      const hollow = e.kind === "promise";
      if (lane === undefined || (!hollow && x - (last.get(lane) ?? -9) < 3)) continue;
      last.set(lane, x);
      c.fillStyle = colour(hollow ? "--bad" : e.kind === "apply" ? "--good" : e.kind === "disk" ? "--faint" : e.kind === "verb" ? "--late" : "--select");
      if (own && view.cone && !view.coneSet.has(e.i)) c.globalAlpha = 0.25;
      if (hollow) c.fillRect(x - 3, this.y(lane) + 6, 7, 7); else c.fillRect(x - 1, this.y(lane) + 8, 3, 5);
      c.globalAlpha = 1;
    }
  }

  verdict() {
    const e = this.m.verdict;
    if (!e || e.f.ok) return;
    const c = this.context, x = this.x(e.t);
    c.fillStyle = colour("--bad");
    c.fillRect(x - 1, 16, 3, this.height);
  }

  cursor() {
    const c = this.context, e = this.m.events[view.cursor];
    if (!e) return;
    const x = this.x(e.t), lane = this.m.lane.get(laneOf(this.m, e));
    c.fillStyle = colour("--select");
    c.fillRect(x - 0.5, 16, 1, this.height);
    if (lane !== undefined) { c.strokeStyle = colour("--select"); c.lineWidth = 2; c.beginPath(); c.arc(x, this.y(lane), 8, 0, 7); c.stroke(); c.lineWidth = 1; }
  }

  split() {
    const c = this.context, x = this.x(view.split);
    c.strokeStyle = colour("--unknown");
    c.setLineDash([5, 4]);
    c.beginPath();
    c.moveTo(x, 16);
    c.lineTo(x, this.height);
    c.stroke();
    c.setLineDash([]);
    c.fillStyle = colour("--unknown");
    c.fillText("here the two runs part", x + 4, this.height - 8);
  }

  // The event or call nearest to a place.
  hit(x, y) {
    let best = null, distance = 14;
    const consider = (e, d) => { if (d < distance) { distance = d; best = e; } };
    const list = this.m.events, begin = this.first(list, this.time(x - 15)), end = this.first(list, this.time(x + 15)) + 1;
    for (let i = begin; i < Math.min(end, begin + 20000); i++) {
      const e = list[i], lane = this.m.lane.get(laneOf(this.m, e));
      if (lane !== undefined && e.kind !== "span") consider(e, Math.hypot(this.x(e.t) - x, (this.y(lane) - y) / 1.5));
    }
    const calls = this.m.list, from = this.first(calls, view.from - this.m.longest), to = this.first(calls, view.to) + 1;
    for (let i = from; i < Math.min(to, from + 20000); i++) {
      const call = calls[i], a = this.m.lane.get(call.from), b = this.m.lane.get(call.to);
      if (!call.arrived.length || a === undefined || b === undefined) continue;
      consider(call.arrived[0], toSegment(x, y, this.x(call.sent.t), this.y(a), this.x(call.arrived[0].t), this.y(b)) + 4);
    }
    return best;
  }
}

function toSegment(x, y, x1, y1, x2, y2) {
  const dx = x2 - x1, dy = y2 - y1, along = Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - x1 - along * dx, y - y1 - along * dy);
}

function laneOf(m, e) {
  if (e.kind === "client") return `client ${e.f.client}`;
  if (e.kind === "verb" && e.f.server !== undefined && m.lane.has(`server-${e.f.server}`)) return `server-${e.f.server}`;
  return e.node;
}

function moment(t, step) {
  if (step >= 1e9) return `${Math.round(t / 1e9)} s`;
  if (step >= 1e6) return `${(t / 1e9).toFixed(step >= 1e8 ? 1 : step >= 1e7 ? 2 : 3)} s`;
  return `${(t / 1e6).toFixed(step >= 1e5 ? 1 : step >= 1e4 ? 2 : 3)} ms`;
}
