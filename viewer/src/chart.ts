/** Memory over time: layers stacked on each other, the peak, limits and findings marked. */

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { addTo, gather, pick, stack } from "./decimate.ts";
import { h, themed } from "./dom.ts";
import * as format from "./format.ts";
import { spread, type Layer } from "./layers.ts";
import { drawMarks, marksOf, withMemory, type Mark } from "./marks.ts";
import { faded, GREY } from "./palette.ts";
import { pieces, type Picture, type Piece } from "./picture.ts";
import { CURSOR, pointer } from "./pointer.ts";
import type { Series } from "./payload.ts";
import { firstAtLeast, valueAt, type Run } from "./run.ts";
import type { State } from "./state.ts";
import { axisTime, sizeSplits, timeSplits } from "./axes.ts";

/** Width of the axis, the same in chart and lanes so that moments are aligned. */
export const AXIS = 72;
/** Room for half of the last moment's label. */
export const EDGE = 18;
const HEIGHT = 340;

export class Chart {
  readonly element = h("div", { class: "plot", tabindex: 0, role: "img" });
  private plot: uPlot | null = null;
  private picture: Picture | null = null;
  private only: Layer | null = null;
  private marks: Mark[] = [];
  private range: [number, number] = [0, 1];
  private pieces: Piece[] = [];

  constructor(
    private readonly run: Run,
    private readonly state: State,
    private readonly hovered: (seconds: number | null, x: number, y: number) => void,
  ) {
    new ResizeObserver(() => {
      const width = this.element.clientWidth;
      if (!this.plot || width === 0 || width === this.plot.width) return;
      this.plot.setSize({ width, height: HEIGHT });
      this.fill();
    }).observe(this.element);
  }

  /** Draws these layers, or only the isolated layer `only`. */
  show(picture: Picture, only: Layer | null, range: [number, number]): void {
    const redo = this.picture !== picture || this.only !== only || !this.plot;
    this.picture = picture;
    this.only = only;
    this.range = range;
    const marks = marksOf(this.run, picture.metric, only);
    this.marks = this.memory ? withMemory(this.run, marks) : marks;
    if (redo) this.make();
    else this.fill();
  }

  /** Redraws in the colours of the theme. */
  repaint(): void {
    if (this.picture) this.make();
  }

  redraw(): void {
    this.plot?.redraw(false);
  }

  /** The position of a moment on the page, for elements that must align with it. */
  position(seconds: number): number {
    return this.plot ? this.plot.valToPos(seconds, "x") + this.plot.over.offsetLeft : 0;
  }

  /** The line of memory over a stack of RSS, in which shared pages count more than once. */
  private get memory(): Series | null {
    return this.picture?.metric === "rss" && !this.only ? this.run.total("memory") : null;
  }

  private make(): void {
    const picture = this.picture as Picture;
    this.pieces = pieces(this.run, picture, this.only ? [this.only] : picture.shown);
    this.plot?.destroy();
    // The highest edge is painted first, the lower ones over it.
    const fills = this.pieces.map((piece) => piece.colour);
    if (!this.only && picture.small.length > 0) fills.push(GREY);
    const series: uPlot.Series[] = [{}];
    const isDark = themed("--dark") === "1";
    for (const fill of fills.toReversed()) {
      series.push({ fill: faded(fill, isDark ? 0.92 : 0.88), width: 0, stroke: fill, points: { show: false } });
    }
    series.push({ stroke: themed("--line"), width: 1.25, points: { show: false } });
    if (this.memory) series.push({ stroke: themed("--peak"), width: 2, points: { show: false } });
    const options: uPlot.Options = {
      width: Math.max(200, this.element.clientWidth),
      height: HEIGHT,
      padding: [18, EDGE, 0, 0],
      legend: { show: false },
      series,
      scales: {
        x: { time: false, range: () => this.range },
        y: { range: () => [0, this.top()] },
      },
      axes: axes(picture.metric),
      cursor: CURSOR,
      hooks: {
        draw: [(plot) => drawMarks(plot, this.marks, this.state.view.at)],
        ...pointer(this.hovered, this.state),
      },
    };
    this.plot = new uPlot(options, this.data(), this.element);
  }

  private fill(): void {
    this.plot?.setData(this.data(), true);
  }

  /** Highest value that must fit in. */
  private top(): number {
    const [from, to] = this.range;
    const { moments } = this.run;
    const picture = this.picture as Picture;
    const line = this.only ?? { first: 0, values: picture.total };
    const begin = Math.max(0, firstAtLeast(moments, from) - 1);
    const end = Math.min(moments.length, firstAtLeast(moments, to) + 1);
    let most = 0;
    for (let column = begin; column < end; column++) {
      const value = valueAt(line, column);
      if (value > most) most = value;
    }
    for (const mark of this.marks) {
      if (mark.kind === "peak" && mark.to >= from && mark.from <= to) most = Math.max(most, mark.value);
      // A limit takes some of the height, but not most of the picture.
      if (mark.kind === "limit" && mark.value <= most * 1.6) most = Math.max(most, mark.value);
    }
    return most > 0 ? most * 1.06 : 1;
  }

  private data(): uPlot.AlignedData {
    const { moments } = this.run;
    const picture = this.picture as Picture;
    // Many layers are many long lines to draw: then they are a little coarser, so that zooming stays smooth.
    const width = (this.plot?.width ?? this.element.clientWidth) - AXIS;
    const buckets = Math.max(100, Math.round(width / (this.pieces.length > 16 ? 2.5 : 1.5)));
    const total = this.only ? spread(this.only, moments.length) : picture.total;
    const [from, to] = this.range;
    const columns = pick(moments, total, from, to, buckets);
    const values = this.pieces.map((piece) => gather(piece.line, columns));
    if (!this.only && picture.small.length > 0) {
      const small = new Float64Array(columns.length);
      for (const layer of picture.small) addTo(small, layer, columns);
      values.push(small);
    }
    const edges = stack(values);
    const xs = columns.map((column) => moments[column] as number);
    const top = columns.map((column) => nanToNull(total[column] as number));
    const memory = this.memory;
    const lines = memory ? [top, columns.map((column) => nanToNull(valueAt(memory, column)))] : [top];
    return [xs, ...edges.toReversed().map((edge) => Array.from(edge)), ...lines] as uPlot.AlignedData;
  }

  describe(): void {
    const { peak, duration_seconds } = this.run.head;
    const metric = format.metricTitle(this.picture?.metric ?? "rss");
    const highest = this.memory || this.picture?.metric === "memory" ? peak.memory : peak.rss;
    const name = this.memory ? "peak memory" : "peak";
    const words = highest ? `, ${name} ${format.bytes(highest.bytes)}` : "";
    this.element.setAttribute(
      "aria-label",
      `${metric} over ${format.seconds(duration_seconds)}${words}. Arrow keys move the chosen moment, plus and minus zoom, ` +
        "0 shows all. The table below has the same figures.",
    );
  }
}

/** Axes of time and of a metric. */
export function axes(metric: string): uPlot.Axis[] {
  const look: uPlot.Axis = {
    stroke: themed("--muted"),
    grid: { stroke: themed("--grid"), width: 1 },
    font: "12px system-ui, sans-serif",
  };
  return [
    {
      ...look,
      ticks: { stroke: themed("--grid"), size: 5 },
      size: 34,
      splits: (plot, _axis, min, max) => timeSplits(min, max, plot.width / 110),
      values: (_plot, splits) => splits.map((split) => axisTime(split, splits)),
    },
    {
      ...look,
      ticks: { show: false },
      size: AXIS,
      splits: (_plot, _axis, min, max) => sizeSplits(min, max, metric),
      values: (_plot, splits) => splits.map((split) => (split === 0 ? "0" : format.value(metric, split).replace(/\.0+ /, " "))),
    },
  ];
}

function nanToNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
