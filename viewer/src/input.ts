/** Clicks and keys that both pages understand. */

import type { Navigator } from "./navigate.ts";

/** The moment at an x coordinate of the window; null beside the chart. */
export function timeAt(chart: HTMLElement, navigator: Navigator): (clientX: number) => number | null {
  return (clientX) => {
    const over = chart.querySelector(".u-over");
    if (!over) return null;
    const box = over.getBoundingClientRect();
    if (clientX < box.left || clientX > box.right || box.width === 0) return null;
    const [from, to] = navigator.range;
    return from + ((clientX - box.left) / box.width) * (to - from);
  };
}

/** A click that was no drag. */
export function onClick(element: HTMLElement, action: (event: MouseEvent) => void): void {
  let down: [number, number] | null = null;
  element.addEventListener("pointerdown", (event) => (down = event.shiftKey ? null : [event.clientX, event.clientY]), true);
  element.addEventListener("pointerup", (event) => {
    if (down && Math.abs(event.clientX - down[0]) < 4 && Math.abs(event.clientY - down[1]) < 4) action(event);
    down = null;
  });
}

export function keyboard(navigator: Navigator, search: HTMLInputElement): void {
  window.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (target.closest("input, select, textarea")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (event.key === "/") {
      event.preventDefault();
      return search.focus();
    }
    // A focused table or lanes scroll.
    if (target.closest(".scroller, .lanes") && /^(ArrowUp|ArrowDown|Page|Home|End)/.test(event.key)) return;
    if (navigator.key(event)) event.preventDefault();
  });
}
