/** Makes texts from a job safe to show: crates/hwm/src/text/visible.rs has the same rule. */

/** Characters that act on their neighbours or show nothing of themselves. */
const HIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u{fff9}-\u{fffb}]/gu;
/** The blocks of scripts that are written from right to left. */
const RIGHT_TO_LEFT = /[\u{590}-\u{8ff}\u{fb1d}-\u{fdff}\u{fe70}-\u{fefe}\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const SHORT: Record<string, string> = { "\n": "\\n", "\t": "\\t", "\r": "\\r" };

function escape(character: string): string {
  const code = character.codePointAt(0) as number;
  return SHORT[character] ?? (code < 0x100 && code !== 0xad ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`);
}

/**
 * Makes hidden characters visible. A text with right-to-left writing is isolated, so that it cannot turn the figures
 * beside it. FSI and PDI of Unicode's bidirectional algorithm do so; canvas, titles and elements follow them.
 */
export function visible(text: string): string {
  const shown = text.replace(HIDDEN, escape);
  return RIGHT_TO_LEFT.test(shown) ? `\u2068${shown}\u2069` : shown;
}

/** The same for all texts within a value. */
export function allVisible<T>(value: T): T {
  if (typeof value === "string") return visible(value) as T;
  if (Array.isArray(value)) return value.map(allVisible) as T;
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, allVisible(part)])) as T;
}
