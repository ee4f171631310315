/** The layers of the charts: single processes, or sums of groups. */

import type { Series } from "./payload.ts";
import type { Metric, Run } from "./run.ts";

export const GROUPINGS = ["process", "name", "command", "exe", "tree"] as const;
export type Grouping = (typeof GROUPINGS)[number];

export interface Layer {
  /** The name in links: it stays the same for the same record. */
  key: string;
  label: string;
  /** Rows of the processes in it, in tree order. */
  rows: number[];
  /** Column of the first value. */
  first: number;
  values: Float64Array;
  /** The highest value; 0 if none was read. */
  highest: number;
  kind: "process" | "group" | "device" | "total" | "rest";
}

/**
 * All layers, the one with the highest value first; processes without their own line come last, in
 * one.
 */
export function layersOf(run: Run, metric: Metric, by: Grouping): Layer[] {
  const devices = run.devices(metric);
  const rows = run.rows(metric);
  const total = run.total(metric);
  if (rows.size === 0 && devices.length > 0) return devices.map((series) => device(run, series)).sort(byHighest);
  if (rows.size === 0 && total) return [{ ...line(total), key: "total", label: "the whole job", rows: [], kind: "total" }];
  const layers = by === "process" ? processes(run, rows) : groups(run, rows, by);
  layers.sort(byHighest);
  const rest = run.rest(metric);
  if (rest) layers.push({ ...line(rest), key: "rest", label: "all other processes", rows: [], kind: "rest" });
  return layers;
}

function processes(run: Run, rows: Map<number, Series>): Layer[] {
  return [...rows].map(([row, series]) => ({
    ...line(series),
    key: `p${row}`,
    label: `${run.name(row)} ${run.pid(row)}`,
    rows: [row],
    kind: "process" as const,
  }));
}

/** The groups of all processes, also of those that were never sampled. */
export function members(run: Run, by: Exclude<Grouping, "process">): Map<string, number[]> {
  const found = new Map<string, number[]>();
  const top = by === "tree" ? run.tree.branches() : null;
  for (const row of run.tree.order) {
    const key = top ? `t${top[row]}` : keyOf(run, by, row);
    const group = found.get(key);
    if (group) group.push(row);
    else found.set(key, [row]);
  }
  return found;
}

/** The key of a group that a process is in by itself. */
function keyOf(run: Run, by: Exclude<Grouping, "process">, row: number): string {
  switch (by) {
    case "exe":
      return `e${run.exe(row) ?? ""}`;
    case "name":
      return `n${run.name(row)}`;
    default:
      return `c${run.command(row)}`;
  }
}

export function groupLabel(run: Run, key: string, rows: number[]): string {
  if (key.startsWith("t")) {
    const top = rows[0] as number;
    const below = rows.length - 1;
    return `${run.name(top)} ${run.pid(top)}${below > 0 ? ` + ${below}` : ""}`;
  }
  return key.slice(1) || "executable unknown";
}

function groups(run: Run, rows: Map<number, Series>, by: Exclude<Grouping, "process">): Layer[] {
  const layers: Layer[] = [];
  for (const [key, group] of members(run, by)) {
    const lines = group.map((row) => rows.get(row)).filter((series) => series !== undefined);
    if (lines.length > 0) {
      layers.push({ ...sum(lines), key, label: groupLabel(run, key, group), rows: group, kind: "group" });
    }
  }
  return layers;
}

function device(run: Run, series: Series): Layer {
  const id = series.head.id ?? 0;
  const known = run.head.peak.gpu.find((gpu) => gpu.index === id);
  return { ...line(series), key: `d${id}`, label: known?.name ?? `device ${id}`, rows: [], kind: "device" };
}

type Line = Pick<Layer, "first" | "values" | "highest">;

function line(series: Series): Line {
  return { first: series.first, values: series.values, highest: highest(series.values) };
}

/** The sum in each column; NaN if none of them has a value. */
export function sum(lines: { first: number; values: Float64Array }[]): Line {
  const only = lines[0];
  if (lines.length === 1 && only) return { first: only.first, values: only.values, highest: highest(only.values) };
  let first = lines.length > 0 ? Infinity : 0;
  let end = 0;
  for (const { first: from, values } of lines) {
    first = Math.min(first, from);
    end = Math.max(end, from + values.length);
  }
  const values = new Float64Array(Math.max(0, end - first)).fill(NaN);
  for (const { first: from, values: own } of lines) {
    const shift = from - first;
    for (let at = 0; at < own.length; at++) {
      const value = own[at] as number;
      if (Number.isNaN(value)) continue;
      const before = values[at + shift] as number;
      values[at + shift] = Number.isNaN(before) ? value : before + value;
    }
  }
  return { first, values, highest: highest(values) };
}

/** A line over all columns; NaN if it has no value. */
export function spread(line: { first: number; values: Float64Array } | null | undefined, columns: number): Float64Array {
  const values = new Float64Array(columns).fill(NaN);
  if (line) values.set(line.values.subarray(0, Math.max(0, columns - line.first)), Math.min(line.first, columns));
  return values;
}

export function highest(values: Float64Array, from = 0, to = values.length): number {
  let most = 0;
  for (let at = Math.max(0, from); at < Math.min(to, values.length); at++) {
    const value = values[at] as number;
    if (value > most) most = value;
  }
  return most;
}

function byHighest(one: Layer, other: Layer): number {
  return other.highest - one.highest || (one.rows[0] ?? 0) - (other.rows[0] ?? 0);
}
