// Lines over time.

import uPlot from "../vendor/uPlot.js";
import { h, s, say } from "./dom.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Of lines; text of the same color is darker, to be read on its faint back. */
const SHADES = { orange: "amber" };

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/**
 * A plot of the last minutes: `lines` are `{label, color, text(value), scale, fill, dash}`; `set` takes columns, the first of
 * them unix seconds. What it shows stands in words beside it, for who cannot see it.
 */
export class Plot {
  constructor(title, lines) {
    this.lines = lines;
    this.data = [[], ...lines.map(() => [])];
    this.legend = lines.map(() => h("b", {}));
    this.place = h("div", { class: "plot", role: "img" });
    this.title = title;
    const items = lines.map((line, index) => {
      const key = s("svg", { class: "key", viewBox: "0 0 16 4", "aria-hidden": "true" }, s("path", { d: "M0 2H16", class: `stroke ${line.color}`, "stroke-dasharray": line.dash ? "4 2" : undefined }));
      return h("span", { class: "item" }, key, line.label, " ", this.legend[index]);
    });
    this.element = h("figure", { class: "card" }, h("figcaption", {}, h("h2", {}, title), h("span", { class: "legend" }, items)), this.place);
    this.turn = () => this.#make();
    dark.addEventListener("change", this.turn);
    this.watch = new ResizeObserver(() => this.#fit());
    this.watch.observe(this.place);
  }

  set(data) {
    this.data = data;
    const last = this.lines.map((line, index) => line.text(data[index + 1].at(-1)));
    this.legend.forEach((element, index) => say(element, last[index]));
    const told = `${this.title}: ${this.lines.map((line, index) => `${line.label} ${last[index]}`).join(", ")}`;
    if (this.place.getAttribute("aria-label") !== told) this.place.setAttribute("aria-label", told);
    if (!this.drawn) this.#make();
    else if (!document.hidden) this.drawn.setData(data);
  }

  close() {
    dark.removeEventListener("change", this.turn);
    this.watch.disconnect();
    this.drawn?.destroy();
  }

  #fit() {
    const width = this.place.clientWidth;
    if (this.drawn && width && width !== this.drawn.width) this.drawn.setSize({ width, height: this.place.clientHeight });
    else if (!this.drawn) this.#make();
  }

  #make() {
    this.drawn?.destroy();
    this.drawn = null;
    if (!this.place.clientWidth || !this.data[0].length) return;
    const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const right = this.lines.some((line) => line.scale === "right");
    this.drawn = new uPlot(
      {
        width: this.place.clientWidth,
        height: this.place.clientHeight,
        padding: [8, right ? 0 : 30, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: true }, y: { range: span }, right: { range: span } },
        axes: [
          { ...axis, space: 80, size: 26, values: (_, splits) => splits.map(clock) },
          { ...axis, size: 46, values: (_, splits) => splits.map(brief) },
          ...(right ? [{ ...axis, scale: "right", side: 1, size: 46, grid: { show: false }, values: (_, splits) => splits.map(brief) }] : []),
        ],
        series: [
          {},
          ...this.lines.map((line) => ({
            stroke: color(`--${SHADES[line.color] ?? line.color}`),
            fill: line.fill ? color(`--${line.color}-faint`) : undefined,
            dash: line.dash ? [5, 3] : undefined,
            width: 1.75,
            scale: line.scale ?? "y",
            points: { show: false },
            spanGaps: false,
          })),
        ],
      },
      this.data,
      this.place,
    );
  }
}

function span(_, least, most) {
  return [0, most > 0 ? most * 1.1 : 1];
}

function clock(at) {
  const told = new Date(at * 1000).toLocaleTimeString("en-GB");
  return told.endsWith(":00") ? told.slice(0, 5) : told;
}

function brief(value) {
  if (value >= 1e6) return `${+(value / 1e6).toFixed(1)}M`;
  return value >= 1e3 ? `${+(value / 1e3).toFixed(1)}k` : String(+value.toFixed(2));
}

/** A line as small as a word. */
export class Spark {
  constructor() {
    this.path = s("path", { class: "stroke", "vector-effect": "non-scaling-stroke" });
    this.area = s("path", { class: "area" });
    this.element = s("svg", { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" }, this.area, this.path);
  }

  set(values) {
    const known = values.map((value) => value ?? 0);
    const most = Math.max(...known, 1e-9);
    const step = 100 / Math.max(1, known.length - 1);
    const points = known.map((value, index) => `${(index * step).toFixed(1)} ${(23 - (21 * value) / most).toFixed(1)}`);
    if (!points.length) return;
    this.path.setAttribute("d", `M${points.join("L")}`);
    this.area.setAttribute("d", `M0 24L${points.join("L")}L100 24Z`);
  }
}
