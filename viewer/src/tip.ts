/** The tooltip beside the mouse. */

import { h } from "./dom.ts";
import * as format from "./format.ts";
import type { Picture } from "./picture.ts";
import { valueAt, type Run } from "./run.ts";

const LISTED = 8;

export class Tip {
  readonly element = h("div", { class: "tip", role: "status", hidden: true });

  show(content: Node | null, x: number, y: number): void {
    this.element.hidden = content === null;
    if (!content) return;
    this.element.replaceChildren(content);
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const left = x + 18 + width < innerWidth ? x + 18 : Math.max(4, x - 18 - width);
    const top = Math.max(4, Math.min(y + 12, innerHeight - height - 8));
    this.element.style.transform = `translate(${left}px, ${top}px)`;
  }
}

/** The exact moment, the total, and the largest processes. */
export function atMoment(run: Run, picture: Picture, seconds: number): Node | null {
  const column = run.columnAt(seconds);
  if (column < 0) return null;
  const { metric } = picture;
  const entries = picture.layers
    .map((layer) => ({ layer, value: valueAt(layer, column) }))
    .filter(({ value }) => value > 0)
    .sort((one, other) => other.value - one.value);
  const total = picture.total[column] as number;
  const series = run.total(metric);
  const memory = metric === "rss" ? run.total("memory") : null;
  const once = memory ? valueAt(memory, column) : NaN;
  const low = series?.low?.[column - series.first];
  const rest = entries.slice(LISTED);
  const missing = total - entries.reduce((sum, { value }) => sum + value, 0);
  const others = rest.reduce((sum, { value }) => sum + value, 0);
  return h(
    "div",
    {},
    h("div", { class: "when" }, h("span", {}, format.moment(run.moments[column] as number)), h("b", {}, format.value(metric, total))),
    ...entries.slice(0, LISTED).map(({ layer, value }) => {
      const chip = h("i", { class: "chip" });
      chip.style.background = picture.colourOf(layer);
      return h("div", { class: "entry" }, chip, h("span", {}, layer.label), h("b", {}, format.value(metric, value)));
    }),
    once > 0
      ? h("div", { class: "entry" }, h("i", { class: "chip none" }), h("span", {}, "each page counted once"), h("b", {}, format.value("memory", once)))
      : null,
    rest.length > 0 ? h("div", { class: "entry faint" }, h("i", { class: "chip none" }), h("span", {}, `${rest.length} more`), h("b", {}, format.value(metric, others))) : null,
    missing > total * 0.02 && format.isRate(metric)
      ? h("div", { class: "entry faint" }, h("i", { class: "chip none" }), h("span", {}, "too short to be sampled"), h("b", {}, format.value(metric, missing)))
      : null,
    format.isRate(metric) ? h("div", { class: "faint" }, `averaged over ${format.seconds(run.rateSpan)} or more`) : null,
    low !== undefined && low < total ? h("div", { class: "faint" }, `samples merged here; the total was down to ${format.value(metric, low)}`) : null,
  );
}
