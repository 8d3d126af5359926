// The panel: what is selected, in words, with long texts as chips and their differences marked.

const plural = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
const link = (op, text) => el("a", { href: `#op=${op}`, "data-op": op }, text);

function describe() {
  const detail = $("detail");
  if (V.fault) detail.replaceChildren(...aboutFault(V.fault));
  else if (V.selected >= 0) detail.replaceChildren(...aboutOperation(V.selected));
  else detail.replaceChildren(...aboutKey(errorKey()));
  describeSteps();
}

function aboutKey(key) {
  if (!key) return [el("p", {}, `${plural(D.n, "operation")} by ${plural(D.clients.length, "client")}. Click one to see it in full.`)];
  const count = V.errors.length > 1 ? ` (${V.error + 1} of ${V.errors.length})` : "";
  const name = key.name ? `key ${quote(cut(key.name, 40))}` : "the history";
  if (key.status === UNKNOWN) {
    const why = key.reached === null ? "" : ` The limit on ${key.limit} was reached after ${plural(key.states, "state")}.`;
    return [el("h2", {}, `Unknown: ${name}${count}`),
      el("p", {}, `It is not known whether an order exists.${why} The hatched part is undecided; nothing in it is an error that was found.`)];
  }
  return [
    el("h2", {}, `Why: ${name} – ${key.kind}${count}`),
    // The banner says it already of the first one.
    V.error > 0 || D.verdict !== BAD ? el("p", {}, visible(key.sentence)) : null,
    el("p", {}, ...key.witness.flatMap((op, number) => [number ? " · " : "", link(op, `${"①②③④⑤⑥⑦⑧⑨"[number] || number + 1} #${op}`)])),
    el("p", { class: "key" }, key.minimal
      ? "None of these can be left out: without any one of them, an order exists."
      : "This is not known to be the smallest set of operations that shows the error."),
    ...comparison(key),
  ].filter((part) => part);
}

// What two reads of the witness saw, side by side, if there are two.
function comparison(key) {
  const reads = key.witness.filter((op) => D.known[op] && D.result[op] >= 0);
  if (reads.length < 2) return [];
  const [one, other] = reads.slice(-2);
  // Answers of different operations have nothing in common to be compared.
  if (D.name[one] !== D.name[other]) {
    return [el("h2", {}, "What they imply"), facts(reads.slice(-2).map((op) => [`#${op}`, implied(op) || words(op, 60)]))];
  }
  return [
    el("h2", {}, "What they saw"),
    el("p", { class: "key" }, `− only client ${D.clients[D.client[one]]} (#${one}), + only client ${D.clients[D.client[other]]} (#${other})`),
    difference(D.texts.text(D.result[one]), D.texts.text(D.result[other]), key),
  ];
}

// What the answer of a compare-and-swap says of the register.
function implied(op) {
  const { texts } = D, name = D.names[D.name[op]].text;
  const values = name === "CompareAndSwap" && D.argument[op] >= 0 && /^(.*) to (.*)$/s.exec(texts.text(D.argument[op]));
  if (!values) return name === "Read" ? `the register held ${cut(texts.text(D.result[op]), 60)}` : null;
  const [from, to] = values.slice(1).map((value) => cut(value, 60));
  return texts.text(D.result[op]) === "swapped" ? `the register held ${from}, then ${to}` : `the register did not hold ${from}`;
}

function facts(pairs) {
  return el("dl", {}, ...pairs.filter(([, value]) => value !== null).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function aboutOperation(op) {
  const key = D.keys[D.key[op]], texts = D.texts;
  const end = D.end[op], window = resolution() * 200;
  return [
    el("h2", {}, `#${op} ${visible(D.names[D.name[op]].text)} by client ${D.clients[D.client[op]]}`),
    facts([
      ["key", key.name ? visible(key.name) : null],
      ["called", moment(D.call[op], window)],
      ["returned", end === Infinity ? "never: it may have taken effect at any time since, or not at all" : `${moment(end, window)} (after ${span(end - D.call[op])})`],
      ["argument", D.argument[op] < 0 ? null : chips(texts.text(D.argument[op]), key)],
      ["result", D.result[op] < 0 ? null : chips(texts.text(D.result[op]), key)],
      ["order", place(op, key)],
    ]),
    el("p", {}, D.place[op] >= 0 ? el("button", { onclick: () => stepTo(key, D.place[op] + 1) }, "state after it") : null, " ",
      el("button", { onclick: () => select(-1) }, "close")),
  ];
}

function place(op, key) {
  if (key.steps === null) return null;
  if (D.place[op] >= 0) return `${D.place[op] + 1} of ${key.steps}; the dark line is a moment at which it can have taken effect`;
  return D.end[op] === Infinity ? "it need not have taken effect" : "behind the place where the order gets stuck";
}

function aboutFault(fault) {
  const during = [];
  if (!D.complete) afterReading(() => fault === V.fault && describe());
  for (const row of V.rows) for (const op of row.ops || []) {
    if (D.call[op] <= fault.to && D.end[op] >= fault.from) during.push(op);
  }
  during.sort((a, b) => a - b);
  const lasted = fault.to === Infinity ? "to the end" : fault.to === fault.from ? "a moment" : span(fault.to - fault.from);
  const rest = during.length - 100;
  return [
    el("h2", {}, visible(fault.label)),
    facts([
      ["sort", visible(fault.group.name)],
      ["at", moment(fault.from, 1e5)],
      ["lasted", lasted],
      ["concerned", fault.targets.length ? visible(fault.targets.join(", ")) : null],
    ]),
    el("h2", {}, `In flight, of what is shown: ${during.length}`),
    el("ul", { class: "reasons" }, ...during.slice(0, 100).map((op) =>
      el("p", {}, link(op, `#${op}`), ` client ${D.clients[D.client[op]]}: ${words(op, 40)}`))),
    rest > 0 ? el("p", { class: "key" }, `and ${rest} more`) : null,
    el("button", { onclick: () => { V.fault = null; describe(); changed(); } }, "close"),
  ].filter((part) => part);
}

// Long texts in pieces: a list of appends is cut where the appends meet.

function pieces(text, key) {
  if (!key.written) key.written = new Written(opsOf(key));
  const list = [];
  let loose = 0;
  for (let at = 0; at < text.length;) {
    const size = key.written.at(text, at);
    if (!size) {
      at++;
      continue;
    }
    if (loose < at) list.push(...loosePieces(text.slice(loose, at)));
    list.push(text.slice(at, at + size));
    loose = at += size;
  }
  if (loose < text.length) list.push(...loosePieces(text.slice(loose)));
  return list;
}

// What nobody wrote as it stands, for example the printed state of a queue: word by word.
const loosePieces = (text) => text.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]+/gu) || [text];

const chip = (text, kind = "") => el("span", { class: `chip ${kind}` }, cut(text, 200));
const skipped = (count) => el("span", { class: "chip skip" }, `… ${count.toLocaleString("en")} alike …`);

// A text as chips; of many the first and the last.
function chips(text, key) {
  if (text === "") return el("span", { class: "key" }, "empty");
  const list = pieces(text, key);
  const box = el("div", { class: "chips" });
  if (list.length <= 24) box.append(...list.map((piece) => chip(piece)));
  else {
    box.append(...list.slice(0, 6).map((piece) => chip(piece)),
      el("span", { class: "chip skip" }, `… ${(list.length - 18).toLocaleString("en")} more …`),
      ...list.slice(-12).map((piece) => chip(piece)));
  }
  return box;
}

// Where two texts differ: what both begin and end with is left out but for the last few pieces.
function difference(expected, observed, key) {
  const a = pieces(expected, key), b = pieces(observed, key);
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const box = el("div", { class: "chips" });
  if (head > 3) box.append(skipped(head - 3));
  box.append(...a.slice(Math.max(0, head - 3), head).map((piece) => chip(piece)));
  for (const [list, kind] of [[a, "minus"], [b, "plus"]]) {
    const differing = list.slice(head, list.length - tail);
    box.append(...differing.slice(0, 12).map((piece) => chip(piece, kind)));
    if (differing.length > 12) box.append(el("span", { class: "chip skip" }, `and ${differing.length - 12} more`));
  }
  box.append(...a.slice(a.length - tail, a.length - tail + 3).map((piece) => chip(piece)));
  if (tail > 3) box.append(skipped(tail - 3));
  if (!a.length && !b.length) box.append(el("span", { class: "key" }, "both empty"));
  return box;
}
