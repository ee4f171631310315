/** Two lines on one axis of time. */

import uPlot from "uplot";
import { axes, EDGE } from "./chart.ts";
import { pick } from "./decimate.ts";
import { h, themed } from "./dom.ts";
import * as format from "./format.ts";
import { drawMarks, drawMoment, marksOf, type Mark } from "./marks.ts";
import { faded } from "./palette.ts";
import { CURSOR, pointer } from "./pointer.ts";
import { firstAtLeast, type Run } from "./run.ts";
import type { State } from "./state.ts";

const HEIGHT = 380;

export class PairChart {
  readonly element = h("div", { class: "plot", tabindex: 0, role: "img" });
  private plot: uPlot | null = null;
  private metric = "";
  private lines: [Float64Array, Float64Array] = [new Float64Array(), new Float64Array()];
  private range: [number, number] = [0, 1];
  /** The metric whose peaks are marked. */
  private marked: "memory" | "rss" | null = null;

  constructor(
    private readonly runs: [Run, Run],
    private readonly state: State,
    private readonly hovered: (seconds: number | null, x: number, y: number) => void,
  ) {
    new ResizeObserver(() => {
      const width = this.element.clientWidth;
      if (!this.plot || width === 0 || width === this.plot.width) return;
      this.plot.setSize({ width, height: HEIGHT });
      this.plot.setData(this.data(), true);
    }).observe(this.element);
  }

  show(metric: string, lines: [Float64Array, Float64Array], range: [number, number], whole: boolean, anew: boolean): void {
    const redo = anew || metric !== this.metric || !this.plot;
    this.metric = metric;
    this.lines = lines;
    this.range = range;
    this.marked = whole && (metric === "memory" || metric === "rss") ? metric : null;
    this.element.setAttribute("aria-label", `${format.metricTitle(metric)} of both runs over time. The table below has the figures.`);
    if (redo) this.make();
    else this.plot?.setData(this.data(), true);
  }

  redraw(): void {
    this.plot?.redraw(false);
  }

  private make(): void {
    this.plot?.destroy();
    const [a, b] = [themed("--a"), themed("--b")];
    this.plot = new uPlot(
      {
        width: Math.max(200, this.element.clientWidth),
        height: HEIGHT,
        padding: [18, EDGE, 0, 0],
        legend: { show: false },
        series: [
          {},
          { stroke: a, width: 1.5, fill: faded(a, 0.22), spanGaps: true, points: { show: false } },
          { stroke: b, width: 2, fill: faded(b, 0.08), spanGaps: true, points: { show: false } },
        ],
        scales: { x: { time: false, range: () => this.range }, y: { range: () => [0, this.top()] } },
        axes: axes(this.metric),
        cursor: CURSOR,
        hooks: {
          draw: [
            (plot) => {
              const { marked } = this;
              if (marked) drawMarks(plot, this.runs.flatMap((run, place) => peakOf(run, marked, "AB"[place] ?? "")), null);
              drawMoment(plot, this.state.view.at);
            },
          ],
          ...pointer(this.hovered, this.state),
        },
      },
      this.data(),
      this.element,
    );
  }

  private top(): number {
    const [from, to] = this.range;
    let most = 0;
    this.runs.forEach(({ moments }, place) => {
      const begin = Math.max(0, firstAtLeast(moments, from) - 1);
      const end = Math.min(moments.length, firstAtLeast(moments, to) + 1);
      for (let column = begin; column < end; column++) {
        const value = this.lines[place]?.[column] ?? NaN;
        if (value > most) most = value;
      }
    });
    if (this.marked) for (const run of this.runs) most = Math.max(most, run.head.peak[this.marked]?.bytes ?? 0);
    return most > 0 ? most * 1.08 : 1;
  }

  /** The moments of both, in order; each line is interpolated at the moments of the other. */
  private data(): uPlot.AlignedData {
    const [from, to] = this.range;
    const buckets = Math.max(100, Math.round((this.plot?.width ?? this.element.clientWidth) / 2));
    const points: { at: number; place: number; value: number | null }[] = [];
    this.runs.forEach(({ moments }, place) => {
      const line = this.lines[place] as Float64Array;
      for (const column of pick(moments, line, from, to, buckets)) {
        const value = line[column] as number;
        points.push({ at: moments[column] as number, place, value: Number.isNaN(value) ? null : value });
      }
    });
    points.sort((one, other) => one.at - other.at);
    const xs: number[] = [];
    const ys: (number | null)[][] = [[], []];
    for (const { at, place, value } of points) {
      if (xs.at(-1) !== at) {
        xs.push(at);
        for (const line of ys) line.push(null);
      }
      (ys[place] as (number | null)[])[xs.length - 1] = value;
    }
    return [xs, ys[0], ys[1]] as uPlot.AlignedData;
  }
}

function peakOf(run: Run, metric: string, name: string): Mark[] {
  const peaks = marksOf(run, metric, null).filter((mark) => mark.kind === "peak");
  return peaks.map((mark) => ({ ...mark, words: `${name}: ${format.bytes(mark.value)}` }));
}
