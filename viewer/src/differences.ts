/**
 * The differences of two runs by group: the first run, the second, and the difference as figure and
 * bar.
 */

import { h } from "./dom.ts";
import * as format from "./format.ts";
import type { Run } from "./run.ts";
import type { State } from "./state.ts";

export interface Difference {
  key: string;
  label: string;
  /** The value in each run; NaN if it has none. */
  values: [number, number];
  counts: [number, number];
  /** True if no process of the group existed: it certainly used nothing. */
  absent: [boolean, boolean];
}

/** The most rows that are listed; the filter finds the others. */
const LISTED = 500;

/** The growth; NaN if a side had the group but its memory was not read. */
function grown({ values, absent }: Difference): number {
  const [one, other] = values.map((value, place) => (absent[place] ? 0 : value)) as [number, number];
  return other - one;
}

export class Differences {
  readonly element: HTMLElement;
  private readonly caption = h("div", { class: "caption", "aria-live": "polite" });
  private readonly head = h("tr");
  private readonly body = h("tbody");
  private listed: Difference[] = [];

  constructor(
    _runs: [Run, Run],
    private readonly state: State,
  ) {
    const table = h("table", {}, h("thead", {}, this.head), this.body);
    const copy = h("button", { type: "button", onclick: () => void navigator.clipboard.writeText(this.csv()) }, "Copy as CSV");
    this.element = h("section", { class: "table" }, h("div", { class: "bar" }, this.caption, copy), h("div", { class: "scroller low", tabindex: 0 }, table));
  }

  show(all: Difference[], metric: string): void {
    const { filter, sort, descending, at, only } = this.state.view;
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const rank: Record<string, (entry: Difference) => number | string> = {
      group: ({ label }) => label.toLowerCase(),
      first: ({ values }) => values[0] || 0,
      second: ({ values }) => values[1] || 0,
      difference: (entry) => Math.abs(grown(entry)) || 0,
    };
    const by = rank[sort] ?? (rank["difference"] as (entry: Difference) => number);
    const way = descending ? -1 : 1;
    this.listed = all
      .filter(({ label }) => words.every((word) => label.toLowerCase().includes(word)))
      .sort((one, other) => {
        const [a, b] = [by(one), by(other)];
        return a < b ? -way : a > b ? way : one.key < other.key ? -1 : 1;
      });
    this.caption.textContent = `${format.count(this.listed.length)} groups, ${at === null ? `highest ${format.metricName(metric)} of each` : `at ${format.moment(at)}`}`;
    const columns: [string, string, boolean][] = [
      ["group", "Group", false],
      ["first", "A", true],
      ["second", "B", true],
      ["difference", "Difference", true],
    ];
    this.head.replaceChildren(
      ...columns.map(([key, title, numeric]) => {
        const active = key === sort;
        const cell = h(
          "th",
          { scope: "col", class: numeric ? "number" : "" },
          h("button", { type: "button", onclick: () => this.state.set(active ? { descending: !descending } : { sort: key, descending: numeric }) }, title, active ? (descending ? " ↓" : " ↑") : null),
        );
        if (active) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
        return cell;
      }),
      h("th", { scope: "col", class: "wide" }),
    );
    const most = Math.max(1, ...this.listed.map((entry) => Math.abs(grown(entry)) || 0));
    this.body.replaceChildren(...this.listed.slice(0, LISTED).map((entry) => this.row(entry, metric, most, only)));
  }

  private row(entry: Difference, metric: string, most: number, only: string | null): HTMLElement {
    const [one, other] = entry.values;
    const difference = grown(entry);
    const sides = entry.counts.map((count) => format.count(count)).join(" → ");
    const figure = (place: 0 | 1) => {
      const value = entry.values[place];
      return entry.absent[place] ? "–" : Number.isNaN(value) ? "not sampled" : format.value(metric, value);
    };
    const toggle = () => this.state.set({ only: only === entry.key ? null : entry.key });
    const bar = h("i", { class: difference > 0 ? "bar up" : "bar down" });
    bar.style.width = `${((Math.abs(difference) || 0) / most) * 50}%`;
    const percent = one > 0 && !Number.isNaN(other) ? ` (${difference < 0 ? "−" : "+"}${Math.abs((difference / one) * 100).toFixed(0)} %)` : "";
    return h(
      "tr",
      {
        tabindex: 0,
        "data-row": entry.key,
        "aria-selected": only === entry.key ? "true" : "false",
        onclick: toggle,
        onkeydown: (event) => {
          if (!["Enter", " "].includes((event as KeyboardEvent).key)) return;
          event.preventDefault();
          event.stopPropagation();
          toggle();
        },
      },
      h("td", {}, entry.label, h("span", { class: "faint" }, `  × ${sides}`)),
      ...([0, 1] as const).map((place) => h("td", { class: Number.isNaN(entry.values[place]) ? "number faint" : "number" }, figure(place))),
      h("td", { class: "number" }, entry.absent[0] && entry.absent[1] ? "–" : Number.isNaN(difference) ? "?" : difference === 0 ? "the same" : `${difference > 0 ? "+" : ""}${format.value(metric, difference)}${percent}`),
      h("td", { class: "bars", "aria-hidden": "true" }, bar),
    );
  }

  csv(): string {
    const quote = (text: string) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const figure = (value: number) => (Number.isNaN(value) ? "" : String(value));
    const rows = this.listed.map(({ label, values, counts }) => [quote(label), figure(values[0]), figure(values[1]), ...counts].join(","));
    return `group,a,b,a_processes,b_processes\n${rows.join("\n")}\n`;
  }
}
