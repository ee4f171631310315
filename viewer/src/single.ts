/** The page of one run. */

import { Chart } from "./chart.ts";
import { controls, type Controls } from "./controls.ts";
import { h } from "./dom.ts";
import * as format from "./format.ts";
import { findings, header, measured, tiles } from "./header.ts";
import { Lanes } from "./lanes.ts";
import { keyboard, onClick, timeAt } from "./input.ts";
import { GROUPINGS, layersOf, type Layer } from "./layers.ts";
import { legend } from "./legend.ts";
import { Navigator } from "./navigate.ts";
import { paint, type Picture } from "./picture.ts";
import type { Run } from "./run.ts";
import { fromHash, State, type View } from "./state.ts";
import { Table } from "./table.ts";
import { atMoment, Tip } from "./tip.ts";

/**
 * The most processes that can be distinguished in one picture, and the most lanes that can be read.
 */
const READABLE = 64;
const LANES = 400;

export function single(run: Run, app: HTMLElement): void {
  const metrics = run.metrics;
  const initial: View = {
    metric: metrics[0] ?? run.head.primary_metric,
    by: run.rows(metrics[0] ?? "").size > READABLE || run.count > LANES ? "command" : "process",
    range: null,
    at: null,
    only: null,
    filter: "",
    sort: "value",
    descending: true,
    theme: null,
  };
  const state = new State(fromHash(location.hash, initial), initial);
  if (!metrics.includes(state.view.metric)) state.view.metric = initial.metric;
  const navigator = new Navigator(run, state);
  const tip = new Tip();
  let picture: Picture = paint(run, state.view.metric, state.view.by);

  const names = h("div", { class: "names" });
  const gutter = () => names.offsetWidth;
  const chart = new Chart(run, state, (seconds, x, y) => {
    tip.show(seconds === null ? null : atMoment(run, picture, seconds), x, y);
    lanes.point(seconds);
  });
  const lanes = new Lanes(run, state, gutter, (words, x, y, seconds) => {
    tip.show(words, x, y);
    lanes.point(seconds);
  });
  const table = new Table(run, state);
  const panel: Controls = controls(state, metrics, run.count > 1 ? GROUPINGS : []);
  const note = h("p", { class: "note" });

  const time = timeAt(chart.element, navigator);
  const width = () => chart.element.querySelector(".u-over")?.clientWidth || 1;
  navigator.attach(chart.element, time, width);
  onClick(chart.element, (event) => {
    const seconds = time(event.clientX);
    if (seconds === null) return;
    const column = run.columnAt(seconds);
    state.set({ at: column < 0 ? seconds : (run.moments[column] as number) });
  });
  lanes.element.addEventListener(
    "wheel",
    (event) => {
      // Without a modifier the lanes scroll.
      const around = time(event.clientX);
      if (!event.ctrlKey || around === null) return;
      event.preventDefault();
      navigator.zoom(Math.exp(Math.max(-100, Math.min(100, event.deltaY)) * 0.003), around);
    },
    { passive: false },
  );
  keyboard(navigator, panel.search);

  const hasTimeline = run.moments.length > 0;
  const isolate = (row: number) => state.set({ only: state.view.only === `p${row}` ? null : `p${row}` });
  app.append(
    header(run, panel.theme, panel.keys),
    tiles(run, {
      peak: () => {
        if (metrics.includes("memory")) state.set({ metric: "memory" });
        navigator.peak();
      },
      isolate,
    }),
    findings(run, isolate) ?? "",
    panel.element,
    h("section", { class: "sheet", hidden: !hasTimeline }, names, chart.element),
    note,
    h("section", { class: "lanesheet", hidden: run.count === 0 }, lanes.element),
    table.element,
    measured(run),
    tip.element,
  );

  const update = (view: View, changed: Set<keyof View> | null): void => {
    const has = (...keys: (keyof View)[]) => !changed || keys.some((key) => changed.has(key));
    if (has("metric", "by")) picture = paint(run, view.metric, view.by);
    if (has("theme")) panel.dress();
    const only = layerFor(run, picture, view.only);
    const rows = chosen(run, view, only);
    const range = navigator.range;
    const all = has("metric", "by", "theme");
    if (has("metric", "by", "range", "only", "theme")) {
      if (changed?.has("theme")) chart.repaint();
      chart.show(picture, only, range);
      chart.describe();
    } else if (has("at")) chart.redraw();
    if (all || has("at", "only")) names.replaceChildren(legend(run, picture, state));
    if (has("metric", "by", "range", "filter", "theme")) lanes.show(picture, range, filtered(run, view.filter));
    else lanes.draw();
    if (has("metric", "by", "range", "at", "only", "filter", "sort", "descending")) table.show(picture, range, rows);
    panel.update(view, only, range);
    const capped = picture.layers.some((layer) => layer.kind === "rest");
    note.hidden = !capped;
    if (capped) note.textContent = `The record keeps lines of ${format.count(run.rows(view.metric).size)} processes; the others, all smaller, are one grey layer. Their own peaks stand in the table.`;
  };
  lanes.reopen = () => lanes.show(picture, navigator.range, filtered(run, state.view.filter));
  state.listen(update);
  update(state.view, null);
}

/** The isolated layer; a single process can be isolated in any grouping. */
function layerFor(run: Run, picture: Picture, key: string | null): Layer | null {
  if (key === null) return null;
  const found = picture.layers.find((layer) => layer.key === key);
  if (found) return found;
  return layersOf(run, picture.metric, "process").find((layer) => layer.key === key) ?? null;
}

/** The rows that match the filter; null for all. */
export function filtered(run: Run, filter: string): Set<number> | null {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return null;
  const rows = new Set<number>();
  for (let row = 0; row < run.count; row++) {
    const text = [run.command(row), run.name(row), String(run.pid(row)), run.exe(row), run.text(run.head.processes.args[row]), run.text(run.head.processes.images[row])]
      .join(" ")
      .toLowerCase();
    if (words.every((word) => text.includes(word))) rows.add(row);
  }
  return rows;
}

function chosen(run: Run, view: View, only: Layer | null): Set<number> | null {
  const rows = filtered(run, view.filter);
  // A single row stays among the others, marked: another click deselects it.
  if (!only || only.kind !== "group") return rows;
  return new Set(only.rows.filter((row) => !rows || rows.has(row)));
}
