/**
 * The page of two runs: the first as an area, the second as a line over it, and the differences by
 * group.
 */

import { controls } from "./controls.ts";
import { h } from "./dom.ts";
import * as format from "./format.ts";
import { exit, facts } from "./header.ts";
import { keyboard, onClick, timeAt } from "./input.ts";
import { groupLabel, layersOf, members, spread, type Grouping, type Layer } from "./layers.ts";
import { Navigator } from "./navigate.ts";
import { Differences, type Difference } from "./differences.ts";
import { PairChart } from "./pairchart.ts";
import { paint, type Picture } from "./picture.ts";
import { valueAt, type Run } from "./run.ts";
import { fromHash, State, type View } from "./state.ts";
import { Tip } from "./tip.ts";

/** Processes of two runs cannot be matched; names, commands and executables can. */
const COMPARABLE: Grouping[] = ["command", "name", "exe"];

/** The metric of the job as a whole, in which each page counts once: no process has a line of it. */
const MEMORY = "memory";

/** The metric by which groups are compared. */
const metricOfGroups = ({ head }: Run, metric: string) => (metric === MEMORY ? head.primary_metric : metric);

export function pair(first: Run, second: Run, app: HTMLElement): void {
  const runs: [Run, Run] = [first, second];
  const shared = runs.every((run) => run.total(MEMORY) !== null) ? [MEMORY] : [];
  const metrics = [...new Set([...shared, ...first.metrics, ...second.metrics])];
  const initial: View = {
    metric: metrics[0] ?? first.head.primary_metric,
    by: "command",
    range: null,
    at: null,
    only: null,
    filter: "",
    sort: "difference",
    descending: true,
    theme: null,
  };
  const state = new State(fromHash(location.hash, initial), initial);
  if (!metrics.includes(state.view.metric)) state.view.metric = initial.metric;
  if (!COMPARABLE.includes(state.view.by)) state.view.by = initial.by;
  const longer = first.duration > second.duration ? first : second;
  const course = {
    duration: longer.duration,
    moments: longer.moments,
    columnAt: (seconds: number) => longer.columnAt(seconds),
    head: second.head,
  };
  const navigator = new Navigator(course, state);
  const tip = new Tip();
  const panel = controls(state, metrics, COMPARABLE);
  const painted = ({ metric, by }: View) => runs.map((run) => paint(run, metricOfGroups(first, metric), by)) as [Picture, Picture];
  let pictures = painted(state.view);
  let layers: [Layer | null, Layer | null] = [null, null];
  let drawn = lines(runs, pictures, layers, state.view);
  const chart = new PairChart(runs, state, (seconds, x, y) => {
    tip.show(seconds === null ? null : words(runs, drawn, shownMetric(state.view), seconds), x, y);
  });
  const table = new Differences(runs, state);
  const shownMetric = ({ metric, only }: View) => (only === null ? metric : metricOfGroups(first, metric));

  const time = timeAt(chart.element, navigator);
  navigator.attach(chart.element, time, () => chart.element.querySelector(".u-over")?.clientWidth || 1);
  onClick(chart.element, (event) => {
    const seconds = time(event.clientX);
    if (seconds !== null) state.set({ at: seconds });
  });
  keyboard(navigator, panel.search);

  app.append(
    h(
      "header",
      {},
      h("div", { class: "title" }, h("div", { class: "two" }, ...runs.map(title)), h("div", { class: "tools" }, panel.theme, panel.keys)),
      ...runs.flatMap((run, place) => (run.moments.length > 0 ? [] : [h("p", { class: "note" }, `${"AB"[place]} has no timeline: only its figures are shown.`)])),
    ),
    tiles(runs),
    panel.element,
    h("section", { class: "sheet wide" }, chart.element),
    table.element,
    h("p", { class: "faint foot" }, "Whether a growth is a regression, and not the scatter of runs, says hwm compare."),
    tip.element,
  );

  const update = (view: View, changed: Set<keyof View> | null): void => {
    const has = (...keys: (keyof View)[]) => !changed || keys.some((key) => changed.has(key));
    if (has("metric", "by")) pictures = painted(view);
    if (has("theme")) panel.dress();
    layers = pictures.map((picture) => picture.layers.find((layer) => layer.key === view.only) ?? null) as typeof layers;
    const range = navigator.range;
    if (has("metric", "by", "only")) drawn = lines(runs, pictures, layers, view);
    if (has("metric", "by", "range", "only", "theme")) chart.show(shownMetric(view), drawn, range, view.only === null, changed?.has("theme") ?? false);
    else if (has("at")) chart.redraw();
    const metric = metricOfGroups(first, view.metric);
    table.show(differences(runs, view, metric), metric);
    panel.update(view, layers[0] ?? layers[1], range);
  };
  state.listen(update);
  update(state.view, null);
}

function title(run: Run, place: number): HTMLElement {
  const chip = h("i", { class: `badge ${"ab"[place]}` }, "AB"[place] ?? "");
  const command = run.head.command.join(" ");
  return h("div", {}, h("h1", { title: command }, chip, command || "no command"), h("p", { class: "facts" }, facts(run.head)));
}

function tiles([first, second]: [Run, Run]): HTMLElement {
  const tile = (name: string, one: string, other: string, change: string, worse: boolean | null) =>
    h(
      "div",
      { class: "tile" },
      h("div", { class: "name" }, name),
      h("div", { class: "figure pairwise" }, h("span", { class: "was" }, one), " → ", h("span", {}, other)),
      h("div", { class: worse === null ? "words" : worse ? "words up" : "words down" }, change),
    );
  const sized = (name: string, one: { bytes: number; certainty: string } | null, other: { bytes: number; certainty: string } | null) =>
    one || other
      ? tile(
          name,
          one ? format.sign(one.certainty) + format.bytes(one.bytes) : "?",
          other ? format.sign(other.certainty) + format.bytes(other.bytes) : "?",
          change(one?.bytes, other?.bytes, format.bytes),
          one && other && one.bytes !== other.bytes ? other.bytes > one.bytes : null,
        )
      : null;
  const [one, other] = [first.head, second.head];
  const all = [
    ...(one.peak.memory && other.peak.memory
      ? [sized("Peak memory", one.peak.memory, other.peak.memory), sized("Peak of the RSS sum", one.peak.rss, other.peak.rss)]
      : [sized("Peak memory", one.peak.rss, other.peak.rss)]),
    sized("Peak PSS", one.peak.pss, other.peak.pss),
    ...one.peak.gpu.map((gpu) => sized(`GPU: ${gpu.name ?? gpu.id}`, gpu.vram, other.peak.gpu.find(({ id }) => id === gpu.id)?.vram ?? null)),
    sized("Cgroup peak", one.peak.cgroup, other.peak.cgroup),
    tile("Duration", format.seconds(one.duration_seconds), format.seconds(other.duration_seconds), change(one.duration_seconds, other.duration_seconds, format.seconds), null),
    tile("Processes", format.count(one.capture.processes_seen), format.count(other.capture.processes_seen), change(one.capture.processes_seen, other.capture.processes_seen, format.count), null),
    tile("End", exit(one), exit(other), "", null),
  ];
  all[0]?.classList.add("hero");
  return h("div", { class: "tiles" }, ...all.filter((element) => element !== null));
}

/** The growth, also in percent. */
export function change(one: number | undefined, other: number | undefined, words: (value: number) => string): string {
  if (one === undefined || other === undefined) return "not known on one side";
  if (one === other) return "the same";
  const sign = other > one ? "+" : "−";
  const percent = one > 0 ? ` (${sign}${((Math.abs(other - one) / one) * 100).toFixed(1)} %)` : "";
  return `${sign}${words(Math.abs(other - one))}${percent}`;
}

/** The line of each run: the chosen group, or the whole job. */
function lines(runs: [Run, Run], pictures: [Picture, Picture], layers: [Layer | null, Layer | null], view: View): [Float64Array, Float64Array] {
  const line = (place: 0 | 1) => {
    const { total } = pictures[place];
    if (view.only !== null) return spread(layers[place], total.length);
    return view.metric === MEMORY ? spread(runs[place].total(MEMORY), total.length) : total;
  };
  return [line(0), line(1)];
}

/** The differences by group: the peak of each side, or its value at the chosen moment. */
function differences(runs: [Run, Run], view: View, metric: string): Difference[] {
  const by = view.by === "exe" || view.by === "name" ? view.by : "command";
  const found = new Map<string, Difference>();
  runs.forEach((run, place) => {
    const { at } = view;
    const column = at === null || at > run.duration ? -1 : run.columnAt(at);
    const layers = new Map(layersOf(run, metric, by).map((layer) => [layer.key, layer]));
    const groups = members(run, by);
    // Devices and whole-job lines have no members.
    for (const layer of layers.values()) if (!groups.has(layer.key)) groups.set(layer.key, []);
    for (const [key, rows] of groups) {
      const layer = layers.get(key);
      const label = layer?.label ?? groupLabel(run, key, rows);
      const entry = found.get(key) ?? { key, label, values: [NaN, NaN], counts: [0, 0], absent: [true, true] };
      if (layer) entry.values[place] = at === null ? layer.highest : column < 0 ? NaN : valueAt(layer, column);
      entry.counts[place] = rows.length;
      entry.absent[place] = rows.length > 0 ? at !== null && !rows.some((row) => run.isAlive(row, at, at)) : !layer;
      found.set(key, entry);
    }
  });
  return [...found.values()];
}

function words(runs: [Run, Run], drawn: [Float64Array, Float64Array], metric: string, seconds: number): Node {
  const values = runs.map((run, place) => {
    const column = seconds > run.duration ? -1 : run.columnAt(seconds);
    return drawn[place]?.[column] ?? NaN;
  });
  const [one, other] = values as [number, number];
  const entry = (place: number, value: number) =>
    h("div", { class: "entry" }, h("i", { class: `badge small ${"ab"[place]}` }, "AB"[place] ?? ""), h("span", {}), h("b", {}, Number.isNaN(value) ? "–" : format.value(metric, value)));
  return h(
    "div",
    {},
    h("div", { class: "when" }, h("span", {}, format.moment(seconds))),
    entry(0, one),
    entry(1, other),
    Number.isNaN(one) || Number.isNaN(other) ? null : h("div", { class: "faint" }, change(one, other, (value) => format.value(metric, value))),
  );
}

