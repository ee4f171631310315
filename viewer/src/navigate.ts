/** Moving through time by wheel, drag and keys. */

import type { PeakInterval } from "./payload.ts";
import type { State } from "./state.ts";

/** The range that can be navigated: one run, or two on one axis. */
export interface Course {
  duration: number;
  moments: Float64Array;
  columnAt(seconds: number): number;
  head: { peak: { memory?: PeakInterval | null; rss: PeakInterval | null } };
}

export class Navigator {
  constructor(
    private readonly run: Course,
    private readonly state: State,
  ) {}

  get whole(): [number, number] {
    return [0, this.run.duration > 0 ? this.run.duration : 1];
  }

  get range(): [number, number] {
    const { range } = this.state.view;
    const [begin, end] = this.whole;
    if (!range) return [begin, end];
    const from = Math.max(begin, Math.min(range[0], end));
    const to = Math.max(from, Math.min(range[1], end));
    return to - from > 0 ? [from, to] : [begin, end];
  }

  /** Zooms around a moment; a factor below 1 zooms in. */
  zoom(factor: number, around: number): void {
    const [from, to] = this.range;
    const [begin, end] = this.whole;
    const span = Math.max((to - from) * factor, 1e-4);
    if (span >= end - begin) return this.state.set({ range: null });
    const left = Math.min(Math.max(begin, around - ((around - from) / (to - from)) * span), end - span);
    this.state.set({ range: [left, left + span] });
  }

  pan(seconds: number): void {
    const [from, to] = this.range;
    const [begin, end] = this.whole;
    const move = Math.min(Math.max(seconds, begin - from), end - to);
    if (move !== 0) this.state.set({ range: [from + move, to + move] });
  }

  reset(): void {
    this.state.set({ range: null });
  }

  /** Selects the next sample, or one some steps away, and scrolls it into view. */
  step(steps: number): void {
    const { moments } = this.run;
    if (moments.length === 0) return;
    const { at } = this.state.view;
    const start = at === null ? this.run.columnAt(steps > 0 ? this.range[0] : this.range[1]) : this.run.columnAt(at) + steps;
    this.go(moments[Math.max(0, Math.min(moments.length - 1, start))] as number);
  }

  go(seconds: number): void {
    const [from, to] = this.range;
    const change = seconds < from || seconds > to ? seconds - (from + to) / 2 : 0;
    this.state.set({ at: seconds });
    if (change !== 0) this.pan(change);
  }

  /**
   * Goes to the peak memory: its sample, or the middle of the time in which a high-water mark places it.
   */
  peak(): void {
    const { memory, rss } = this.run.head.peak;
    const peak = memory ?? rss;
    const between = peak?.between_seconds;
    const at = peak?.at_seconds ?? (between ? (between[0] + between[1]) / 2 : null);
    if (at !== null && at !== undefined) this.go(at);
  }

  /** Wheel zooms, shift-drag pans, double-click shows all; `time` maps a coordinate to a moment. */
  attach(element: HTMLElement, time: (clientX: number) => number | null, width: () => number): void {
    element.addEventListener(
      "wheel",
      (event) => {
        const around = time(event.clientX);
        if (around === null || (event.deltaY === 0 && event.deltaX === 0)) return;
        event.preventDefault();
        const [from, to] = this.range;
        if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
          this.pan((((event.deltaX || event.deltaY) / width()) * (to - from)));
        } else this.zoom(Math.exp(Math.max(-100, Math.min(100, event.deltaY)) * 0.003), around);
      },
      { passive: false },
    );
    element.addEventListener("dblclick", () => this.reset());
    // This runs before the chart's own dragging.
    element.addEventListener(
      "pointerdown",
      (event) => {
        if (!event.shiftKey || event.button !== 0 || time(event.clientX) === null) return;
        let last = event.clientX;
        const move = (moved: PointerEvent) => {
          const [from, to] = this.range;
          this.pan(((last - moved.clientX) / width()) * (to - from));
          last = moved.clientX;
        };
        const up = () => {
          window.removeEventListener("pointermove", move);
          window.removeEventListener("pointerup", up);
        };
        window.addEventListener("pointermove", move);
        window.addEventListener("pointerup", up);
      },
      true,
    );
    element.addEventListener("mousedown", (event) => event.shiftKey && event.stopPropagation(), true);
  }

  /** Returns whether the key was handled. */
  key(event: KeyboardEvent): boolean {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const [from, to] = this.range;
    const span = to - from;
    switch (event.key) {
      case "ArrowRight":
      case "ArrowLeft": {
        const way = event.key === "ArrowRight" ? 1 : -1;
        if (event.shiftKey) this.pan(way * span * 0.1);
        else this.step(way);
        return true;
      }
      case "PageUp":
      case "PageDown":
        this.step(event.key === "PageDown" ? 10 : -10);
        return true;
      case "+":
      case "=":
        this.zoom(0.6, this.state.view.at ?? (from + to) / 2);
        return true;
      case "-":
        this.zoom(1 / 0.6, this.state.view.at ?? (from + to) / 2);
        return true;
      case "0":
      case "Home":
        this.reset();
        return true;
      case "p":
        this.peak();
        return true;
      case "Escape":
        this.state.set({ at: null, only: null });
        return true;
      default:
        return false;
    }
  }
}
