/** Records made up for tests. */

import type { Head, SeriesHead, Unpacked } from "../src/payload.ts";

export interface Made {
  pid: number;
  ppid: number;
  command?: string;
  exe?: string;
  start?: number;
  end?: number | null;
  /** Its line: the first column, and the values. */
  line?: [number, number[]];
}

export function made(rows: Made[], columns = 10, change: Partial<Head> = {}): Unpacked {
  const texts: string[] = [];
  const text = (word: string) => texts.push(word) - 1;
  const processes = {
    texts,
    pid: rows.map(({ pid }) => pid),
    ppid: rows.map(({ ppid }) => ppid),
    command: rows.map(({ command }) => text(command ?? "job")),
    exe: rows.map(({ exe }) => (exe === undefined ? null : text(exe))),
    args: rows.map(() => null),
    start: rows.map(({ start }) => start ?? 0),
    end: rows.map(({ end }) => (end === undefined ? columns : end)),
    peak: rows.map(() => null),
    certainty: rows.map(() => null),
    source: rows.map(() => null),
    vram: rows.map(() => null),
    images: rows.map(() => null),
    code: rows.map(() => null),
    signal: rows.map(() => null),
  };
  const head: SeriesHead = { metric: "rss", scope: "process", id: 0, first: 0, length: 0, unit: 1, merged: false };
  const series = rows.flatMap(({ line }, row) => {
    if (!line) return [];
    const values = Float64Array.from(line[1]);
    return [{ head: { ...head, id: row, first: line[0], length: values.length }, first: line[0], values, low: null, high: null }];
  });
  return {
    head: {
      complete: true,
      duration_seconds: columns,
      primary_metric: "rss",
      peak: { rss: null, pss: null, cgroup: null, gpu: [] },
      limits: [],
      findings: [],
      processes,
      timeline: { columns, unknown_series: 0, series: series.map(({ head }) => head) },
      ...change,
    } as unknown as Head,
    moments: Float64Array.from({ length: columns }, (_, column) => column),
    series,
  };
}
