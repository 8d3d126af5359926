// What the events mean: lanes, calls, states of servers, faults, operations of clients, causes.

const RULES = {
  ElectionSafety: "At most one leader can be elected in a given term (Figure 3, §5.2).",
  LeaderAppendOnly: "A leader never overwrites or deletes entries in its log; it only appends (Figure 3, §5.3).",
  LogMatching: "Logs that have an entry with the same index and term are identical up to that index (Figure 3, §5.3).",
  LeaderCompleteness: "An entry that is committed in a term is in the logs of the leaders of all later terms (Figure 3, §5.4).",
  CurrentTermCommit: "A leader commits by counting only entries of its own term, and with them those before (§5.4.2).",
  StateMachineSafety: "No two servers apply different commands at the same index (Figure 3, §5.4.3).",
  LogOrigin: "An entry of a term appears first at the leader of that term (§5.3).",
  AcknowledgedEntry: "A follower keeps what it has acknowledged to the leader of its term (§5.3).",
  GrowingTerm: "A server's term never gets smaller, also not over a crash (§5.1).",
  OneVote: "A server votes for at most one candidate in a term (§5.2).",
  ElectionRestriction: "A server votes for nobody whose log is less up-to-date than its own (§5.4.1).",
  DurablePromise: "A vote, a term or an entry is on the disk before a reply speaks of it (Figure 2, persistent state).",
  ApplyOrder: "A server hands each index to its service once, in order (Figure 2, lastApplied).",
  DeadServer: "A crashed server does nothing.",
};

const STATE_STEP = 64;

function model(run) {
  const m = { ...run, end: 1, lanes: [], lane: new Map(), calls: new Map(), callOf: new Map(), spans: [], ops: [], verdict: null, before: new Int32Array(run.events.length).fill(-1) };
  const nodes = new Set(), clients = new Map(), open = new Map(), threads = new Map(), args = new Map(), results = new Map(), ops = new Map();
  const stateOf = new Map();
  m.states = new Map();
  for (const e of m.events) {
    m.end = Math.max(m.end, e.t);
    nodes.add(e.node);
    const thread = e.node + "/" + e.thread;
    if (threads.has(thread)) m.before[e.i] = threads.get(thread);
    threads.set(thread, e.i);
    e.state = stateOf.get(e.node) ?? -1;
    if (e.kind === "message") message(m, e, thread, args, results);
    else if (e.kind === "state") {
      stateOf.set(e.node, e.i);
      if (!m.states.has(e.node)) m.states.set(e.node, []);
      m.states.get(e.node).push(e);
    } else if (e.kind === "span") span(m, e, open);
    else if (e.kind === "client") client(m, e, ops, clients);
    else if (e.kind === "verdict") m.verdict = e;
  }
  for (const fault of open.values()) fault.to = m.end;
  const key = (node) => [/^server|^group|^ctr/.test(node) ? 0 : node === "main" ? -1 : 1, node.replace(/\d+$/, ""), Number(node.match(/\d+$/)?.[0] ?? 0)];
  const order = [...nodes].sort((a, b) => { const x = key(a), y = key(b); return x[0] - y[0] || x[1].localeCompare(y[1]) || x[2] - y[2]; });
  for (const node of order) m.lanes.push({ name: node, kind: node === "main" ? "test" : "server" });
  for (const number of [...clients.keys()].sort((a, b) => a - b)) m.lanes.push({ name: `client ${number}`, kind: "client" });
  m.lanes.forEach((lane, i) => m.lane.set(lane.name, i));
  m.list = [...m.calls.values()].filter((call) => call.sent).sort((a, b) => a.sent.t - b.sent.t);
  m.longest = m.list.reduce((most, call) => Math.max(most, call.last - call.sent.t), 0);
  m.servers = m.lanes.filter((lane) => lane.kind === "server" && (m.states.has(lane.name) || m.list.some((call) => call.to === lane.name))).map((lane) => lane.name);
  return m;
}

function message(m, e, thread, args, results) {
  const leg = e.f.leg, number = e.f.call;
  if (leg === "call") return void args.set(thread, e);
  if (leg === "result") return void results.set(thread, e);
  if (leg === "request") {
    const call = { number, method: e.target, short: e.target.split(".").pop(), from: e.node, to: e.f.to, sent: e, args: args.get(thread), lost: !!e.f.lost, arrived: [], replied: [], results: [], last: e.t };
    args.delete(thread);
    if (call.args) m.callOf.set(call.args.i, call);
    m.calls.set(number, call);
  }
  const call = m.calls.get(number);
  if (!call) return;
  m.callOf.set(e.i, call);
  call.last = Math.max(call.last, e.t);
  if (leg === "arrives") call.arrived.push(e);
  if (leg === "reply") {
    const result = results.get(thread);
    results.delete(thread);
    if (result) { call.results.push(result); m.callOf.set(result.i, call); }
    call.replied.push(e);
    if (e.f.lost) call.replyLost = true;
  }
  if (leg === "returns" || leg === "fails") call.ended = e;
}

function span(m, e, open) {
  const key = e.target + "@" + e.f.at;
  if (e.f.leg === "end") {
    if (open.has(key)) open.get(key).to = e.t;
    open.delete(key);
    return;
  }
  const fault = { group: e.target, at: e.f.at, label: e.text, from: e.t, to: e.t, event: e };
  m.spans.push(fault);
  if (e.f.leg === "begin") open.set(key, fault);
}

function client(m, e, ops, clients) {
  clients.set(e.f.client, true);
  if (e.f.leg === "call") {
    const op = { client: e.f.client, from: e.t, to: Infinity, text: e.text, event: e };
    ops.set(e.f.client, op);
    m.ops.push(op);
  } else if (ops.has(e.f.client)) {
    const op = ops.get(e.f.client);
    op.to = e.t;
    op.text = e.text;
  }
}

// The entries that a state says have changed: "3x2,4" is 3, 3, 4.
function terms(text) {
  if (!text) return [];
  return text.split(",").flatMap((run) => { const [term, count] = run.split("x"); return Array(Number(count ?? 1)).fill(Number(term)); });
}

// The state of a server as of this event, its log included; null before it has shown any.
function stateAt(m, node, index) {
  const list = m.states.get(node);
  if (!list || list[0].i > index) return null;
  let low = 0, high = list.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (list[middle].i <= index) low = middle; else high = middle - 1;
  }
  m.logs ??= new Map();
  if (!m.logs.has(node)) m.logs.set(node, []);
  const kept = m.logs.get(node);
  let place = Math.min(Math.floor(low / STATE_STEP), kept.length - 1);
  let log = place >= 0 ? kept[place].slice() : [], base = place >= 0 ? kept[place].base : 0;
  for (let i = place >= 0 ? place * STATE_STEP + 1 : 0; i <= low; i++) {
    const f = list[i].f;
    if (f.last !== undefined) {
      if (f.base > base) log.splice(0, f.base - base);
      else if (f.base < base) log = [];
      base = f.base;
      log.length = Math.max(0, Math.min(log.length, f.from - 1 - base));
      while (log.length < f.from - 1 - base) log.push(0);
      log.push(...terms(f.terms));
      log.length = Math.max(0, f.last - base);
    }
    if (i % STATE_STEP === 0 && kept.length === i / STATE_STEP) { const copy = log.slice(); copy.base = base; kept.push(copy); }
  }
  return { event: list[low], ...list[low].f, base, log, known: list[low].f.last !== undefined };
}

// What came before an event because it had to: the thread's own past, what its message brought, and the state
// that it found.
function causes(m, index) {
  const cone = new Set(), todo = [index];
  while (todo.length) {
    const i = todo.pop();
    if (i < 0 || cone.has(i)) continue;
    cone.add(i);
    for (const cause of direct(m, i)) todo.push(cause);
  }
  return cone;
}

function direct(m, i) {
  const e = m.events[i], call = m.callOf.get(i), found = [];
  if (m.before[i] >= 0) found.push(m.before[i]);
  if (call && e.f.leg === "arrives") found.push(call.sent.i);
  if (call && e.f.leg === "returns" && call.replied.length) found.push(call.replied.at(-1).i);
  if (e.state >= 0) found.push(e.state);
  if (e.kind === "verdict") {
    // The last thing that happened before it, wherever it was.
    for (let j = i - 1; j >= 0; j--) if (m.events[j].kind === "state" || m.events[j].kind === "apply" || m.events[j].kind === "client") { found.push(j); break; }
  }
  return found;
}

// The first event at which two runs differ.
function divergence(one, other) {
  const length = Math.min(one.events.length, other.events.length);
  for (let i = 0; i < length; i++) {
    const a = one.events[i], b = other.events[i];
    if (a.t !== b.t || a.node !== b.node || a.kind !== b.kind || a.text !== b.text) return i;
  }
  return length;
}
