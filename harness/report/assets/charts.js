// Charts of one client: throughput, errors, latency; each a uPlot on the shared axis of seconds.

function palette() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return {
    ink: of("--ink"), dim: of("--dim"), line: of("--line"), grid: of("--grid"),
    ok: of("--ok"), okFill: of("--ok-fill"), failed: of("--failed"), unknown: of("--unknown"),
    p50: of("--p50"), p95: of("--p95"), p99: of("--p99"), fault: of("--fault-fill"), moment: of("--failed"),
  };
}

// What lies behind and over every chart: fault windows and moments of broken promises.
function overlays(data, colours) {
  const behind = (u) => {
    const { left, top, width, height } = u.bbox;
    u.ctx.save();
    u.ctx.beginPath();
    u.ctx.rect(left, top, width, height);
    u.ctx.clip();
    u.ctx.fillStyle = colours.fault;
    for (const fault of data.faults) {
      const from = u.valToPos(fault.from / 1000, "x", true);
      u.ctx.fillRect(from, top, u.valToPos(fault.to / 1000, "x", true) - from, height);
    }
    u.ctx.restore();
  };
  const over = (u) => {
    const { left, top, width, height } = u.bbox;
    u.ctx.save();
    u.ctx.fillStyle = colours.moment;
    for (const moment of data.moments.filter((one) => one.exact)) {
      const at = u.valToPos(moment.at / 1000, "x", true);
      if (at >= left && at <= left + width) u.ctx.fillRect(at - devicePixelRatio, top, 2 * devicePixelRatio, height);
    }
    u.ctx.restore();
  };
  return { behind, over };
}

function largest(lists) {
  let most = 0;
  for (const list of lists) for (const value of list) if (value > most) most = value;
  return most;
}

function compact(value) {
  if (value >= 10000) return Math.round(value / 1000) + "k";
  return String(+value.toPrecision(3));
}

const decades = (u, list) => list.map((value) => ([0.1, 1, 10, 100, 1000, 10000, 100000].includes(value) ? value : null));

// One pane. `spec`: series with their colours, the unit, the height, whether the scale is logarithmic.
function pane(host, data, spec, shared) {
  const { colours, area } = shared;
  const over = overlays(data, colours);
  const font = "11px system-ui, sans-serif";
  const range = spec.log
    ? (u, min, max) => [Math.max(Math.min(min || 1, 1), 0.1), Math.max(max || 10, 10) * 1.2]
    : (u, min, max) => [0, Math.max(max || 0, 1) * 1.1];
  // Shown without words rather than hidden: after a hidden axis the library draws none of the others.
  const x = {
    stroke: colours.dim, font, size: spec.ticks ? 26 : 0, gap: 2,
    grid: { stroke: colours.grid, width: 1 }, ticks: { stroke: colours.grid, size: 4, show: Boolean(spec.ticks) },
    values: (u, list) => list.map((value) => !spec.ticks ? "" : (value > 0 ? "+" : value < 0 ? "−" : "") + compact(Math.abs(value)) + " s"),
  };
  const y = {
    stroke: colours.dim, font, size: area.left, gap: 4, space: spec.log ? 18 : 24,
    grid: { stroke: colours.grid, width: 1, ...(spec.log && { filter: decades }) }, ticks: { show: false },
    values: (u, list) => list.map((value) => (value === null ? "" : compact(value) + (spec.suffix || ""))),
  };
  if (spec.log) y.filter = decades;
  const options = {
    width: area.width, height: spec.height + (spec.ticks ? 26 : 0), padding: [6, area.right, spec.ticks ? 0 : 6, 0],
    legend: { show: false },
    cursor: {
      y: false, points: { show: false }, drag: { x: true, y: false, setScale: false },
      bind: { dblclick: () => () => shared.whole() },
    },
    scales: { x: { time: false }, y: spec.log ? { distr: 3, range } : { range } },
    axes: [x, y],
    series: [{}, ...spec.series.map((one) => ({
      stroke: one.colour, fill: one.fill, width: one.width ?? 1.5, points: { show: false },
      paths: one.bars ? uPlot.paths.bars({ size: [0.9, 14], align: 1 }) : undefined, spanGaps: false,
    }))],
    hooks: {
      drawClear: [over.behind],
      draw: [over.over],
      setSelect: [(u) => {
        if (u.select.width < 5) return;
        const from = u.posToVal(u.select.left, "x");
        const to = u.posToVal(u.select.left + u.select.width, "x");
        u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        shared.zoom(from * 1000, to * 1000);
      }],
      setCursor: [(u) => {
        if (u.cursor.left >= 0) shared.point(u.posToVal(u.cursor.left, "x") * 1000);
      }],
    },
  };
  return new uPlot(options, [data.seconds, ...spec.series.map((one) => one.values)], host);
}

function sum(a, b) {
  return a.map((value, n) => (value === null && b[n] === null ? null : (value || 0) + (b[n] || 0)));
}

// All panes of one client, for the group that is chosen. Returns the charts.
function clientPanes(host, data, group, shared, last) {
  const c = shared.colours;
  const errors = sum(group.failed, group.unknown);
  const hasErrors = largest([errors]) > 0;
  const specs = [{ height: 78, series: [{ values: group.ok, colour: c.ok, fill: c.okFill }] }];
  if (hasErrors) {
    specs.push({
      height: 50,
      series: [{ values: errors, colour: c.unknown, fill: c.unknown, bars: true, width: 0 }, { values: group.failed, colour: c.failed, fill: c.failed, bars: true, width: 0 }],
    });
  }
  specs.push({
    height: 78, log: true, suffix: " ms", ticks: last,
    series: [{ values: group.p99, colour: c.p99, width: 1 }, { values: group.p95, colour: c.p95, width: 1 }, { values: group.p50, colour: c.p50 }],
  });
  return specs.map((spec) => pane(host, data, spec, shared));
}
