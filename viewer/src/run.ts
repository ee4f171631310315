/** One run of a job: what the page asks of a record. */

import type { Head, Series, Unpacked } from "./payload.ts";
import { Tree } from "./tree.ts";

export type Metric = string;

export class Run {
  readonly head: Head;
  /** Moment of each column, in seconds since the start. */
  readonly moments: Float64Array;
  readonly tree: Tree;
  readonly count: number;
  private readonly series: Series[];
  private readonly most = new WeakMap<Series, number>();
  private readonly byRow = new Map<Metric, Map<number, Series>>();

  constructor({ head, moments, series }: Unpacked) {
    this.head = head;
    this.moments = moments;
    this.series = series.map((line) => (line.head.counted ? rate(line, moments) : line));
    this.count = head.processes.pid.length;
    this.tree = new Tree(head.processes);
  }

  /** Length of the measurement; where columns reach further, up to them. */
  get duration(): number {
    return Math.max(this.head.duration_seconds, this.moments[this.moments.length - 1] ?? 0);
  }

  /** What the timeline has, the primary metric first. */
  get metrics(): Metric[] {
    // What never rose above 0, such as swap that was not used, needs no switch.
    const used = this.series.filter((series) => series.values.some((value) => value > 0));
    const found = [...new Set(used.map((series) => series.head.metric))];
    const primary = this.head.primary_metric;
    return found.includes(primary) ? [primary, ...found.filter((metric) => metric !== primary)] : found;
  }

  private find(metric: Metric, scope: string): Series[] {
    return this.series.filter((series) => series.head.metric === metric && series.head.scope === scope);
  }

  total(metric: Metric): Series | null {
    return this.find(metric, "total")[0] ?? null;
  }

  devices(metric: Metric): Series[] {
    return this.find(metric, "device");
  }

  /** All processes without a line of their own. */
  rest(metric: Metric): Series | null {
    return this.find(metric, "other")[0] ?? null;
  }

  /** The lines of single processes, by their row. */
  rows(metric: Metric): Map<number, Series> {
    let rows = this.byRow.get(metric);
    if (!rows) {
      rows = new Map();
      for (const series of this.find(metric, "process")) {
        if (series.head.id !== null && series.head.id < this.count) rows.set(series.head.id, series);
      }
      this.byRow.set(metric, rows);
    }
    return rows;
  }

  /** The highest value of a line; 0 without one. */
  highest(series: Series | undefined): number {
    if (!series) return 0;
    let most = this.most.get(series);
    if (most === undefined) {
      most = 0;
      for (const value of series.values) if (value > most) most = value;
      this.most.set(series, most);
    }
    return most;
  }

  text(index: number | null | undefined): string | null {
    return index === null || index === undefined ? null : (this.head.processes.texts[index] ?? null);
  }

  command(row: number): string {
    return this.text(this.head.processes.command[row]) ?? "?";
  }

  exe(row: number): string | null {
    return this.text(this.head.processes.exe[row]);
  }

  pid(row: number): number {
    return this.head.processes.pid[row] as number;
  }

  start(row: number): number {
    return this.head.processes.start[row] as number;
  }

  /** When it was gone; null where it outlived the measurement. */
  end(row: number): number | null {
    return this.head.processes.end[row] ?? null;
  }

  peak(row: number): number | null {
    return this.head.processes.peak[row] ?? null;
  }

  isAlive(row: number, from: number, to: number): boolean {
    return this.start(row) <= to && (this.end(row) ?? Infinity) >= from;
  }

  /** The column nearest to a moment; -1 where there is none. */
  columnAt(seconds: number): number {
    const { moments } = this;
    if (moments.length === 0) return -1;
    const after = firstAtLeast(moments, seconds);
    if (after === 0) return 0;
    if (after === moments.length) return after - 1;
    return seconds - (moments[after - 1] as number) <= (moments[after] as number) - seconds ? after - 1 : after;
  }
}

/** What is counted up, as the rate since the column before; processor time becomes busy processors. */
function rate(series: Series, moments: Float64Array): Series {
  const { first, values, head } = series;
  const rates = new Float64Array(values.length).fill(NaN);
  const scale = head.counted === "microseconds" ? 1e-6 : 1;
  let before = -1;
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (Number.isNaN(value)) continue;
    if (before >= 0) {
      const time = (moments[first + at] as number) - (moments[first + before] as number);
      if (time > 0) rates[at] = (Math.max(0, value - (values[before] as number)) * scale) / time;
    }
    before = at;
  }
  return { ...series, values: rates };
}

/** The first place in sorted numbers whose number is `limit` or more; the length where there is none. */
export function firstAtLeast(sorted: Float64Array, limit: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The value in a column of the whole timeline; NaN where there is none. */
export function valueAt(series: { first: number; values: Float64Array }, column: number): number {
  return series.values[column - series.first] ?? NaN;
}
