/** What the charts, the lanes and the table share: the layers at hand and their colours. */

import { highest, layersOf, sum, type Grouping, type Layer } from "./layers.ts";
import { colour, GREY } from "./palette.ts";
import type { Metric, Run } from "./run.ts";

/** Layers with a colour of their own; what is smaller is stacked as one. */
const SHOWN = 12;
/** Single processes come in numbers, and neighbours are told apart by hovering. */
const SHOWN_PROCESSES = 36;

export interface Picture {
  metric: Metric;
  by: Grouping;
  /** All layers, the highest first. */
  layers: Layer[];
  /** Those with a colour of their own. */
  shown: Layer[];
  /** The others. */
  small: Layer[];
  /** The whole, column by column. */
  total: Float64Array;
  colourOf(layer: Layer): string;
  /** The layer that a process belongs to. */
  layerOf(row: number): Layer | null;
}

export function paint(run: Run, metric: Metric, by: Grouping): Picture {
  const layers = layersOf(run, metric, by);
  const limit = by === "process" ? SHOWN_PROCESSES : SHOWN;
  const own = layers.filter((layer) => layer.kind !== "rest");
  // A single one more gets its colour, too: "1 other" says less than its name.
  const shown = own.length <= limit + 1 ? own : own.slice(0, limit);
  const small = [...own.slice(shown.length), ...layers.filter((layer) => layer.kind === "rest")];
  const places = new Map(shown.map((layer, place) => [layer.key, place]));
  const byRow = new Map<number, Layer>();
  for (const layer of layers) for (const row of layer.rows) byRow.set(row, layer);
  return {
    metric,
    by,
    layers,
    shown,
    small,
    total: totalOf(run, metric, layers),
    colourOf(layer) {
      const place = places.get(layer.key);
      return place === undefined ? GREY : colour(place);
    },
    layerOf: (row) => byRow.get(row) ?? null,
  };
}

function totalOf(run: Run, metric: Metric, layers: Layer[]): Float64Array {
  const series = run.total(metric) ?? { ...sum(layers) };
  const total = new Float64Array(run.moments.length).fill(NaN);
  total.set(series.values.subarray(0, total.length - series.first), series.first);
  return total;
}

/** How high the chart must reach in a range of columns. */
export function ceiling(total: Float64Array, from: number, to: number): number {
  return highest(total, from, to);
}
