// Colours that the colour-blind can tell apart: Okabe and Ito's, made lighter on dark ground and darker on light.

const DARK = ['#56b4e9', '#e69f00', '#2fc79a', '#f0e442', '#f07b52', '#d690cb', '#8ea2ff', '#b98a5e'];
const LIGHT = ['#0072b2', '#b06f00', '#007a59', '#857a00', '#c2410c', '#96407f', '#4a58c9', '#6b4a2b'];
const OTHER = { dark: '#a3adb8', light: '#5d6873' };

// The most frequent names have a colour of their own, the others share grey: a text stands beside every colour.
export function nameColour(number, dark) {
  const palette = dark ? DARK : LIGHT;
  return number < palette.length ? palette[number] : OTHER[dark ? 'dark' : 'light'];
}

export const OWN_COLOURS = DARK.length;

// '#rrggbb' → [r, g, b] of 0 to 255.
export function rgb(hex) {
  const value = parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

export function alpha(hex, a) {
  const [r, g, b] = rgb(hex);
  return `rgba(${r},${g},${b},${a})`;
}

// Viridis at eight stops; its ends are cut where they would vanish in the ground.
const STOPS = [
  [68, 1, 84], [70, 50, 127], [54, 92, 141], [39, 127, 142], [31, 161, 135], [74, 194, 109], [159, 218, 58], [253, 231, 37],
];

// t of 0 to 1 → [r, g, b].
export function ramp(t, dark) {
  const x = (dark ? 0.16 + 0.84 * t : 0.82 * t) * (STOPS.length - 1);
  const low = Math.min(STOPS.length - 2, Math.max(0, Math.floor(x)));
  const part = Math.min(1, Math.max(0, x - low));
  return STOPS[low].map((value, k) => value + (STOPS[low + 1][k] - value) * part);
}
