"use strict";
// The lanes above the charts: phases, faults, our actions, Kubernetes events, pods. One SVG on the time axis of the charts.

const SVG = "http://www.w3.org/2000/svg";
const LANE = { height: 20, gap: 4, pod: 15, label: 11 };

function svg(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  if (parent) parent.append(element);
  return element;
}

function titled(element, text) {
  svg("title", {}, element).textContent = text;
  return element;
}

function offset(ms) {
  return (ms < 0 ? "−" : "+") + (Math.abs(ms) / 1000).toFixed(1) + " s";
}

// Draws into `root` what `view` (milliseconds) shows of `data`. `area` has the width, the left gutter and the right pad.
function drawLanes(root, data, view, area, allPods) {
  root.replaceChildren();
  const inner = area.width - area.left - area.right;
  const x = (ms) => area.left + ((ms - view.from) / (view.to - view.from)) * inner;
  const clip = "clip-" + area.id;
  let y = 0;
  const body = () => svg("g", { "clip-path": `url(#${clip})` }, root);

  const label = (text, at, height) => {
    const element = svg("text", { x: area.left - 8, y: at + height / 2, class: "lane-label" }, root);
    element.textContent = text;
  };

  const spans = (name, list, kind, height) => {
    if (!list.length) return;
    label(name, y, height);
    const group = body();
    for (const span of list) {
      const left = Math.max(x(span.from), area.left);
      const width = Math.min(x(span.to), area.width - area.right) - left;
      if (width <= 0) continue;
      const text = `${span.text}: ${offset(span.from)} to ${offset(span.to)}`;
      titled(svg("rect", { x: left, y, width: Math.max(width - 1, 1), height, class: kind, rx: 2 }, group), text);
      if (width > 24) fitted(span.text, left + 5, y + height / 2, width - 8, group);
    }
    y += height + LANE.gap;
  };

  const ticks = (name, list) => {
    if (!list.length) return;
    label(name, y, LANE.height);
    const group = body();
    for (const tick of list) {
      const at = x(tick.at);
      if (at < area.left || at > area.width - area.right) continue;
      const kind = tick.warning ? "tick warning" : "tick";
      const height = tick.warning ? LANE.height - 4 : LANE.height - 10;
      const mark = svg("rect", { x: at - 1.5, y: y + (LANE.height - height) / 2, width: 3, height, class: kind }, group);
      titled(mark, `${offset(tick.at)} ${tick.text}`);
    }
    y += LANE.height + LANE.gap;
  };

  spans("phase", data.phases, "phase", LANE.height);
  spans("fault", data.faults, "fault", LANE.height);
  ticks("actions", data.actions);
  ticks("events", data.events);
  for (const pod of data.pods.filter((pod) => allPods || pod.changed)) {
    y = drawPod(root, pod, { x, y, area, group: body() });
  }
  const height = Math.max(y, 1);
  const definitions = svg("defs", {}, root);
  const path = svg("clipPath", { id: clip }, definitions);
  svg("rect", { x: area.left, y: 0, width: inner, height }, path);
  const moments = body();
  for (const moment of data.moments) {
    const at = x(moment.at);
    titled(svg("line", { x1: at, x2: at, y1: 0, y2: height, class: moment.exact ? "moment-line" : "moment-line found" }, moments), `${offset(moment.at)} ${moment.exact ? "broken" : "found broken"}: ${moment.text}`);
  }
  svg("line", { x1: -9, x2: -9, y1: 0, y2: height, class: "cursor-line" }, root);
  root.setAttribute("viewBox", `0 0 ${area.width} ${height}`);
  root.setAttribute("height", height);
  root.setAttribute("width", area.width);
}

function drawPod(root, pod, { x, y, area, group }) {
  const bar = LANE.pod - 5;
  if (area.narrow) {
    const name = svg("text", { x: area.left, y: y + LANE.pod / 2, class: "lane-label inside" }, root);
    name.textContent = pod.name;
    y += LANE.pod - 2;
  }
  for (const span of pod.spans) {
    const left = Math.max(x(span.from), area.left);
    const width = Math.min(x(span.to), area.width - area.right) - left;
    if (width <= 0 || span.state === "gone") continue;
    const detail = [span.detail, span.node].filter(Boolean).join(", ");
    const text = `${pod.namespace}/${pod.name} ${span.title}${detail ? ` (${detail})` : ""}: ${offset(span.from)} to ${offset(span.to)}`;
    titled(svg("rect", { x: left, y: y + 2, width: Math.max(width, 1.5), height: bar, class: "pod " + span.state }, group), text);
  }
  if (!area.narrow) {
    const name = svg("text", { x: area.left - 8, y: y + LANE.pod / 2, class: "lane-label" }, root);
    name.textContent = shortened(pod.name, Math.floor((area.left - 12) / 6.1));
    titled(name, pod.name);
  }
  return y + LANE.pod;
}

// The end of a pod's name tells it apart from its siblings.
function shortened(text, letters) {
  return text.length <= letters ? text : "…" + text.slice(text.length - letters + 1);
}

function fitted(text, x, y, width, parent) {
  const letters = Math.floor(width / 6.2);
  if (letters < 3) return;
  svg("text", { x, y, class: "lane-text" }, parent).textContent =
    text.length <= letters ? text : text.slice(0, letters - 1) + "…";
}
