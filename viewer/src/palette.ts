/**
 * Colours of layers, distinguishable in light and dark themes and with most kinds of colour
 * blindness.
 */

const COLOURS = [
  "#4c7fe0", "#f0a03c", "#2fa58a", "#d9587a", "#8b6fd6", "#74b352",
  "#e2733f", "#35a3cf", "#b95fa6", "#a98f4a", "#6a7db8", "#c9899a",
];

/** The colour of everything that has no colour of its own. */
export const GREY = "#98a1ae";

/** The second dozen is lighter, the third darker. */
export function colour(place: number): string {
  return shade(COLOURS[place % COLOURS.length] as string, Math.floor(place / COLOURS.length));
}

/** Shades of one colour that can be distinguished side by side. */
export function shade(hex: string, place: number): string {
  const [target, part] = ([[255, 0], [255, 0.24], [0, 0.16], [255, 0.4]] as const)[place % 4] ?? [255, 0];
  const mixed = [1, 3, 5].map((at) => {
    const own = parseInt(hex.slice(at, at + 2), 16);
    return Math.round(own + (target - own) * part).toString(16).padStart(2, "0");
  });
  return `#${mixed.join("")}`;
}

export function faded(hex: string, alpha: number): string {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}
