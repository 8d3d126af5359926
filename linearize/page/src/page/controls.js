// Mouse, touch, keys and the tools above the timeline.

function listenToPointer() {
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag = { x: event.clientX, y: event.clientY, left: V.left, right: V.right, scroll: V.scroll, moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    if (!drag) return hover(event.clientX - box.left, event.clientY - box.top);
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (!drag.moved && Math.hypot(dx, dy) < 4) return undefined;
    drag.moved = true;
    canvas.classList.add("dragging");
    hideTip();
    scrollLanes(drag.scroll - dy - V.scroll);
    const by = dx / scale();
    return show(drag.left - by, drag.right - by);
  });
  canvas.addEventListener("pointerup", (event) => {
    const box = canvas.getBoundingClientRect();
    if (drag && !drag.moved) clicked(event.clientX - box.left, event.clientY - box.top);
    drag = null;
    canvas.classList.remove("dragging");
  });
  canvas.addEventListener("pointerleave", () => {
    V.hover = -1;
    hideTip();
    changed();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 30 : 1;
    if (event.shiftKey) pan((event.deltaY || event.deltaX) * unit / 1000);
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(event.deltaX * unit / stage.width);
    else if (event.altKey || event.clientX - canvas.getBoundingClientRect().left < GUTTER) scrollLanes(event.deltaY * unit);
    else zoom(Math.exp(Math.max(-300, Math.min(300, event.deltaY * unit)) / 500), unitAt(event.clientX - canvas.getBoundingClientRect().left));
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => zoom(0.4, unitAt(event.clientX - canvas.getBoundingClientRect().left)));
  listenToOverview();
}

function listenToOverview() {
  const jump = (event) => {
    if (!(event.buttons & 1)) return;
    const box = overview.getBoundingClientRect();
    const middle = start() + ((event.clientX - box.left) / box.width) * (finish() - start());
    const half = (V.right - V.left) / 2;
    show(middle - half, middle + half);
  };
  overview.addEventListener("pointerdown", (event) => {
    overview.setPointerCapture(event.pointerId);
    jump(event);
  });
  overview.addEventListener("pointermove", jump);
}

function scrollLanes(by) {
  const most = Math.max(0, V.rows.length * ROW - laneHeight());
  V.scroll = Math.max(0, Math.min(most, V.scroll + by));
  changed();
}

function clicked(x, y) {
  canvas.focus();
  const fault = faultAt(x, y);
  if (fault) {
    V.fault = fault === V.fault ? null : fault;
    V.selected = -1;
    describe();
    changed();
    return;
  }
  V.fault = null;
  select(operationAt(x, y));
}

function hover(x, y) {
  const op = operationAt(x, y);
  const fault = op < 0 ? faultAt(x, y) : null;
  if (op !== V.hover) changed();
  V.hover = op;
  canvas.style.cursor = op >= 0 || fault ? "pointer" : "";
  if (op < 0 && !fault) return hideTip();
  const end = op >= 0 ? D.end[op] : fault.to;
  const from = op >= 0 ? D.call[op] : fault.from;
  const head = op >= 0
    ? `#${op} client ${D.clients[D.client[op]]}${D.keys[D.key[op]].name ? `, key ${cut(D.keys[D.key[op]].name, 30)}` : ""}\n${words(op, 160)}`
    : `${visible(fault.group.name)}: ${visible(fault.label)}\n${visible(fault.targets.join(", "))}`;
  const tip = $("tip");
  tip.textContent = `${head}\n${moment(from, 1e5)}${end === Infinity ? ", never ended" : ` + ${span(end - from)}`}`;
  tip.hidden = false;
  tip.style.left = `${Math.max(4, Math.min(x + 14, stage.width - tip.offsetWidth - 6))}px`;
  tip.style.top = `${y + 18 + tip.offsetHeight > stage.height ? Math.max(2, y - tip.offsetHeight - 10) : y + 18}px`;
  return undefined;
}

function hideTip() {
  $("tip").hidden = true;
}

const KEYS = [
  [["n", "p"], "next, previous error", () => goToError(V.error + 1), () => goToError(V.error - 1)],
  [["ArrowRight", "ArrowLeft"], "move along", () => pan(0.2), () => pan(-0.2)],
  [["ArrowDown", "ArrowUp"], "scroll the lanes", () => scrollLanes(ROW * 3), () => scrollLanes(-ROW * 3)],
  [["PageDown", "PageUp"], "a window along", () => pan(0.9), () => pan(-0.9)],
  [["Home", "End"], "to the beginning, to the end", () => show(start(), start() + V.right - V.left), () => show(finish() - V.right + V.left, finish())],
  [["+", "-"], "zoom in, out", () => zoom(0.7), () => zoom(1 / 0.7)],
  [["0"], "show everything", () => show(start(), finish())],
  [["t"], "time to scale, or order only", () => setAxis(V.axis === "time" ? "rank" : "time")],
  [["/"], "search", () => $("search").focus()],
  [[".", ","], "one step on, back in the order", () => stepBy(1), () => stepBy(-1)],
  [[" "], "play the order", () => play()],
  [["d"], "light or dark", () => toggleTheme()],
  [["Escape"], "deselect", () => { stopSteps(); hideTip(); select(-1); }],
  [["?"], "this list", () => $("keys").showModal()],
];

function stepBy(by) {
  stepTo(stepKey(), (V.step ? V.step.at : 0) + by);
}

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
      if (event.key === "Escape") canvas.focus();
      return;
    }
    if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
    const key = event.key === "=" ? "+" : event.key;
    for (const [names, , ...actions] of KEYS) {
      const place = names.indexOf(key);
      if (place < 0) continue;
      event.preventDefault();
      actions[place]();
      return;
    }
  });
  const shown = { " ": "space", ArrowRight: "→", ArrowLeft: "←", ArrowDown: "↓", ArrowUp: "↑" };
  $("keys").append(
    facts(KEYS.map(([names, meaning]) => [el("span", {}, ...names.flatMap((name) => [el("kbd", {}, shown[name] || name), " "])), meaning])),
    el("p", { class: "key" }, "Wheel zooms, shift and wheel moves along, drag moves, a click selects."),
    el("button", { onclick: () => $("keys").close() }, "close"));
}

function fillTools() {
  const option = (value, text) => el("option", { value }, text);
  const marks = { [GOOD]: "✓", [BAD]: "✗", [UNKNOWN]: "?" };
  $("key").append(option("", `all ${D.keys.length}`), ...D.sorted.map((key) => option(key.index, `${marks[key.status]} ${cut(key.name, 30) || "–"}`)));
  $("client").append(option("", "all"), ...D.clients.map((client, index) => [client, index]).sort((a, b) => a[0] - b[0]).map(([client, index]) => option(index, client)));
  $("name").append(option("", "all"), ...D.names.map((name, index) => option(index, cut(name.text, 30))));
  for (const filter of ["key", "client", "name"]) {
    $(filter).onchange = () => setFilter({ [filter]: $(filter).value === "" ? null : Number($(filter).value) });
  }
  $("search").oninput = () => setFilter({ text: $("search").value.startsWith("#") ? "" : $("search").value });
  $("search").onkeydown = (event) => {
    const wanted = /^#(\d+)$/.exec($("search").value);
    if (event.key === "Enter" && wanted && Number(wanted[1]) < D.n) select(Number(wanted[1]), true);
    else if (event.key === "Enter") nextMatch();
  };
  $("from").onchange = () => setFilter({ from: parseMoment($("from").value) ?? -Infinity });
  $("to").onchange = () => setFilter({ to: parseMoment($("to").value) ?? Infinity });
  $("overlap").onchange = () => setFilter({ overlap: $("overlap").checked });
  const buttons = {
    axis: () => setAxis(V.axis === "time" ? "rank" : "time"), "zoom-in": () => zoom(0.6), "zoom-out": () => zoom(1 / 0.6),
    fit: () => show(start(), finish()), next: () => goToError(V.error + 1), previous: () => goToError(V.error - 1),
    more: () => $("more").setAttribute("aria-expanded", $("tools").classList.toggle("open")), svg: saveSvg, png: savePng, theme: toggleTheme, help: () => $("keys").showModal(),
  };
  for (const [id, action] of Object.entries(buttons)) $(id).onclick = action;
  $("next").disabled = $("previous").disabled = !V.errors.length;
  $("overlap-label").hidden = !V.errors.length;
  // Nothing was found to be an error there.
  if (V.errors.length && V.errors[0].status === UNKNOWN) {
    for (const [id, text, title] of [["next", "undecided ›", "Next undecided key (n)"], ["previous", "‹ undecided", "Previous undecided key (p)"]]) {
      $(id).textContent = text;
      $(id).title = title;
      $(id).setAttribute("aria-label", title);
    }
  }
  fillLegend();
}

function fillLegend() {
  const swatch = (color) => {
    const box = el("span", { class: "swatch" });
    box.style.background = color;
    return box;
  };
  const shown = D.names.filter((name) => name.color < 5).slice(0, 8);
  const entries = shown.map((name) => el("span", {}, swatch(palette.kinds[name.color]), cut(name.text, 20)));
  if (D.keys.some((key) => key.steps !== null)) entries.push(el("span", {}, "┃ a moment at which it can have taken effect"));
  if (D.keys.some((key) => key.status === BAD)) entries.push(el("span", {}, swatch(palette.bad), "①② the witness, ┄ what it saw, ⇢ how long before"));
  if (D.keys.some((key) => key.status === UNKNOWN)) entries.push(el("span", {}, swatch(palette.unknown), "▨ undecided"));
  for (const group of D.groups) {
    const button = el("button", { "aria-pressed": !group.hidden, title: "Hide or show" }, swatch(groupColor(group)), cut(group.name, 30));
    button.onclick = () => {
      group.hidden = !group.hidden;
      paintOverviewLater();
      fillLegend();
      changed();
    };
    entries.push(button);
  }
  $("legend").replaceChildren(...entries);
}

function setFilter(change) {
  Object.assign(V, change);
  if (!D.complete && filtered()) return afterReading(() => setFilter({}));
  layOut();
  scrollLanes(0);
  return describeSteps();
}

function syncFilters() {
  for (const filter of ["key", "client", "name"]) $(filter).value = V[filter] === null ? "" : V[filter];
  $("search").value = V.text;
  $("overlap").checked = V.overlap;
  for (const end of ["from", "to"]) $(end).value = Number.isFinite(V[end]) ? moment(V[end], 1e3) : "";
}

// The next operation, among those shown, behind the one that is selected or the middle of the window.
function nextMatch() {
  if (!D.complete) return afterReading(nextMatch);
  let best = -1;
  const after = V.selected >= 0 ? V.selected : firstAbove(D.n, (i) => D.call[i], toTime((V.left + V.right) / 2)) - 1;
  let first = -1;
  for (const row of V.rows) for (const op of row.ops || []) {
    if (op > after && (best < 0 || op < best)) best = op;
    if (first < 0 || op < first) first = op;
  }
  return select(best >= 0 ? best : first, true);
}

function toggleTheme() {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  readPalette();
  fillLegend();
  paintOverviewLater();
  changed();
}
