/** Pointer actions on a chart: hovering names the moment, and dragging selects a range. */

import type uPlot from "uplot";
import type { State } from "./state.ts";

/** The narrowest drag; a narrower one is an unsteady click. */
const NARROWEST = 4;

export const CURSOR: uPlot.Cursor = { drag: { x: true, y: false, setScale: false }, points: { show: false }, y: false };

type Hovered = (seconds: number | null, x: number, y: number) => void;

/** Makes the hooks of a chart. */
export function pointer(hovered: Hovered, state: State): Pick<uPlot.Hooks.Arrays, "setCursor" | "setSelect"> {
  return {
    setCursor: [
      (plot) => {
        const { left, top } = plot.cursor;
        const inside = left !== undefined && left >= 0 && top !== undefined;
        const box = plot.over.getBoundingClientRect();
        hovered(inside ? plot.posToVal(left, "x") : null, box.left + (left ?? 0), box.top + (top ?? 0));
      },
    ],
    setSelect: [
      (plot) => {
        const { left, width } = plot.select;
        if (width < NARROWEST) return;
        const range: [number, number] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
        plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        state.set({ range });
      },
    ],
  };
}
