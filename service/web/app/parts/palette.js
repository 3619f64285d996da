// Colours of labels: far apart for neighbours in the list, readable on light and on dark.

const GOLDEN_ANGLE = 137.508;

/** @param {number} at position in the list of labels @param {boolean} dark */
export function colourOf(at, dark) {
  const hue = (at * GOLDEN_ANGLE + 165) % 360;
  const round = Math.floor(at / 12) % 3;
  const light = dark ? 68 - 8 * round : 42 - 6 * round;
  return `hsl(${hue.toFixed(1)} ${dark ? 62 : 58}% ${light}%)`;
}

/** Is the page dark now? */
export const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

/** @param {AbortSignal} signal @param {() => void} onChange of light and dark */
export function onTheme(signal, onChange) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange, { signal });
}
