// Review: accept, rename, reject, merge, split; how far one is; saving and loading.

import { all, correct, entry, fromJson, isSaved, markSaved, reviewed, SUFFIX, toJson, undo } from './corrections.js';
import { crop } from './crops.js';
import { nameColour } from './colours.js';
import { count, h, icon, show } from './dom.js';
import { index, loadThings } from './data.js';
import { numberOf } from './model.js';
import { go } from './nav.js';
import { picker, tell } from './picker.js';
import { CAN_LIKE, searchLike } from './search.js';
import { kept, set, state, watch } from './store.js';

const LIVE = location.protocol.startsWith('http');

export function auto() {
  return kept.get('auto') !== 'no';
}

export const ACCEPTED = { status: 'accepted' };
export const REJECTED = { status: 'rejected', label: null };

const chosen = () => state.model?.things.get(state.thing) ?? null;

// After a decision comes the next thing that waits for one, where that is wished.
function onward() {
  if (auto()) next();
}

export function accept() {
  const thing = chosen();
  if (!thing) return;
  correct(thing.id, ACCEPTED);
  onward();
}

export function reject() {
  const thing = chosen();
  if (!thing) return;
  correct(thing.id, REJECTED);
  onward();
}

export function rename() {
  const thing = chosen();
  if (thing) renameThing(thing, onward);
}

// Ask for the name of a thing: { id, name, names: [{ name, probability }] }.
export function renameThing(thing, then) {
  const likely = new Map(thing.names.map(({ name, probability }) => [name, probability]));
  const names = [...likely.keys(), ...index.names.filter((name) => !likely.has(name))];
  picker({
    title: `Rename "${thing.name}"`,
    placeholder: 'Type a name; Enter takes the one that is marked',
    free: true,
    options: names.map((name) => ({
      text: name,
      value: name,
      detail: likely.has(name) ? likely.get(name).toFixed(2) : null,
      swatch: nameColour(numberOf(name), state.dark),
    })),
    take(name) {
      correct(thing.id, { label: name, status: 'accepted' });
      tell(`Renamed to ${name}`);
      then();
    },
  });
}

export function merge() {
  const thing = chosen();
  if (!thing) return;
  const others = [...state.model.things.values()].filter((other) => other !== thing);
  const away = (other) => distance(thing, other);
  others.sort((a, b) => away(a) - away(b));
  picker({
    title: `"${thing.name}" is the same thing as …`,
    placeholder: 'The nearest first; type a name to filter',
    free: false,
    options: others.map((other) => ({
      text: other.name,
      value: other.id,
      detail: `${away(other).toFixed(1)} m away · ${count(other.boxes.size, 'key frame')}`,
      picture: crop(state.model.number, other.views[0]?.tile, 32),
    })),
    take(into) {
      correct(thing.id, { into, status: null, label: null });
      set({ thing: into });
      tell('Merged; z undoes it');
    },
  });
}

// An example as a query.
export function like() {
  const thing = chosen();
  if (thing && CAN_LIKE) searchLike(baseOf(thing.id), thing.name);
}

// Least distance between the boxes of two things, of key frames near in time.
function distance(one, two) {
  let best = Infinity;
  for (const a of one.boxes.values()) {
    for (const b of two.boxes.values()) {
      const between = Math.hypot(...[0, 1, 2].map((k) => a.corners[0][k] + a.corners[7][k] - b.corners[0][k] - b.corners[7][k])) / 2;
      best = Math.min(best, between + 2 * Math.abs(a.sample - b.sample));
    }
  }
  return best;
}

export function split() {
  const thing = chosen();
  if (!thing) return;
  const seen = [...thing.boxes.keys()].sort((a, b) => a - b);
  if (!seen.includes(state.sample) || state.sample === seen[0]) {
    tell('Go to the first key frame of the other thing, then split', 'bad');
    return;
  }
  if (thing.tracks.size > 1) {
    tell('Undo the merge before splitting', 'bad');
    return;
  }
  correct(thing.id, { split: state.model.samples[state.sample].id });
  set({ thing: thing.id + SUFFIX });
  tell('Split; from this key frame on it is another thing');
}

export function takeBack() {
  const id = undo();
  if (id === null) return tell('Nothing to undo', 'bad');
  if (state.model?.things.has(id)) set({ thing: id });
  tell('Undone');
}

// The next thing without a decision: in this scene, then in those after it.
export async function next() {
  const things = await loadThings();
  const waiting = (k) => !reviewed(things.id[k]);
  const n = things.id.length;
  const here = things.id.indexOf(baseOf(state.thing));
  const start = here >= 0 ? here + 1 : Math.max(0, things.scene.indexOf(state.scene));
  for (let k = 0; k < n; k++) {
    const at = (start + k) % n;
    if (waiting(at)) return go({ scene: things.scene[at], sample: things.at[at], thing: things.id[at], tab: 'scenes' });
  }
  tell('Every thing has been reviewed');
}

export function baseOf(id) {
  while (id?.endsWith(SUFFIX)) id = id.slice(0, -SUFFIX.length);
  return id;
}

// --- saving -----------------------------------------------------------------------------------------------------------
export async function save() {
  const text = `${JSON.stringify(toJson(), null, 1)}\n`;
  if (LIVE) {
    const answer = await fetch('api/corrections', { method: 'POST', headers: { 'content-type': 'application/json' }, body: text });
    if (!answer.ok) return tell(await answer.text(), 'bad');
    markSaved();
    return tell(await answer.text());
  }
  const link = h('a', { href: URL.createObjectURL(new Blob([text], { type: 'application/json' })), download: 'corrections.json' });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  markSaved();
  tell('Saved as corrections.json: clip2 explore --apply corrections.json');
}

export function open() {
  const input = h('input', { type: 'file', accept: '.json' });
  input.addEventListener('change', async () => {
    try {
      const content = JSON.parse(await input.files[0].text());
      fromJson(content);
      tell(content.labels === index.labels ? 'Corrections loaded' : 'Loaded; they were made for other labels than these', content.labels === index.labels ? 'good' : 'bad');
    } catch (error) {
      tell(`${input.files[0].name}: ${error.message}`, 'bad');
    }
  });
  input.click();
}

export function progress() {
  const bar = h('i', {});
  const text = h('span', {});
  const element = h('div', { class: 'progress' },
    h('button', { class: 'meter', title: 'Go to the next thing to review (n)', onclick: next }, text, h('b', {}, bar)),
    h('button', { class: 'save', title: 'Save corrections (ctrl s)', onclick: save }, icon('save'), 'Save'),
    h('button', { class: 'icon-only', title: 'Open a file of corrections (u)', 'aria-label': 'Open a file of corrections', onclick: open }, icon('open')));
  const total = index.scenes.things.reduce((sum, n) => sum + n, 0);
  watch(['reviewed'], () => {
    const done = all().filter(([id]) => !id.endsWith(SUFFIX) && reviewed(id)).length;
    show(text, h('b', {}, done.toLocaleString('en')), ` of ${total.toLocaleString('en')} reviewed`);
    bar.style.width = `${total ? (100 * done) / total : 0}%`;
    element.classList.toggle('unsaved', !isSaved());
  });
  return element;
}

export function statusOf(id) {
  const own = entry(id);
  if (!own) return null;
  return own.into ? 'merged' : own.label ? 'renamed' : own.status ?? (own.split ? 'split' : null);
}
