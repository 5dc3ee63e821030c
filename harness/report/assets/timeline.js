// One timeline: what is shown of it, its tools and keys, and what stands at the cursor.

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function key(kind, text) {
  return element("span", { class: "key" }, element("i", { class: kind }), text);
}

class Timeline {
  constructor(host, number) {
    this.host = host;
    this.data = JSON.parse(host.querySelector("script.data").textContent);
    this.view = this.start();
    this.allPods = false;
    this.number = number;
    this.groups = new Map();
    this.charts = [];
    this.cursor = null;
    this.build();
    new ResizeObserver(() => this.fit()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  // The whole scenario, so that nothing is hidden at first.
  start() {
    return { from: this.data.from, to: this.data.to };
  }

  build() {
    const button = (text, title, act) => element("button", { type: "button", title, onclick: act }, text);
    const tools = [
      button("whole", "the whole scenario (0)", () => this.whole()),
      button("−", "zoom out (−)", () => this.scale(2)),
      button("+", "zoom in (+)", () => this.scale(0.5)),
      button("←", "earlier (shift ←)", () => this.pan(-0.4)),
      button("→", "later (shift →)", () => this.pan(0.4)),
    ];
    if (this.data.faults.length) tools.splice(1, 0, button("fault", "the time of the fault (f)", () => this.toFault()));
    if (this.data.moments.length) tools.splice(1, 0, button("broken promise", "the moment of the broken promise (b)", () => this.toMoment()));
    const quiet = this.data.pods.filter((pod) => !pod.changed).length;
    if (quiet) tools.push(this.podSwitch(quiet));
    this.readout = element("p", { class: "readout", "aria-live": "off" });
    this.lanes = svg("svg", { class: "lanes", role: "img", "aria-label": "Phases, faults, actions, Kubernetes events and pods over time" });
    this.panes = element("div", { class: "panes" });
    this.stage = element("div", {
      class: "stage", tabindex: "0", role: "group",
      "aria-label": "Timeline of " + this.host.dataset.name + ". Left and right move the cursor, with shift the view; plus and minus zoom, 0 shows the whole, f the fault, b the broken promise.",
      onkeydown: (event) => this.press(event),
    }, this.lanes, this.panes);
    this.lanes.addEventListener("pointermove", (event) => this.hover(event));
    this.lanes.addEventListener("click", (event) => this.hover(event));
    this.host.append(element("div", { class: "tools", role: "toolbar", "aria-label": "Zoom" }, ...tools), this.readout, this.stage);
    this.say(null);
    this.draw();
  }

  podSwitch(quiet) {
    const box = element("input", { type: "checkbox", onchange: (event) => { this.allPods = event.target.checked; this.redraw(); } });
    return element("label", { class: "switch" }, box, ` ${quiet} pods that never changed`);
  }

  area() {
    const width = Math.max(this.stage.clientWidth, 280);
    const narrow = width < 620;
    return { width, narrow, left: narrow ? 52 : 150, right: 10, id: this.number };
  }

  // Everything anew: other colours, width or groups.
  draw() {
    this.charts.forEach((chart) => chart.destroy());
    this.panes.replaceChildren();
    this.charts = [];
    const shared = {
      colours: palette(), area: this.area(), whole: () => this.whole(),
      zoom: (from, to) => this.zoom(from, to), point: (ms) => this.point(ms),
    };
    this.drawn = shared.area.width;
    this.data.clients.forEach((client, n) => {
      const group = client.groups[this.groups.get(client.name) ?? this.preferred(client)];
      this.panes.append(this.clientHead(client, group));
      const box = element("div", { class: "client" });
      this.panes.append(box);
      this.charts.push(...clientPanes(box, this.data, group, shared, n === this.data.clients.length - 1));
    });
    this.redraw();
  }

  // All operations, unless one group alone tells more: groups hide behind each other.
  preferred(client) {
    return 0;
  }

  clientHead(client, group) {
    const errors = largest([group.failed, group.unknown]) > 0;
    const head = element("div", { class: "client-head" }, element("strong", {}, client.name));
    if (client.groups.length > 1) {
      const choose = element("select", { "aria-label": "Which operations of " + client.name, onchange: (event) => { this.groups.set(client.name, +event.target.value); this.draw(); } });
      client.groups.forEach((one, n) => {
        const option = element("option", { value: n }, one.name ?? "all operations");
        option.selected = one === group;
        choose.append(option);
      });
      head.append(choose);
    }
    head.append(key("ok", "succeeded/s"));
    head.append(...(errors ? [key("failed", "refused/s"), key("unknown", "unknown/s")] : [element("span", { class: "key" }, "no errors")]));
    head.append(key("p50", "p50"), key("p95", "p95"), key("p99", "p99"));
    return head;
  }

  // The same at another zoom.
  redraw() {
    const area = this.area();
    drawLanes(this.lanes, this.data, this.view, area, this.allPods);
    for (const chart of this.charts) chart.setScale("x", { min: this.view.from / 1000, max: this.view.to / 1000 });
    this.mark();
  }

  fit() {
    if (this.area().width !== this.drawn) this.draw();
  }

  zoom(from, to) {
    const { data } = this;
    const length = Math.min(Math.max(to - from, 2000), data.to - data.from);
    const start = Math.min(Math.max(from, data.from), data.to - length);
    this.view = { from: start, to: start + length };
    this.redraw();
  }

  scale(factor) {
    const { from, to } = this.view;
    const inside = this.cursor !== null && this.cursor > from && this.cursor < to;
    const middle = inside ? this.cursor : (from + to) / 2;
    this.zoom(middle - (middle - from) * factor, middle + (to - middle) * factor);
  }

  pan(share) {
    const by = (this.view.to - this.view.from) * share;
    this.zoom(this.view.from + by, this.view.to + by);
  }

  whole() { this.zoom(this.data.from, this.data.to); }

  toFault() {
    const from = Math.min(...this.data.faults.map((fault) => fault.from));
    const to = Math.max(...this.data.faults.map((fault) => fault.to));
    const room = (to - from) * 0.15 + 1000;
    this.zoom(from - room, to + room);
  }

  toMoment() {
    const at = (this.data.moments.find((one) => one.exact) ?? this.data.moments[0]).at;
    this.zoom(at - 10000, at + 10000);
    this.point(at);
  }

  press(event) {
    if (event.target !== this.stage || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = (this.view.to - this.view.from) / 60;
    const act = {
      ArrowLeft: () => (event.shiftKey ? this.pan(-0.4) : this.point((this.cursor ?? this.view.from) - step)),
      ArrowRight: () => (event.shiftKey ? this.pan(0.4) : this.point((this.cursor ?? this.view.from) + step)),
      "+": () => this.scale(0.5), "=": () => this.scale(0.5), "-": () => this.scale(2), "0": () => this.whole(),
      f: () => this.data.faults.length && this.toFault(), b: () => this.data.moments.length && this.toMoment(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  hover(event) {
    const area = this.area();
    const box = this.lanes.getBoundingClientRect();
    const share = (event.clientX - box.left - area.left) / (area.width - area.left - area.right);
    if (share >= 0 && share <= 1) this.point(this.view.from + share * (this.view.to - this.view.from));
  }

  point(ms) {
    this.cursor = Math.min(Math.max(ms, this.data.from), this.data.to);
    this.mark();
    this.say(this.cursor);
  }

  mark() {
    if (this.cursor === null) return;
    const area = this.area();
    const share = (this.cursor - this.view.from) / (this.view.to - this.view.from);
    const inside = share >= 0 && share <= 1;
    const at = inside ? area.left + share * (area.width - area.left - area.right) : -9;
    const line = this.lanes.querySelector(".cursor-line");
    line.setAttribute("x1", at);
    line.setAttribute("x2", at);
    for (const chart of this.charts) {
      const left = inside ? chart.valToPos(this.cursor / 1000, "x") : -10;
      chart.setCursor({ left, top: inside ? 5 : -10 }, false);
    }
  }

  say(ms) {
    if (ms === null) {
      this.readout.textContent = "Times count from " + (this.data.faults.length ? "the first fault" : "the start") + ". Point at a time to read it; drag over the charts to zoom.";
      return;
    }
    const clock = new Date(this.data.zero_ms + ms).toISOString().slice(11, 21);
    const parts = [element("strong", {}, offset(ms)), ` ${clock} UTC `];
    for (const client of this.data.clients) {
      const group = client.groups[this.groups.get(client.name) ?? this.preferred(client)];
      const n = Math.floor(ms / 1000 - this.data.seconds[0]);
      if (group.ok[n] === null || group.ok[n] === undefined) continue;
      const latency = group.p99[n] === null ? "" : `, p99 ${compact(group.p99[n])} ms`;
      const errors = group.failed[n] + group.unknown[n];
      parts.push(element("span", { class: "value" }, `${client.name} ${group.ok[n]}/s, ${errors} errors${latency}`));
    }
    const down = this.data.pods.flatMap((pod) => pod.spans.filter((s) => s.from <= ms && ms < s.to && !["ready", "gone", "succeeded"].includes(s.state)).map((s) => `${pod.name} ${s.title}`));
    if (down.length) parts.push(element("span", { class: "value" }, down.slice(0, 3).join(", ") + (down.length > 3 ? ` and ${down.length - 3} more` : "")));
    const reach = (this.view.to - this.view.from) / 120;
    const near = [...this.data.moments.map((m) => ({ at: m.at, text: (m.exact ? "broken: " : "found broken: ") + m.text })), ...this.data.actions, ...this.data.events].filter((tick) => Math.abs(tick.at - ms) <= reach);
    for (const tick of near.slice(0, 3)) parts.push(element("span", { class: "value" }, `${offset(tick.at)} ${tick.text}`));
    this.readout.replaceChildren(...parts);
  }
}
