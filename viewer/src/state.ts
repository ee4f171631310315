/** The user's view. It is kept in the URL's hash, so that a link restores it. */

import { GROUPINGS, type Grouping } from "./layers.ts";

export interface View {
  metric: string;
  by: Grouping;
  /** The time range; null: all of it. */
  range: [number, number] | null;
  /** The chosen moment. */
  at: number | null;
  /** The isolated layer, by its key. */
  only: string | null;
  filter: string;
  sort: string;
  descending: boolean;
  theme: "light" | "dark" | null;
}

/**
 * Browsers refuse a page that writes its address too often: it is written once the view rests for
 * this many ms.
 */
const REST = 120;

export type Listener = (view: View, changed: Set<keyof View>) => void;

/** Notifies all listeners, at most once a frame. */
export class State {
  private readonly listeners: Listener[] = [];
  private readonly changed = new Set<keyof View>();
  private frame = 0;
  private writing: ReturnType<typeof setTimeout> | undefined;

  constructor(
    public view: View,
    private readonly initial: View,
  ) {
    window.addEventListener("hashchange", () => {
      clearTimeout(this.writing);
      this.set(fromHash(location.hash, this.initial));
    });
  }

  listen(listener: Listener): void {
    this.listeners.push(listener);
  }

  /** Redraws everything at once: the colours have changed. */
  repaint(): void {
    this.changed.add("theme");
    cancelAnimationFrame(this.frame);
    this.tell();
  }

  set(change: Partial<View>): void {
    for (const key of Object.keys(change) as (keyof View)[]) {
      if (JSON.stringify(this.view[key]) !== JSON.stringify(change[key])) this.changed.add(key);
    }
    if (this.changed.size === 0) return;
    this.view = { ...this.view, ...change };
    this.frame ||= requestAnimationFrame(() => this.tell());
  }

  private tell(): void {
    this.frame = 0;
    const changed = new Set(this.changed);
    this.changed.clear();
    for (const listener of this.listeners) listener(this.view, changed);
    clearTimeout(this.writing);
    this.writing = setTimeout(() => this.write(), REST);
  }

  private write(): void {
    const hash = toHash(this.view, this.initial);
    if (hash !== location.hash) history.replaceState(null, "", hash || location.pathname + location.search);
  }
}

export function toHash(view: View, initial: View): string {
  const parts = new URLSearchParams();
  if (view.metric !== initial.metric) parts.set("metric", view.metric);
  if (view.by !== initial.by) parts.set("by", view.by);
  if (view.range) parts.set("t", view.range.map(short).join("-"));
  if (view.at !== null) parts.set("at", short(view.at));
  if (view.only !== null) parts.set("only", view.only);
  if (view.filter) parts.set("q", view.filter);
  if (view.sort !== initial.sort || view.descending !== initial.descending) {
    parts.set("sort", (view.descending ? "-" : "") + view.sort);
  }
  if (view.theme) parts.set("theme", view.theme);
  const text = parts.toString();
  return text ? `#${text}` : "";
}

/** Parses a hash: parts that cannot be read are ignored. */
export function fromHash(hash: string, initial: View): View {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const view = { ...initial };
  view.metric = parts.get("metric") ?? initial.metric;
  const by = parts.get("by");
  if (GROUPINGS.includes(by as Grouping)) view.by = by as Grouping;
  const range = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(parts.get("t") ?? "");
  if (range && Number(range[1]) < Number(range[2])) view.range = [Number(range[1]), Number(range[2])];
  const at = parts.get("at");
  if (at !== null && /^\d+(\.\d+)?$/.test(at)) view.at = Number(at);
  view.only = parts.get("only");
  view.filter = parts.get("q") ?? "";
  const sort = parts.get("sort");
  if (sort) {
    view.descending = sort.startsWith("-");
    view.sort = sort.replace(/^-/, "");
  }
  const theme = parts.get("theme");
  if (theme === "light" || theme === "dark") view.theme = theme;
  return view;
}

/** Microseconds are as exact as the record is. */
function short(seconds: number): string {
  return String(Math.round(Math.max(0, seconds) * 1e6) / 1e6);
}
