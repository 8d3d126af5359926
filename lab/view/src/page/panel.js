// What stands beside the picture: the servers at the cursor, the chosen event and its causes, the log.

const $ = (id) => document.getElementById(id);
const LISTED = 300;

function element(name, text, attributes = {}) {
  const one = document.createElement(name);
  if (text !== undefined) one.textContent = text;
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  return one;
}

// Letters that cannot be seen, or that turn the direction of a text, are shown as their codes.
function visible(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

function seconds(t) { return (t / 1e9).toFixed(6); }

function heading(m) {
  const v = m.verdict, bad = v && !v.f.ok;
  $("verdict").className = bad ? "bad" : "good";
  $("mark").textContent = bad ? "✗" : "✓";
  const rule = v?.f.rule || v?.target || "";
  $("headline").textContent = `${m.header.test}, seed ${m.header.seed}: ${!v ? "no verdict" : bad ? rule || "failed" : "passed"}`;
  document.title = $("headline").textContent;
  $("sentence").textContent = bad ? `${RULES[rule] ? RULES[rule] + " " : ""}At ${seconds(v.t)} s: ${visible(v.text)}` : "";
}

// A row for each rule: whole until it was broken.
function strip(m) {
  const v = m.verdict, broken = v && !v.f.ok ? v.f.rule : "";
  const list = $("strip");
  list.replaceChildren();
  const rules = Object.keys(RULES);
  if (v && !v.f.ok && !RULES[broken]) rules.unshift(broken || v.target || "expectation");
  for (const rule of rules) {
    const isBroken = v && !v.f.ok && rule === (broken || v.target || "expectation");
    const item = element(isBroken ? "button" : "span", `${isBroken ? "✗" : "✓"} ${rule}`, { class: isBroken ? "broken" : "kept", title: RULES[rule] ?? v?.text ?? "" });
    if (isBroken) item.addEventListener("click", () => choose(v.i, true));
    list.append(item);
  }
}

function servers(m) {
  const table = $("servers"), at = view.cursor < 0 ? lastBefore(m, view.to) : view.cursor;
  const body = element("tbody");
  for (const node of m.servers) {
    const state = stateAt(m, node, at), changed = state && state.event.i === at;
    const before = changed ? stateAt(m, node, at - 1) : null;
    const down = m.spans.find((span) => span.at === node && span.from <= m.events[at]?.t && m.events[at]?.t < span.to && span.group !== "leader");
    const row = element("tr");
    const cell = (text, name) => {
      const one = element("td", text);
      if (changed && (!before || before[name] !== state[name])) one.className = "changed";
      row.append(one);
      return one;
    };
    row.append(element("th", node, { scope: "row" }));
    if (!state) { row.append(element("td", down ? down.label : "nothing shown yet", { colspan: 5 })); body.append(row); continue; }
    cell(down ? `${state.role}, ${down.label}` : state.role, "role");
    cell(state.term, "term");
    cell(state.known ? state.commit : "?", "commit");
    const log = element("td");
    log.className = "log";
    if (!state.known) log.textContent = "not shown (no probe)";
    else boxes(log, state, before);
    row.append(log);
    body.append(row);
  }
  const head = element("thead");
  const top = element("tr");
  for (const name of ["server", "role", "term", "commit", "log: a box an entry, with its term"]) top.append(element("th", name, { scope: "col" }));
  head.append(top);
  table.replaceChildren(head, body);
}

// The last entries of a log, in the colours of their terms; committed ones with a firm edge.
function boxes(cell, state, before) {
  const shownCount = innerWidth < 600 ? 8 : 14, skip = Math.max(0, state.log.length - shownCount);
  if (state.base + skip > 0) cell.append(element("span", `…${state.base + skip}`, { class: "more" }));
  state.log.slice(skip).forEach((term, i) => {
    const index = state.base + skip + i + 1, box = element("span", term, { class: `box term-${term % TERMS}`, title: `index ${index}, term ${term}${index <= state.commit ? ", committed" : ""}` });
    if (index <= state.commit) box.classList.add("committed");
    if (before && before.log[index - 1 - before.base] !== term) box.classList.add("changed");
    cell.append(box);
  });
  if (!state.log.length) cell.append(element("span", "empty", { class: "more" }));
}

function lastBefore(m, t) {
  let i = m.events.length - 1;
  while (i > 0 && m.events[i].t > t) i--;
  return i;
}

function detail(m) {
  const box = $("detail");
  box.replaceChildren();
  const e = m.events[view.cursor];
  if (!e) return void box.append(element("p", "Click on an event or an arrow, or step with ← and →."));
  box.append(element("h2", `${seconds(e.t)} s, ${e.node}`));
  box.append(element("p", `${e.kind}${e.target ? " " + e.target : ""}: ${visible(e.text)}`, { class: "words" }));
  const call = m.callOf.get(e.i);
  if (call) follow(m, box, call, e);
  const because = direct(m, e.i).filter((i) => i !== e.i).map((i) => m.events[i]);
  if (because.length) {
    box.append(element("h3", "What caused this"));
    const list = element("ol", undefined, { id: "causes" });
    for (const cause of because.sort((a, b) => b.i - a.i)) list.append(jump(cause, `${seconds(cause.t)} ${cause.node} ${line(m, cause)}`));
    box.append(list);
  }
}

// A call from its arguments to its end.
function follow(m, box, call, now) {
  box.append(element("h3", `RPC #${call.number} ${call.short}: ${call.from} → ${call.to}`));
  const list = element("ol", undefined, { id: "legs" });
  const leg = (e, words) => { if (e) { const item = jump(e, `${seconds(e.t)} ${words}`); if (e.i === now.i) item.className = "now"; list.append(item); } };
  leg(call.sent, `${call.lost ? "is lost: " : "leaves: "}${visible(call.args?.text ?? "")}`);
  call.arrived.forEach((e, copy) => leg(e, copy ? "arrives once more" : "arrives"));
  call.replied.forEach((e, copy) => leg(e, `${e.f.lost ? "reply is lost: " : "reply leaves: "}${visible(call.results[copy]?.text ?? "")}`));
  leg(call.ended, call.ended?.f.leg === "returns" ? "reply arrives" : "the caller learns that there is none");
  box.append(list);
}

function jump(e, text) {
  const item = element("li"), button = element("button", text, { class: "jump", "data-event": e.i });
  button.addEventListener("click", () => choose(e.i, true));
  item.append(button);
  return item;
}

// An event in one line.
function line(m, e) {
  const call = m.callOf.get(e.i);
  if (!call) return `${e.kind === "log" ? e.target : e.kind} ${visible(e.text)}`;
  const words = e.f.leg === "request" ? `→ ${call.to} ${visible(call.args?.text ?? "")}` : e.f.leg === "reply" ? `↩ ${call.from} ${visible(call.results.at(-1)?.text ?? "")}` : e.f.leg === "arrives" ? `← ${call.from}` : e.f.leg ?? "";
  return `${call.short} #${call.number} ${e.f.lost ? "LOST " : ""}${words}`;
}

// The events in the window that pass the filters.
function logs(m) {
  const list = $("logs"), rows = [];
  let left = 0;
  const begin = stage.first(m.events, view.from), end = stage.first(m.events, view.to) + 1;
  for (let i = begin; i < end; i++) {
    const e = m.events[i];
    if (e.t < view.from || e.t > view.to || !shown(e) || isMerged(m, e)) continue;
    if (rows.length < LISTED) rows.push(jump(e, `${seconds(e.t)} ${e.node} ${line(m, e)}`)); else left++;
    if (e.i === view.cursor && rows.length) rows.at(-1).className = "now";
  }
  list.replaceChildren(...rows);
  $("count").textContent = left ? `the first ${LISTED} of ${LISTED + left} in the window` : `${rows.length} in the window`;
}

// Arguments and replies stand with the request and the reply.
function isMerged(m, e) { return e.kind === "message" && (e.f.leg === "call" || e.f.leg === "result") && m.callOf.has(e.i); }
