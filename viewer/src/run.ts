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
  private readonly byRow = new Map<Metric, Map<number, Series>>();

  constructor({ head, moments, series }: Unpacked) {
    this.head = head;
    this.moments = moments;
    this.series = series;
    this.count = head.processes.pid.length;
    this.tree = new Tree(head.processes);
  }

  /** Length of the measurement; where columns reach further, up to them. */
  get duration(): number {
    return Math.max(this.head.duration_seconds, this.moments[this.moments.length - 1] ?? 0);
  }

  /** What the timeline has, the primary metric first. */
  get metrics(): Metric[] {
    const found = [...new Set(this.series.map((series) => series.head.metric))];
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
