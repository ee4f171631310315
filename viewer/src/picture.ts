/** The common data of charts, lanes and table: the layers and their colours. */

import { highest, layersOf, spread, sum, type Grouping, type Layer } from "./layers.ts";
import { colour, GREY, shade } from "./palette.ts";
import type { Metric, Run } from "./run.ts";

/** The most layers with their own colour; smaller ones are stacked as one. */
const SHOWN = 12;
/** The limit for single processes, which are many and identified by hovering. */
const SHOWN_PROCESSES = 36;

export interface Picture {
  metric: Metric;
  by: Grouping;
  /** All layers, the highest first. */
  layers: Layer[];
  /** The layers with their own colour. */
  shown: Layer[];
  /** The others. */
  small: Layer[];
  /** The total by column. */
  total: Float64Array;
  colourOf(layer: Layer): string;
  /** The layer that a process belongs to. */
  layerOf(row: number): Layer | null;
}

export function paint(run: Run, metric: Metric, by: Grouping): Picture {
  const layers = layersOf(run, metric, by);
  const limit = by === "process" ? SHOWN_PROCESSES : SHOWN;
  const own = layers.filter((layer) => layer.kind !== "rest");
  // A single layer beyond the limit gets its colour, too: "1 other" says less than its name.
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
    total: spread(run.total(metric) ?? sum(layers), run.moments.length),
    colourOf(layer) {
      const place = places.get(layer.key);
      return place === undefined ? GREY : colour(place);
    },
    layerOf: (row) => byRow.get(row) ?? null,
  };
}

/** A piece of the stack: a layer, or a process of it that is large enough to be distinguished. */
export interface Piece {
  line: Pick<Layer, "first" | "values">;
  colour: string;
}

/** The most processes that are drawn by themselves inside their groups. */
const TOLD_APART = 36;

/**
 * The layers with their large members in shades of the layer's colour, so that their number is
 * visible.
 */
export function pieces(run: Run, picture: Picture, layers: Layer[]): Piece[] {
  const lines = run.rows(picture.metric);
  const least = highest(picture.total) / 100;
  const large = layers
    .filter((layer) => layer.kind === "group")
    .flatMap((layer) => layer.rows)
    .map((row) => ({ row, most: run.highest(lines.get(row)) }))
    .filter(({ most }) => most > least)
    .sort((one, other) => other.most - one.most)
    .slice(0, TOLD_APART);
  const apart = new Set(large.map(({ row }) => row));
  return layers.flatMap((layer) => {
    const own = picture.colourOf(layer);
    const members = layer.kind === "group" ? layer.rows.filter((row) => lines.has(row)) : [];
    const single = members.filter((row) => apart.has(row));
    if (members.length < 2 || single.length === 0) return [{ line: layer, colour: own }];
    const rest = members.filter((row) => !apart.has(row)).map((row) => lines.get(row)).filter((line) => line !== undefined);
    const found: Piece[] = single.map((row, place) => ({ line: lines.get(row) ?? layer, colour: shade(own, place) }));
    if (rest.length > 0) found.push({ line: sum(rest), colour: shade(own, single.length) });
    return found;
  });
}
