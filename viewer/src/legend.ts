/** The layers by name and colour, beside the chart; a click isolates one. */

import { h } from "./dom.ts";
import * as format from "./format.ts";
import type { Picture } from "./picture.ts";
import { valueAt, type Run } from "./run.ts";
import type { State } from "./state.ts";

export function legend(run: Run, picture: Picture, state: State): HTMLElement {
  const { at, only } = state.view;
  const column = at === null ? -1 : run.columnAt(at);
  const figure = (layer: { highest: number; first: number; values: Float64Array }) => {
    if (column < 0) return format.value(picture.metric, layer.highest);
    const value = valueAt(layer, column);
    return Number.isNaN(value) ? "–" : format.value(picture.metric, value);
  };
  const items = picture.shown.map((layer) => {
    const chip = h("i", { class: "chip" });
    chip.style.background = picture.colourOf(layer);
    return h(
      "li",
      {},
      h(
        "button",
        {
          type: "button",
          "aria-pressed": only === layer.key ? "true" : "false",
          title: `${layer.label}: show it alone`,
          onclick: () => state.set({ only: only === layer.key ? null : layer.key }),
        },
        chip,
        h("span", {}, layer.label),
        h("b", {}, figure(layer)),
      ),
    );
  });
  if (picture.small.length > 0) {
    const rest = picture.small.find((layer) => layer.kind === "rest");
    const own = picture.small.length - (rest ? 1 : 0);
    const words = [own > 0 ? `${format.count(own)} smaller` : "", rest ? "all without a line of their own" : ""].filter(Boolean).join(", ");
    items.push(h("li", { class: "others" }, h("i", { class: "chip none" }), h("span", { title: words }, words)));
  }
  return h(
    "div",
    { class: "legend" },
    h("div", { class: "caption" }, column < 0 ? "highest" : `at ${format.moment(run.moments[column] as number)}`),
    h("ul", {}, ...items),
  );
}
