/** Switches above the charts. */

import { dress, h } from "./dom.ts";
import * as format from "./format.ts";
import type { Grouping, Layer } from "./layers.ts";
import type { State, View } from "./state.ts";

export interface Controls {
  element: HTMLElement;
  search: HTMLInputElement;
  theme: HTMLElement;
  keys: HTMLElement;
  update(view: View, only: Layer | null, range: [number, number]): void;
  /** Applies the theme to the page. */
  dress(): void;
}

const NAMES: Record<string, string> = { process: "Process", name: "Name", command: "Command", exe: "Executable", tree: "Tree" };

export function controls(state: State, metrics: string[], groupings: readonly Grouping[]): Controls {
  const choose = (name: string, choices: [string, string, string][], current: () => string, set: (value: string) => void) => {
    const buttons = choices.map(([value, label, title]) =>
      h("button", { type: "button", title, "data-value": value, onclick: () => set(value) }, label),
    );
    const element = h("div", { class: "switch", role: "group", "aria-label": name }, h("span", {}, name), ...buttons);
    const update = () => {
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset["value"] === current()));
    };
    return { element, update };
  };
  const metric = choose(
    "Show",
    metrics.map((metric) => [metric, format.metricTitle(metric), format.metricMeaning(metric)]),
    () => state.view.metric,
    (metric) => state.set({ metric }),
  );
  const by = choose(
    "By",
    groupings.map((by) => [by, NAMES[by] ?? by, by === "tree" ? "each branch of the process tree" : `by ${by}`]),
    () => state.view.by,
    (by) => state.set({ by: by as View["by"], only: null }),
  );
  const search = h("input", {
    type: "search",
    placeholder: "Filter processes  /",
    "aria-label": "Filter processes by name, command, pid, path or arguments",
    oninput: () => state.set({ filter: search.value }),
  });
  const zoomed = h("button", { type: "button", class: "pill", onclick: () => state.set({ range: null }) });
  const moment = h("button", { type: "button", class: "pill accent", onclick: () => state.set({ at: null }) });
  const isolated = h("button", { type: "button", class: "pill", onclick: () => state.set({ only: null }) });
  let printing = false;
  const isDark = () => !printing && (state.view.theme ? state.view.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const theme = h("button", { type: "button", onclick: () => state.set({ theme: isDark() ? "light" : "dark" }) });
  const wear = () => {
    dress(isDark() ? "dark" : "light");
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => state.view.theme === null && redress());
  const redress = () => {
    wear();
    state.repaint();
  };
  // The theme for printing is light.
  for (const [event, begins] of [["beforeprint", true], ["afterprint", false]] as const) {
    window.addEventListener(event, () => {
      printing = begins;
      redress();
    });
  }
  return {
    element: h(
      "div",
      { class: "controls" },
      metrics.length > 1 ? metric.element : null,
      groupings.length > 1 ? by.element : null,
      h("div", { class: "find" }, h("div", { class: "pills" }, moment, isolated, zoomed), search),
    ),
    search,
    theme,
    keys: keys(),
    dress: wear,
    update(view, only, range) {
      metric.update();
      by.update();
      if (search.value !== view.filter) search.value = view.filter;
      zoomed.hidden = view.range === null;
      zoomed.textContent = `${format.moment(range[0])} – ${format.moment(range[1])}  ✕`;
      zoomed.title = "show all (0)";
      moment.hidden = view.at === null;
      moment.textContent = `at ${format.moment(view.at ?? 0)}  ✕`;
      moment.title = "back to the range (Escape)";
      isolated.hidden = only === null;
      isolated.textContent = `only ${only?.label ?? ""}  ✕`;
      isolated.title = "show all again (Escape)";
    },
  };
}

const KEYS: [string, string][] = [
  ["drag", "zoom into a range"],
  ["wheel", "zoom at the mouse (over the lanes: with Ctrl)"],
  ["Shift + drag, Shift + wheel", "pan"],
  ["double-click, 0", "show all"],
  ["click", "choose a moment; a name: show it alone"],
  ["← →", "the sample before, or next"],
  ["Page Up, Page Down", "ten samples"],
  ["Shift + ← →", "pan"],
  ["+ −", "zoom"],
  ["p", "to the peak"],
  ["/", "filter"],
  ["Escape", "let go of moment and selection"],
];

function keys(): HTMLElement {
  const list = h("dl", {}, ...KEYS.flatMap(([key, meaning]) => [h("dt", {}, key), h("dd", {}, meaning)]));
  return h("details", { class: "keys" }, h("summary", {}, "Keys"), list);
}
