// Elements from values. Text only ever becomes text: nothing here, or anywhere else on the page, parses a string as HTML.

const SVG = 'http://www.w3.org/2000/svg';

// h('button', { class: 'x', onclick: f, title: 't' }, 'text', child, null) → element.
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'style') for (const [name, v] of Object.entries(value)) element.style.setProperty(name, v);
    else if (key === 'value') element.value = value;
    else if (key === 'checked') element.checked = value;
    else element.setAttribute(key, value === true ? '' : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const count = (n, what) => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;

// Replace all that an element holds.
export function show(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

const ICONS = {
  play: 'M4 2.5v11l9-5.5z',
  pause: 'M4 2.5h3v11H4zM9 2.5h3v11H9z',
  back: 'M10.5 3L5 8l5.5 5zM3.5 3H5v10H3.5z',
  forward: 'M5.5 3L11 8l-5.5 5zM11 3h1.5v10H11z',
  sun: 'M8 5a3 3 0 100 6 3 3 0 000-6zM7.4 1h1.2v2.4H7.4zM7.4 12.6h1.2V15H7.4zM1 7.4h2.4v1.2H1zM12.6 7.4H15v1.2h-2.4zM2.6 3.5l.9-.9 1.7 1.7-.9.9zM10.8 11.7l.9-.9 1.7 1.7-.9.9zM12.5 2.6l.9.9-1.7 1.7-.9-.9zM4.3 10.8l.9.9-1.7 1.7-.9-.9z',
  search: 'M7 2a5 5 0 013.9 8.1l3 3-.8.8-3-3A5 5 0 117 2zm0 1.2a3.8 3.8 0 100 7.6 3.8 3.8 0 000-7.6z',
  save: 'M2.5 2.5h8.6l2.4 2.4v8.6h-11zm1.2 1.2v8.6h8.6V5.4l-1.5-1.5V6.500H5V3.700zM6 3.700v1.700h3.700V3.700zM8 7.900a1.700 1.700 0 110 3.400 1.700 1.700 0 010-3.400z',
  open: 'M2 3.500h4.300l1.400 1.600H14v7.900H2zm1.200 1.200v7.100h9.600V6.300H7.100L5.700 4.700z',
  check: 'M6.300 11.800L2.600 8.100l1-1 2.700 2.700 6.100-6.100 1 1z',
  cross: 'M3.600 2.800L8 7.200l4.400-4.400.8.8L8.800 8l4.400 4.400-.8.8L8 8.800l-4.400 4.400-.8-.8L7.200 8 2.800 3.600z',
  target: 'M7.400 1h1.200v2.100a5 5 0 014.300 4.300H15v1.200h-2.100a5 5 0 01-4.300 4.300V15H7.400v-2.100a5 5 0 01-4.300-4.300H1V7.400h2.100a5 5 0 014.300-4.300zM8 4.200a3.800 3.800 0 100 7.600 3.800 3.800 0 000-7.600zm0 2.500a1.300 1.300 0 110 2.600 1.300 1.300 0 010-2.600z',
  keyboard: 'M1.500 4h13v8h-13zm1.200 1.200v5.600h10.600V5.200zM4 6.300h1.200v1.200H4zM6.300 6.300h1.200v1.200H6.300zM8.600 6.300h1.200v1.200H8.600zM10.900 6.300h1.200v1.200h-1.200zM5 8.700h6v1.200H5z',
};

export function icon(name) {
  return s('svg', { viewBox: '0 0 16 16', class: 'icon', 'aria-hidden': 'true' }, s('path', { d: ICONS[name] }));
}

// A key as it is drawn in hints.
export function kbd(key) {
  return h('kbd', {}, key);
}
