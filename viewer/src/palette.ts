/** Colours of layers: told apart in light and dark, and with most colour blindness. */

const COLOURS = [
  "#4c7fe0", "#f0a03c", "#2fa58a", "#d9587a", "#8b6fd6", "#74b352",
  "#e2733f", "#35a3cf", "#b95fa6", "#a98f4a", "#6a7db8", "#c9899a",
];

/** For everything that has no colour of its own. */
export const GREY = "#98a1ae";

export function colour(place: number): string {
  return COLOURS[place % COLOURS.length] as string;
}

export function faded(hex: string, alpha: number): string {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}
