/**
 * A lane for each process, or group: from start to exit, as high as its memory. Only visible lanes
 * are drawn.
 */

import { AXIS, EDGE } from "./chart.ts";
import { h, themed } from "./dom.ts";
import * as format from "./format.ts";
import { groupLabel, members, type Grouping, type Layer } from "./layers.ts";
import { faded, GREY } from "./palette.ts";
import type { Picture } from "./picture.ts";
import { firstAtLeast, valueAt, type Run } from "./run.ts";
import type { State } from "./state.ts";

const LANE = 24;
const HEIGHT = 420;
/** The most lanes inside groups that are open from the start. */
const OPENED = 60;

interface Lane {
  /** The row of a process; null for a group. */
  row: number | null;
  /** The group's key. */
  key: string;
  label: string;
  depth: number;
  rows: number[];
  line: Pick<Layer, "first" | "values" | "highest"> | null;
  colour: string;
  open: boolean | null;
}

export class Lanes {
  readonly element: HTMLElement;
  private readonly canvas = h("canvas");
  private readonly scroller = h("div", { class: "lanes", tabindex: 0, role: "img" });
  private readonly space = h("div", { class: "space" });
  private lanes: Lane[] = [];
  /** Groups that the user opened or closed; the others are open if there is room. */
  private readonly opened = new Map<string, boolean>();
  private picture: Picture | null = null;
  private range: [number, number] = [0, 1];
  private hover: number | null = null;
  /** The values that fill a lane's height: the highest group, and the highest process. */
  private scale = { group: 1, process: 1 };

  constructor(
    private readonly run: Run,
    private readonly state: State,
    private readonly gutter: () => number,
    private readonly pointed: (words: Node | null, x: number, y: number, seconds: number | null) => void,
  ) {
    this.scroller.append(this.space, this.canvas);
    this.element = this.scroller;
    this.scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.scroller);
    this.canvas.addEventListener("click", (event) => this.clicked(event));
    this.canvas.addEventListener("mousemove", (event) => this.moved(event));
    this.canvas.addEventListener("mouseleave", () => this.pointed(null, 0, 0, null));
  }

  show(picture: Picture, range: [number, number], rows: Set<number> | null): void {
    const { by } = picture;
    this.picture = picture;
    this.range = range;
    this.lanes = by === "process" ? this.processes(rows) : this.groups(picture, by, rows);
    this.scale = { group: 1, process: 1 };
    for (const lane of this.lanes) {
      const kind = lane.row === null ? "group" : "process";
      this.scale[kind] = Math.max(this.scale[kind], lane.line?.highest ?? 0, this.peakOf(lane) ?? 0);
    }
    this.space.style.height = `${this.lanes.length * LANE}px`;
    this.scroller.style.height = `${Math.min(HEIGHT, Math.max(1, this.lanes.length) * LANE + 2)}px`;
    this.scroller.setAttribute(
      "aria-label",
      `${this.lanes.length} lanes, one for each ${by === "process" ? "process" : "group"}; the table has the same as text.`,
    );
    this.draw();
  }

  /** The number of lanes. */
  get count(): number {
    return this.lanes.length;
  }

  /** The moment under the mouse, drawn as a line. */
  point(seconds: number | null): void {
    this.hover = seconds;
    this.draw();
  }

  private processes(rows: Set<number> | null): Lane[] {
    const { tree } = this.run;
    return tree.order
      .filter((row) => !rows || rows.has(row))
      .map((row) => this.lane(row, rows ? 0 : (tree.depth[row] as number)));
  }

  private lane(row: number, depth: number): Lane {
    const picture = this.picture as Picture;
    const layer = picture.layerOf(row);
    const series = this.run.rows(picture.metric).get(row);
    return {
      row,
      key: layer?.key ?? `p${row}`,
      label: this.run.name(row),
      depth,
      rows: [row],
      line: series ? { first: series.first, values: series.values, highest: this.run.highest(series) } : null,
      colour: layer ? picture.colourOf(layer) : GREY,
      open: null,
    };
  }

  private groups(picture: Picture, by: Exclude<Grouping, "process">, rows: Set<number> | null): Lane[] {
    const layers = new Map(picture.layers.map((layer) => [layer.key, layer]));
    const groups = [...members(this.run, by)]
      .map(([key, all]) => ({ key, rows: rows ? all.filter((row) => rows.has(row)) : all, all, layer: layers.get(key) }))
      .filter((group) => group.rows.length > 0)
      .sort((one, other) => (other.layer?.highest ?? 0) - (one.layer?.highest ?? 0));
    const lanes: Lane[] = [];
    let room = OPENED;
    for (const group of groups) {
      const fits = group.rows.length > 1 && group.rows.length <= room;
      const open = this.opened.get(group.key) ?? fits;
      if (open) room -= group.rows.length;
      const colour = group.layer ? picture.colourOf(group.layer) : GREY;
      const label = groupLabel(this.run, group.key, group.all) + (by !== "tree" && group.all.length > 1 ? `  × ${group.all.length}` : "");
      lanes.push({ row: null, key: group.key, label, depth: 0, rows: group.rows, line: group.layer ?? null, colour, open });
      if (open) lanes.push(...group.rows.map((row) => this.lane(row, 1)));
    }
    return lanes;
  }

  private peakOf(lane: Lane): number | null {
    if (lane.row === null || this.picture?.metric !== this.run.head.primary_metric) return null;
    return this.run.peak(lane.row);
  }

  draw(): void {
    const width = this.scroller.clientWidth;
    const height = this.scroller.clientHeight;
    if (width === 0 || !this.picture) return;
    const ratio = devicePixelRatio || 1;
    const { canvas } = this;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const ctx = canvas.getContext("2d") as CanvasRenderingContext2D;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    const first = Math.floor(this.scroller.scrollTop / LANE);
    const left = this.left();
    for (let at = first; at < this.lanes.length && at * LANE - this.scroller.scrollTop < height; at++) {
      this.drawLane(ctx, this.lanes[at] as Lane, at * LANE - this.scroller.scrollTop, left, width);
    }
    for (const [seconds, name] of [[this.hover, "--muted"], [this.state.view.at, "--accent"]] as const) {
      if (seconds === null) continue;
      const x = this.x(seconds, left, width);
      if (x < left || x > width - EDGE) continue;
      ctx.strokeStyle = themed(name);
      ctx.lineWidth = 1;
      ctx.beginPath();
      ctx.moveTo(x, 0);
      ctx.lineTo(x, height);
      ctx.stroke();
    }
  }

  private left(): number {
    return this.gutter() + AXIS;
  }

  private x(seconds: number, left: number, width: number): number {
    const [from, to] = this.range;
    return left + ((seconds - from) / (to - from)) * (width - EDGE - left);
  }

  private drawLane(ctx: CanvasRenderingContext2D, lane: Lane, y: number, left: number, width: number): void {
    const { run } = this;
    const only = this.state.view.only;
    const dimmed = only !== null && lane.key !== only && !(lane.row !== null && only === `p${lane.row}`);
    ctx.globalAlpha = dimmed ? 0.3 : 1;
    ctx.font = `${lane.row === null ? 600 : 400} 12px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    const middle = y + LANE / 2;
    const indent = 10 + Math.min(lane.depth, 8) * 11;
    ctx.fillStyle = lane.colour;
    if (lane.open === null) {
      ctx.beginPath();
      ctx.roundRect(indent, middle - 4, 8, 8, 2);
      ctx.fill();
    } else {
      ctx.beginPath();
      const [cx, cy] = [indent + 4, middle];
      if (lane.open) {
        ctx.moveTo(cx - 5, cy - 3);
        ctx.lineTo(cx + 5, cy - 3);
        ctx.lineTo(cx, cy + 5);
      } else {
        ctx.moveTo(cx - 3, cy - 5);
        ctx.lineTo(cx + 5, cy);
        ctx.lineTo(cx - 3, cy + 5);
      }
      ctx.fill();
    }
    ctx.fillStyle = themed("--text");
    const pid = lane.row === null ? "" : String(run.pid(lane.row));
    ctx.textAlign = "left";
    const room = this.gutter() - indent - 16 - (pid ? 48 : 4);
    ctx.fillText(fitted(ctx, lane.label, room), indent + 15, middle);
    ctx.textAlign = "right";
    ctx.fillStyle = themed("--muted");
    if (pid) ctx.fillText(pid, this.gutter() - 4, middle);
    const figure = this.peakOf(lane) ?? lane.line?.highest ?? null;
    ctx.fillText(figure === null || figure === 0 ? "–" : format.value(this.picture?.metric ?? "", figure), left - 8, middle);

    ctx.save();
    ctx.beginPath();
    ctx.rect(left, y, width - EDGE - left, LANE);
    ctx.clip();
    ctx.fillStyle = themed("--grid");
    ctx.fillRect(left, y + LANE - 1, width - left, 1);
    if (lane.row === null) for (const row of lane.rows.slice(0, 3000)) this.drawLife(ctx, row, y, left, width, lane.colour, false);
    else this.drawLife(ctx, lane.row, y, left, width, lane.colour, true);
    if (lane.line) this.drawHeight(ctx, lane.line, lane.row === null ? "group" : "process", y, left, width, lane.colour);
    ctx.restore();
    ctx.globalAlpha = 1;
  }

  /**
   * Draws a process from start to exit, whether it was sampled or not, and how it ended if that is
   * known.
   */
  private drawLife(ctx: CanvasRenderingContext2D, row: number, y: number, left: number, width: number, colour: string, marks: boolean): void {
    const { run } = this;
    const born = this.x(run.start(row), left, width);
    const end = run.end(row);
    const died = end === null ? this.x(run.duration, left, width) : this.x(end, left, width);
    if (died < left || born > width) return;
    const bar = Math.max(1.5, died - born);
    ctx.fillStyle = faded(colour, marks ? 0.16 : 0.1);
    ctx.fillRect(born, marks ? y + 3 : y + LANE - 5, bar, marks ? LANE - 5 : 3);
    if (!marks) return;
    const peak = this.picture?.metric === run.head.primary_metric ? run.peak(row) : null;
    if (peak !== null) {
      // The kernel's high-water mark is drawn at its height; its moment is unknown.
      const top = y + LANE - 2 - this.height(peak, "process");
      ctx.strokeStyle = faded(colour, 0.9);
      ctx.lineWidth = 1;
      ctx.setLineDash([2, 2]);
      ctx.beginPath();
      ctx.moveTo(born, top);
      ctx.lineTo(born + bar, top);
      ctx.stroke();
      ctx.setLineDash([]);
    }
    if (end === null) return;
    const failed = (run.head.processes.code[row] ?? 0) !== 0 || (run.head.processes.signal[row] ?? null) !== null;
    ctx.fillStyle = failed ? themed("--limit") : colour;
    ctx.fillRect(died - 1, y + 3, failed ? 2.5 : 1, LANE - 5);
  }

  private height(value: number, kind: "group" | "process"): number {
    return Math.max(1, (value / this.scale[kind]) * (LANE - 5));
  }

  private drawHeight(
    ctx: CanvasRenderingContext2D,
    line: Pick<Layer, "first" | "values">,
    kind: "group" | "process",
    y: number,
    left: number,
    width: number,
    colour: string,
  ): void {
    const { moments } = this.run;
    const begin = Math.max(line.first, firstAtLeast(moments, this.range[0]) - 1);
    const end = Math.min(line.first + line.values.length, firstAtLeast(moments, this.range[1]) + 2);
    const base = y + LANE - 2;
    ctx.fillStyle = colour;
    ctx.beginPath();
    let open = false;
    let last = 0;
    // Each pixel shows the highest value: a peak is never lost.
    for (let column = begin; column < end; ) {
      const value = line.values[column - line.first] as number;
      if (Number.isNaN(value)) {
        if (open) ctx.lineTo(last, base);
        open = false;
        column++;
        continue;
      }
      const x = this.x(moments[column] as number, left, width);
      let most = value;
      column++;
      while (column < end && this.x(moments[column] as number, left, width) < x + 1) {
        const next = line.values[column - line.first] as number;
        if (Number.isNaN(next)) break;
        if (next > most) most = next;
        column++;
      }
      if (!open) ctx.moveTo(x, base);
      open = true;
      ctx.lineTo(x, base - this.height(most, kind));
      // A single sample is drawn, too.
      last = x + 1;
    }
    if (open) ctx.lineTo(last, base);
    ctx.fill();
  }

  private at(event: MouseEvent): { lane: Lane | null; x: number; seconds: number | null } {
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    const place = Math.floor((event.clientY - box.top + this.scroller.scrollTop) / LANE);
    const left = this.left();
    const [from, to] = this.range;
    const seconds = x < left || x > box.width - EDGE ? null : from + ((x - left) / (box.width - EDGE - left)) * (to - from);
    return { lane: this.lanes[place] ?? null, x, seconds };
  }

  private clicked(event: MouseEvent): void {
    const { lane, seconds } = this.at(event);
    if (seconds !== null) return this.state.set({ at: seconds });
    if (!lane || !this.picture) return;
    if (lane.open !== null) {
      this.opened.set(lane.key, !lane.open);
      this.reopen();
      return;
    }
    const key = `p${lane.row}`;
    this.state.set({ only: this.state.view.only === key ? null : key });
  }

  /** Called when a group was opened or closed. */
  reopen: () => void = () => {};

  private moved(event: MouseEvent): void {
    const { lane, seconds } = this.at(event);
    this.canvas.style.cursor = seconds === null && lane ? "pointer" : "crosshair";
    this.pointed(lane ? this.words(lane, seconds) : null, event.clientX, event.clientY, seconds);
  }

  private words(lane: Lane, seconds: number | null): Node {
    const { run } = this;
    const column = seconds === null ? -1 : run.columnAt(seconds);
    const value = lane.line && column >= 0 ? valueAt(lane.line, column) : NaN;
    const then = Number.isNaN(value)
      ? null
      : h("div", { class: "when" }, h("span", {}, format.moment(run.moments[column] as number)), h("b", {}, format.value(this.picture?.metric ?? "", value)));
    if (lane.row === null) {
      return h("div", {}, h("b", {}, lane.label), then, h("div", { class: "faint" }, `click the name to ${lane.open ? "close" : "open"} it`));
    }
    const { row } = lane;
    const end = run.end(row);
    const args = run.text(run.head.processes.args[row]);
    const images = run.text(run.head.processes.images[row]);
    return h(
      "div",
      {},
      h("b", {}, `${run.name(row)} ${run.pid(row)}`),
      then,
      h("div", {}, `${format.moment(run.start(row))} to ${end === null ? "the end, still running" : format.moment(end)}`),
      h("div", {}, `peak ${format.sign(run.text(run.head.processes.certainty[row]))}${format.bytes(run.peak(row))}`),
      h("div", {}, exitWords(run, row)),
      images ? h("div", { class: "faint" }, images) : null,
      args ? h("div", { class: "faint clip" }, args) : null,
    );
  }
}

export function exitWords(run: Run, row: number): string {
  const code = run.head.processes.code[row] ?? null;
  const signal = run.head.processes.signal[row] ?? null;
  if (signal !== null) return `signal ${signal}`;
  if (code !== null) return code === 0 ? "exit 0" : `exit ${code}`;
  return run.end(row) === null ? "still running" : "exit unknown";
}

function fitted(ctx: CanvasRenderingContext2D, text: string, room: number): string {
  if (ctx.measureText(text).width <= room) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (ctx.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low)}…`;
}
