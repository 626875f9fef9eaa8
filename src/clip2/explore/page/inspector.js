// The right side: what is in this key frame, or all that is known of the thing that is selected.

import { crop } from './crops.js';
import { nameColour } from './colours.js';
import { count, h, icon, kbd, show } from './dom.js';
import { index } from './data.js';
import { thingsHere } from './nav.js';
import { CAN_LIKE } from './search.js';
import { accept, auto, like, merge, reject, rename, split } from './review.js';
import { kept, set, state, watch } from './store.js';

export function inspector(look) {
  const element = h('aside', { class: 'inspector', 'aria-label': 'Selection' });
  watch(['model', 'sample', 'thing', 'reviewed', 'dark', 'hidden'], () => {
    if (!state.model) return show(element);
    const thing = state.model.things.get(state.thing);
    const top = element.scrollTop;
    show(element, thing ? selected(thing, look) : overview());
    if (thing) element.scrollTop = element.dataset.id === thing.id ? top : 0;
    element.dataset.id = thing?.id ?? '';
  });
  watch(['hover'], () => {
    for (const row of element.querySelectorAll('.pick')) row.classList.toggle('hover', row.dataset.id === state.hover);
  });
  return element;
}

// --- nothing selected: names and things of this key frame ---------------------------------------------------------------
function overview() {
  const here = thingsHere();
  const byName = Map.groupBy ? Map.groupBy(here, (thing) => thing.name) : group(here);
  const names = [...byName].sort((a, b) => b[1].length - a[1].length);
  const sample = state.model.samples[state.sample];
  return [
    h('h2', {}, 'In this key frame'),
    h('p', { class: 'facts' }, `${count(here.length, 'thing')} · ${sample.points.toLocaleString('en')} points`,
      sample.points < sample.all_points ? ` of ${sample.all_points.toLocaleString('en')}` : ''),
    here.length ? null : h('p', { class: 'empty' }, 'Nothing has a label here'),
    names.map(([name, things]) => h('section', { class: state.hidden.has(name) ? 'off' : null },
      h('button', { class: 'name', title: state.hidden.has(name) ? 'Show these boxes' : 'Hide these boxes', 'aria-pressed': String(!state.hidden.has(name)), onclick: () => toggleName(name) },
        h('i', { class: 'swatch', style: { background: nameColour(things[0].number, state.dark) } }), h('span', {}, name), h('small', {}, String(things.length))),
      h('div', { class: 'crops' }, things.map((thing) => pick(thing))))),
  ];
}

function group(things) {
  const found = new Map();
  for (const thing of things) found.set(thing.name, [...(found.get(thing.name) ?? []), thing]);
  return found;
}

function toggleName(name) {
  const hidden = new Set(state.hidden);
  if (!hidden.delete(name)) hidden.add(name);
  set({ hidden });
}

// A thing as its best crop; a tip tells the rest.
function pick(thing) {
  const box = thing.boxes.get(state.sample);
  return h('button', {
    class: `pick ${thing.status ?? ''}`, 'data-id': thing.id,
    title: `${thing.name} ${thing.score.toFixed(2)} · ${box.range.toFixed(0)} m · ${count(box.points, 'point')}`,
    onclick: () => set({ thing: thing.id }),
    onpointerenter: () => set({ hover: thing.id }),
    onpointerleave: () => set({ hover: null }),
  }, crop(state.model.number, thing.views[0]?.tile, 40), thing.status ? mark(thing.status) : null);
}

export function mark(status) {
  if (!status) return h('em', {});
  const signs = { accepted: '✓', renamed: '✎', rejected: '✕', merged: '⇢', split: '⑃' };
  return h('em', { class: `mark ${status}`, title: status }, signs[status] ?? '');
}

// --- a thing ------------------------------------------------------------------------------------------------------------
function selected(thing, look) {
  const box = thing.boxes.get(state.sample);
  const seen = [...thing.boxes.values()].sort((a, b) => a.sample - b.sample);
  return [
    h('header', {},
      h('button', { class: 'close', title: 'Back to the key frame (esc)', 'aria-label': 'Back to the key frame', onclick: () => set({ thing: null }) }, icon('cross')),
      h('i', { class: 'swatch big', style: { background: nameColour(thing.number, state.dark) } }),
      h('h2', {}, thing.name), mark(thing.status),
      CAN_LIKE && h('button', { class: 'icon-only', title: 'Things that look like it (i)', 'aria-label': 'Things that look like it', onclick: like }, icon('search')),
      h('button', { class: 'icon-only', title: 'Look at it (f)', 'aria-label': 'Look at it', onclick: look }, icon('target'))),
    decisions(),
    h('h3', {}, 'Names'),
    bars(thing),
    h('h3', {}, 'Box'),
    box ? facts(thing, box) : h('p', { class: 'facts' }, 'Not seen in this key frame. ',
      h('button', { class: 'link', onclick: () => set({ sample: seen[0].sample }) }, `Go to key frame ${seen[0].sample + 1}`)),
    h('h3', {}, `Views `, h('small', {}, `${thing.views.length} in ${count(new Set(thing.views.map((view) => view.frame.sample)).size, 'key frame')}`)),
    thing.views.some((view) => view.teacher) ? h('p', { class: 'facts' }, 'The detector\'s word and, below it, the teacher\'s.') : null,
    views(thing),
    seen.length > 1 && state.model.posed ? path(thing, seen) : null,
    h('h3', {}, 'Track'),
    h('p', { class: 'id' }, thing.id),
  ];
}

function decisions() {
  const button = (key, text, call, kind) => h('button', { class: kind, onclick: call }, text, kbd(key));
  return h('div', { class: 'decisions' },
    button('a', 'Accept', accept, 'good'), button('r', 'Rename', rename), button('x', 'Reject', reject, 'bad'),
    button('m', 'Merge', merge), button('s', 'Split', split),
    h('label', { class: 'auto', title: 'After a decision, go to the next thing without one' },
      h('input', { type: 'checkbox', checked: auto(), onchange: (event) => kept.set('auto', event.target.checked ? 'yes' : 'no') }), 'then next'));
}

function bars(thing) {
  const rows = thing.names.map(({ name, probability }) => h('div', { class: 'bar' },
    h('span', { title: name }, name), h('div', {}, h('i', { style: { width: `${100 * probability}%`, background: nameColour(index.names.indexOf(name), state.dark) } })),
    h('b', {}, probability.toFixed(2))));
  const renamed = thing.name !== thing.said ? h('p', { class: 'facts' }, `You named it ${thing.name}; the track said ${thing.said}.`) : null;
  return h('div', { class: 'bars' }, renamed, rows.length ? rows : h('p', { class: 'facts' }, 'no probabilities'));
}

function facts(thing, box) {
  const [l, w, height] = box.size;
  const rows = [
    ['size', `${l.toFixed(1)} × ${w.toFixed(1)} × ${height.toFixed(1)} m${box.guessed ? ', partly by its name' : ''}`],
    ['range', `${box.range.toFixed(1)} m`],
    ['points', box.points.toLocaleString('en')],
    ['speed', box.speed === null ? 'unknown' : box.speed < 0.3 ? 'stands' : `${box.speed.toFixed(1)} m/s`],
  ];
  return h('dl', {}, rows.map(([key, value]) => [h('dt', {}, key), h('dd', {}, value)]));
}

function views(thing) {
  const shown = [...thing.views].sort((a, b) => a.frame.sample - b.frame.sample || b.score - a.score);
  return h('div', { class: 'views' }, shown.map((view) => h('button', {
    class: `view ${view.frame.sample === state.sample ? 'here' : ''}`,
    title: `${view.frame.camera}, key frame ${view.frame.sample + 1}: the detector says ${view.name} (${view.score.toFixed(2)})${view.teacher ? `, the teacher ${view.teacher}` : ''}; ${view.points} points at ${view.range} m`,
    onclick: () => set({ sample: view.frame.sample }),
  }, crop(state.model.number, view.tile, 72), h('span', { class: view.name === thing.name ? null : 'other' }, h('span', {}, view.name), h('b', {}, view.score.toFixed(2))),
  view.teacher && h('small', { class: view.teacher === thing.name ? null : 'other' }, view.teacher))));
}

const MOVED_M = 0.5; // below, a thing stands, as far as one can tell

// The path from above, north up; a dot a key frame.
function path(thing, seen) {
  const places = seen.map((box) => [0, 1].map((k) => box.corners.reduce((sum, c) => sum + c[k], 0) / 8));
  const span = [0, 1].map((k) => Math.max(...places.map((p) => p[k])) - Math.min(...places.map((p) => p[k])));
  const moved = Math.hypot(places.at(-1)[0] - places[0][0], places.at(-1)[1] - places[0][1]);
  if (moved < MOVED_M) return null;
  const range = Math.max(4, ...span) * 1.25;
  const mid = [0, 1].map((k) => (Math.max(...places.map((p) => p[k])) + Math.min(...places.map((p) => p[k]))) / 2);
  const canvas = h('canvas', { class: 'path', width: 2 * 268, height: 2 * 84 });
  const context = canvas.getContext('2d');
  context.scale(2, 2);
  const at = ([x, y]) => [134 + ((x - mid[0]) / range) * 130, 42 - ((y - mid[1]) / range) * 84];
  const colour = nameColour(thing.number, state.dark);
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  places.map(at).forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
  places.map(at).forEach(([x, y], k) => {
    context.beginPath();
    context.arc(x, y, seen[k].sample === state.sample ? 5 : 2.5, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
  });
  return [h('h3', {}, 'Path'), canvas, h('p', { class: 'facts' }, `${seen.length} key frames, ${moved.toFixed(1)} m from first to last`)];
}
