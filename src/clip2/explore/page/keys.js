// The keyboard, and a page that tells what it does.

import { h, kbd } from './dom.js';
import { go, nextThing, step } from './nav.js';
import { over } from './picker.js';
import { accept, like, merge, next, open, reject, rename, save, split, takeBack } from './review.js';
import { COLOURS } from './scenes.js';
import { set, state } from './store.js';

const flip = (key) => () => set({ [key]: !state[key] });

function nextCamera() {
  const cameras = (state.model?.samples[state.sample]?.frames ?? []).map((frame) => frame.camera);
  if (cameras.length) set({ view: cameras[(cameras.indexOf(state.view) + 1) % cameras.length] });
}

function nextColour() {
  const names = Object.keys(COLOURS);
  set({ colour: names[(names.indexOf(state.colour) + 1) % names.length] });
}

function camera(number) {
  const frame = state.model?.samples[state.sample]?.frames[number - 1];
  if (frame) set({ view: frame.camera });
}

// Of each key: what it does, in which group of the help, and whether it needs the view of scenes.
export function keyboard({ space, search }) {
  const bindings = [
    ['Look', [' ', 'space'], 'play, pause', flip('playing')],
    ['Look', ['ArrowLeft', '←'], 'key frame before', () => step(-1)],
    ['Look', ['ArrowRight', '→'], 'next key frame', () => step(1)],
    ['Look', ['['], 'scene before', () => go({ scene: state.scene - 1, sample: 0 })],
    ['Look', [']'], 'next scene', () => go({ scene: state.scene + 1, sample: 0 })],
    ['Look', ['o'], 'orbit; again: back to the start', () => (state.view === 'orbit' ? space.home() : set({ view: 'orbit' }))],
    ['Look', ['t'], 'from above', () => (state.view === 'top' ? space.home() : set({ view: 'top' }))],
    ['Look', ['c'], 'through the next camera', nextCamera],
    ['Look', ['1', '1 … 9'], 'through this camera', () => camera(1)],
    ...[2, 3, 4, 5, 6, 7, 8, 9].map((n) => [null, [String(n)], '', () => camera(n)]),
    ['Look', ['v'], 'next colour of points', () => nextColour()],
    ['Show', ['b'], 'boxes', flip('boxes')],
    ['Show', ['l'], 'names', flip('labels')],
    ['Show', ['p'], '3D boxes in the pictures', flip('cuboids')],
    ['Show', ['e'], 'points of all key frames', flip('everything')],
    ['Show', ['d'], 'dark or light', flip('dark')],
    ['Things', ['j', 'j, ↓'], 'next thing, the nearest first', () => nextThing(1)],
    [null, ['ArrowDown'], '', () => nextThing(1)],
    ['Things', ['k', 'k, ↑'], 'thing before', () => nextThing(-1)],
    [null, ['ArrowUp'], '', () => nextThing(-1)],
    ['Things', ['f'], 'look at it', () => space.focus()],
    ['Things', ['i'], 'things that look like it', like],
    ['Things', ['Escape', 'esc'], 'let it go', () => set({ thing: null })],
    ['Review', ['a'], 'accept', accept],
    ['Review', ['r'], 'rename', rename],
    ['Review', ['x'], 'reject', reject],
    ['Review', ['m'], 'merge with another track', merge],
    ['Review', ['s'], 'split: from this key frame on another thing', split],
    ['Review', ['n'], 'next thing to review', next],
    ['Review', ['z'], 'undo', takeBack],
    ['Review', ['u'], 'open a file of corrections', open],
    ['Page', ['/'], 'search', search.focus],
    ['Page', ['g'], 'scenes, things, results', () => set({ tab: { scenes: 'things', things: 'results', results: 'scenes' }[state.tab] })],
    ['Page', ['?'], 'this help', () => help(bindings)],
  ];
  const calls = new Map(bindings.map(([, [key], , call]) => [key, call]));
  const anywhere = new Set(['/', '?', 'g', 'd', 'z', 'n']);
  addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === 's') {
      event.preventDefault();
      save();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== 'range' && event.target.type !== 'checkbox') return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const call = calls.get(key);
    if (!call || (state.tab !== 'scenes' && !anywhere.has(key))) return;
    if (key === ' ' && event.target.tagName === 'BUTTON' && event.target.matches(':focus-visible')) return;
    event.preventDefault();
    call();
  });
  return () => help(bindings);
}

function help(bindings) {
  const groups = [...new Set(bindings.map(([group]) => group).filter(Boolean))];
  const dialog = h('dialog', { class: 'help' }, h('h2', {}, 'Keyboard'),
    h('div', { class: 'groups' }, groups.map((group) => h('section', {}, h('h3', {}, group), h('dl', {},
      bindings.filter(([own]) => own === group).map(([, [key, text], what]) => [h('dt', {}, (text ?? key).split(', ').map(kbd)), h('dd', {}, what)]))))),
    h('p', { class: 'facts' }, 'Mouse: drag turns, right drag moves, wheel zooms; click a box to select its thing, twice to look at it.'));
  over(dialog);
}
