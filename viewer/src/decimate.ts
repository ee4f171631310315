/**
 * Selects fewer columns than samples: whole columns are picked, so that a stack belongs to one
 * moment.
 */

import { firstAtLeast } from "./run.ts";

/**
 * Returns the columns to draw for the moments from `from` to `to`. The time is split into `buckets` equal spans. Each
 * gives its column with the highest total and the one with the lowest. One column beyond either end is added, so that
 * lines leave the picture.
 */
export function pick(
  moments: Float64Array,
  total: Float64Array,
  from: number,
  to: number,
  buckets: number,
): number[] {
  const begin = firstAtLeast(moments, from);
  let end = firstAtLeast(moments, to);
  while (end < moments.length && (moments[end] as number) <= to) end++;
  const picked: number[] = [];
  if (begin > 0) picked.push(begin - 1);
  if (end - begin <= 2 * buckets) {
    for (let column = begin; column < end; column++) picked.push(column);
  } else {
    const span = (to - from) / buckets || 1;
    let column = begin;
    while (column < end) {
      const bucket = Math.floor(((moments[column] as number) - from) / span);
      let high = column;
      let low = column;
      for (; column < end && Math.floor(((moments[column] as number) - from) / span) === bucket; column++) {
        const value = total[column] as number;
        if (value > (total[high] as number) || Number.isNaN(total[high] as number)) high = column;
        if (value < (total[low] as number) || Number.isNaN(total[low] as number)) low = column;
      }
      picked.push(Math.min(high, low));
      if (high !== low) picked.push(Math.max(high, low));
    }
  }
  if (end < moments.length) picked.push(end);
  return picked;
}

/** The values of a line in picked columns; 0 if it has none: an absent process uses nothing. */
export function gather(line: { first: number; values: Float64Array }, columns: number[]): Float64Array {
  const gathered = new Float64Array(columns.length);
  addTo(gathered, line, columns);
  return gathered;
}

/** Adds a line's values in picked columns. */
export function addTo(sums: Float64Array, line: { first: number; values: Float64Array }, columns: number[]): void {
  const { first, values } = line;
  let low = 0;
  let high = columns.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((columns[middle] as number) < first) low = middle + 1;
    else high = middle;
  }
  const end = first + values.length;
  for (let at = low; at < columns.length && (columns[at] as number) < end; at++) {
    const value = values[(columns[at] as number) - first] as number;
    if (!Number.isNaN(value)) sums[at] = (sums[at] as number) + value;
  }
}

/** The upper edge of each layer when they are stacked, the lowest layer first. */
export function stack(layers: Float64Array[]): Float64Array[] {
  let below: Float64Array | null = null;
  return layers.map((layer) => {
    const edge = Float64Array.from(layer);
    if (below) for (let at = 0; at < edge.length; at++) edge[at] = (edge[at] as number) + (below[at] as number);
    below = edge;
    return edge;
  });
}
