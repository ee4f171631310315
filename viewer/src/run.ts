/** One run of a job: the queries of the page to a record. */

import type { Head, Series, Unpacked } from "./payload.ts";
import { Tree } from "./tree.ts";

export type Metric = string;

/**
 * The number of columns whose highest value is kept, so that a range need not be scanned one by
 * one.
 */
const BLOCK = 64;

function higher(one: number, other: number): number {
  return one >= other || Number.isNaN(other) ? one : other;
}

function most(values: Float64Array, from: number, to: number): number {
  let found = NaN;
  for (let at = from; at < Math.min(to, values.length); at++) found = higher(found, values[at] as number);
  return found;
}

export class Run {
  readonly head: Head;
  /** Moment of each column, in seconds since the start. */
  readonly moments: Float64Array;
  readonly tree: Tree;
  /**
   * Rates are averages over this many seconds: the kernel counts processor time in ticks of up to
   * 10 ms.
   */
  readonly rateSpan: number;
  readonly count: number;
  private readonly series: Series[];
  private readonly blocks = new WeakMap<Series, Float64Array>();
  private readonly most = new WeakMap<Series, number>();
  private readonly byRow = new Map<Metric, Map<number, Series>>();

  constructor({ head, moments, series }: Unpacked) {
    this.head = head;
    this.moments = moments;
    this.rateSpan = Math.max(0.1, head.duration_seconds / 400);
    this.series = series.map((line) => (line.head.counted ? rate(line, moments, this.rateSpan) : line));
    this.count = head.processes.pid.length;
    this.tree = new Tree(head.processes);
  }

  /** Length of the measurement; if columns reach further, up to them. */
  get duration(): number {
    return Math.max(this.head.duration_seconds, this.moments[this.moments.length - 1] ?? 0);
  }

  /** The metrics of the timeline, the primary one first. */
  get metrics(): Metric[] {
    // A metric that never rose above 0, such as unused swap, needs no switch.
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

  /** The line of all processes without their own line. */
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

  /** The highest of a line in the columns from `begin` up to `end`; NaN if none has a value. */
  highestIn(series: Series, begin: number, end: number): number {
    const values = series.high ?? series.values;
    let blocks = this.blocks.get(series);
    if (!blocks) {
      blocks = new Float64Array(Math.ceil(values.length / BLOCK));
      for (let block = 0; block < blocks.length; block++) blocks[block] = most(values, block * BLOCK, (block + 1) * BLOCK);
      this.blocks.set(series, blocks);
    }
    const [from, to] = [Math.max(0, begin - series.first), Math.min(values.length, end - series.first)];
    const [first, last] = [Math.ceil(from / BLOCK), Math.floor(to / BLOCK)];
    if (first >= last) return most(values, from, to);
    const inner = most(blocks, first, last);
    return higher(inner, higher(most(values, from, first * BLOCK), most(values, last * BLOCK, to)));
  }

  text(index: number | null | undefined): string | null {
    return index === null || index === undefined ? null : (this.head.processes.texts[index] ?? null);
  }

  command(row: number): string {
    return this.text(this.head.processes.command[row]) ?? "?";
  }

  /** The name by which people tell it from others. */
  name(row: number): string {
    return this.text(this.head.processes.name?.[row]) ?? this.command(row);
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

  /** The time of its exit; null if it outlived the measurement. */
  end(row: number): number | null {
    return this.head.processes.end[row] ?? null;
  }

  peak(row: number): number | null {
    return this.head.processes.peak[row] ?? null;
  }

  isAlive(row: number, from: number, to: number): boolean {
    return this.start(row) <= to && (this.end(row) ?? Infinity) >= from;
  }

  /** The column nearest to a moment; -1 if there is none. */
  columnAt(seconds: number): number {
    const { moments } = this;
    if (moments.length === 0) return -1;
    const after = firstAtLeast(moments, seconds);
    if (after === 0) return 0;
    if (after === moments.length) return after - 1;
    return seconds - (moments[after - 1] as number) <= (moments[after] as number) - seconds ? after - 1 : after;
  }
}

/**
 * The rate of a counter over the last `span` seconds (more if samples are further apart). Processor time becomes busy
 * processors. Between two readings the rate is that of the whole time between them.
 */
function rate(series: Series, moments: Float64Array, span: number): Series {
  const { first, values, head } = series;
  const rates = new Float64Array(values.length).fill(NaN);
  const scale = head.counted === "microseconds" ? 1e-6 : 1;
  const known: number[] = [];
  let begin = 0;
  for (let at = 0; at < values.length; at++) {
    if (Number.isNaN(values[at] as number)) continue;
    const now = moments[first + at] as number;
    const before = known.at(-1);
    known.push(at);
    if (before === undefined) continue;
    while (begin + 1 < known.length - 1 && now - (moments[first + (known[begin + 1] as number)] as number) >= span) begin++;
    const from = known[begin] as number;
    const time = now - (moments[first + from] as number);
    if (time <= 0) continue;
    rates.fill((Math.max(0, (values[at] as number) - (values[from] as number)) * scale) / time, before + 1, at + 1);
  }
  return { ...series, values: rates };
}

/**
 * The first index in sorted numbers whose number is `limit` or more; the length if there is none.
 */
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

/** The value in a column of the whole timeline; NaN if there is none. */
export function valueAt(series: { first: number; values: Float64Array }, column: number): number {
  return series.values[column - series.first] ?? NaN;
}
