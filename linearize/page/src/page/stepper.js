// The order, step by step, with the state after each; and where it gets stuck, what else was tried.

// States are not stored: each step says what it does to the text. One in 256 is kept on the way.
const EVERY = 256;

function stateAt(key, at) {
  if (!key.kept) key.kept = [key.initial];
  let from = Math.min(Math.floor(at / EVERY), key.kept.length - 1);
  let text = key.kept[from];
  // The stepper mostly goes to the next step.
  if (key.last && key.last.at <= at && key.last.at > from * EVERY) [from, text] = [key.last.at, key.last.text];
  else from *= EVERY;
  for (let place = from; place < at; place++) {
    text = edited(text, orderOf(key)[place]);
    if ((place + 1) % EVERY === 0) key.kept[(place + 1) / EVERY] = text;
  }
  key.last = { at, text };
  return text;
}

// 0: unchanged, 1: replaced by the argument, 2: the argument added, 4: not recorded.
function edited(text, op) {
  const edit = D.edit[op];
  if (edit === 0 || text === null) return text;
  if (edit === 1) return D.texts.text(D.argument[op]);
  if (edit === 2) return text + D.texts.text(D.argument[op]);
  if (edit === 4) return null;
  const splice = D.splices.get(op);
  return text.slice(0, splice.head) + D.texts.text(splice.text) + text.slice(text.length - splice.tail);
}

function stepKey() {
  if (V.step) return V.step.key;
  if (V.selected >= 0) return D.keys[D.key[V.selected]];
  if (V.key !== null) return D.keys[V.key];
  return errorKey() || D.sorted[0];
}

function stepTo(key, at) {
  if (!key || key.steps === null) return;
  if (!D.complete) return afterReading(() => stepTo(key, at));
  at = Math.max(0, Math.min(at, key.steps));
  V.step = { key, at };
  const op = orderOf(key)[at > 0 ? at - 1 : 0];
  // Follow the step with the window, as it is, if it has left it.
  if (op !== undefined) {
    const unit = V.unit.point[op];
    if (rowOf(op) < 0) {
      V.key = key.index;
      layOut();
      syncFilters();
    }
    const width = V.right - V.left;
    if (unit < V.left + width * 0.05 || unit > V.right - width * 0.05) show(unit - width / 2, unit + width / 2);
    scrollTo(rowOf(op));
  }
  describeSteps();
  changed();
}

let playing = 0;
function play() {
  if (playing) {
    clearInterval(playing);
    playing = 0;
  } else {
    const key = stepKey();
    if (!key || key.steps === null) return;
    if (!D.complete) return afterReading(play);
    if (!V.step || V.step.at >= key.steps) stepTo(key, 0);
    playing = setInterval(() => {
      stepTo(V.step.key, V.step.at + 1);
      if (V.step.at >= V.step.key.steps) play();
    }, 400);
  }
  describeSteps();
}

function stopSteps() {
  if (playing) play();
  V.step = null;
  describeSteps();
  changed();
}

function describeSteps() {
  const key = stepKey();
  const box = $("steps");
  if (!key || key.steps === null) {
    box.replaceChildren();
    return;
  }
  const n = key.steps, at = V.step ? V.step.at : -1;
  const slider = el("input", { type: "range", min: 0, max: n, value: Math.max(at, 0), "aria-label": "Step" });
  slider.oninput = () => stepTo(key, Number(slider.value));
  const heading = key.status === GOOD ? "An order that fits" : "The longest order that fits";
  const parts = [
    el("h2", {}, key.name ? `${heading}: key ${quote(cut(key.name, 30))}` : heading),
    el("div", { class: "player" },
      el("button", { title: "One back ( , )", "aria-label": "One step back", onclick: () => stepTo(key, at - 1) }, "‹"),
      el("button", { id: "play", title: "Play (space)", onclick: play }, playing ? "pause" : "play"),
      el("button", { title: "One on ( . )", "aria-label": "One step on", onclick: () => stepTo(key, at + 1) }, "›"),
      slider,
      el("span", { class: "key" }, at < 0 ? plural(n, "step") : `${at} / ${n}`),
      key.stuck !== null && at !== n ? el("button", { onclick: () => { stepTo(key, n); $("steps").scrollIntoView(); } }, "to where it sticks") : null,
      V.step ? el("button", { title: "End stepping", onclick: stopSteps }, "×") : null),
  ];
  if (at >= 0) parts.push(...aboutStep(key, at));
  if (key.stuck !== null && (at === n || at < 0)) parts.push(...aboutStuck(key, at < 0));
  // The slider must live on while it is dragged.
  const old = box.querySelector("input[type=range]");
  if (old && document.activeElement === old && Number(old.max) === n) {
    parts[1].replaceChild(old, slider);
    old.value = Math.max(at, 0);
  }
  box.replaceChildren(...parts);
}

function aboutStep(key, at) {
  const state = stateAt(key, at);
  const op = at > 0 ? orderOf(key)[at - 1] : -1;
  return [
    el("p", {}, ...(op < 0 ? ["At first:"] : [link(op, `#${op}`), ` client ${D.clients[D.client[op]]}: ${words(op, 60)}`])),
    facts([["state", state === null ? "not recorded: the states of this history are too long" : chips(state, key)]]),
  ];
}

// What could come next, and why it does not help.
function aboutStuck(key, briefly) {
  const name = (op) => (D.known[op] ? `client ${D.clients[D.client[op]]}: ${words(op, 40)}` : "");
  const list = key.alternatives.map((other) => {
    const reason = !other.legal ? "It cannot have returned that here." : `Possible, but then #${key.stuck} cannot have returned what it did.`;
    const seen = other.observed === null ? null : D.texts.text(other.observed);
    const wanted = other.expected === null ? null : D.texts.text(other.expected);
    return el("li", { class: other.legal ? "legal" : "" },
      link(other.op, `#${other.op}`), ` ${name(other.op)}`, el("p", {}, reason),
      seen !== null && wanted !== null
        ? el("div", {}, el("span", { class: "key" }, "− expected, + observed"), difference(wanted, seen, key))
        : other.state === null ? null : facts([["state", chips(D.texts.text(other.state), key)], ["observed", seen === null ? null : chips(seen, key)]]));
  });
  return [
    el("h2", {}, "Where every order gets stuck"),
    el("p", {}, `Everything that had returned before #${key.stuck} did can be put in order; its return cannot be explained. `,
      briefly ? "After the order above, what could come next:" : "What could come next:"),
    el("ul", { class: "reasons" }, ...list),
    el("p", { class: "key" }, "Other orders of the same operations fail as well: the checker has excluded them all."),
  ];
}
