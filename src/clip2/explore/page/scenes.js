// The view of one scene: list of scenes, space, pictures, time, and the inspector.

import { count, h, show } from './dom.js';
import { index } from './data.js';
import { inspector } from './inspector.js';
import { go } from './nav.js';
import { pictures } from './pictures.js';
import { kept, set, state, watch } from './store.js';
import { timeline } from './timeline.js';
import { view3d } from './view3d.js';

export const COLOURS = { camera: 'RGB', height: 'Height', distance: 'Distance', name: 'Name' };

export function scenesTab() {
  const space = view3d(index.sensor);
  const over = h('div', { class: 'over' }, toolbar(space), notice());
  space.element.append(over);
  const strip = pictures();
  const centre = h('div', { class: 'centre' }, space.element, splitter(), strip, timeline());
  const element = h('div', { class: 'tab scenes' }, sceneList(), centre, inspector(() => space.focus()));
  const height = Number(kept.get('strip'));
  if (height) centre.style.setProperty('--strip', `${height}px`);

  function splitter() {
    const bar = h('div', { class: 'splitter', title: 'Drag: larger or smaller pictures' });
    bar.addEventListener('pointerdown', (event) => {
      bar.setPointerCapture(event.pointerId);
      const foot = strip.getBoundingClientRect().bottom;
      bar.onpointermove = (moved) => {
        const wanted = Math.round(Math.min(420, Math.max(70, foot - moved.clientY)));
        centre.style.setProperty('--strip', `${wanted}px`);
        kept.set('strip', String(wanted));
      };
      bar.onpointerup = () => (bar.onpointermove = null);
    });
    return bar;
  }
  return { element, space };
}

function toolbar(space) {
  const views = h('div', { class: 'group', role: 'group', 'aria-label': 'View' });
  const colours = h('div', { class: 'group', role: 'group', 'aria-label': 'Colour of points' });
  const toggles = h('div', { class: 'group', role: 'group', 'aria-label': 'Shown' });
  watch(['model', 'sample', 'view'], () => {
    const cameras = (state.model?.samples[state.sample]?.frames ?? []).map((frame) => frame.camera);
    const at = cameras.includes(state.view);
    show(views,
      choice('Orbit', 'o', state.view === 'orbit', () => (state.view === 'orbit' ? space.home() : set({ view: 'orbit' }))),
      choice('Top', 't', state.view === 'top', () => (state.view === 'top' ? space.home() : set({ view: 'top' }))),
      cameras.length ? h('select', { 'aria-label': 'Through a camera', class: at ? 'on' : null, title: 'Through a camera (c)', onchange: (event) => set({ view: event.target.value }) },
        h('option', { value: 'orbit', selected: !at }, 'Camera …'),
        cameras.map((camera) => h('option', { value: camera, selected: state.view === camera }, camera))) : null);
  });
  watch(['colour'], () => show(colours, Object.entries(COLOURS).map(([name, text]) => choice(text, 'v', state.colour === name, () => set({ colour: name })))));
  watch(['boxes', 'labels', 'everything', 'cuboids', 'model'], () => show(toggles,
    choice('Boxes', 'b', state.boxes, () => set({ boxes: !state.boxes })),
    choice('Names', 'l', state.labels, () => set({ labels: !state.labels })),
    choice('Cuboids', 'p', state.cuboids, () => set({ cuboids: !state.cuboids })),
    state.model?.posed && state.model.samples.length > 1
      ? choice('All frames', 'e', state.everything, () => set({ everything: !state.everything })) : null));
  return h('div', { class: 'toolbar' }, views, colours, toggles);
}

function choice(text, key, on, call) {
  return h('button', { 'aria-pressed': String(on), title: `${text} (${key})`, onclick: call }, text);
}

// What one must know when there is nothing to see.
function notice() {
  const element = h('div', { class: 'notice' });
  watch(['loading', 'problem', 'model'], () => {
    const text = state.problem ?? (state.loading ? 'Loading …' : index.scenes.name.length ? null : 'There is no scene: nothing was ingested');
    element.hidden = !text;
    element.classList.toggle('bad', Boolean(state.problem));
    show(element, text ?? '');
  });
  return element;
}

// Folders that all scenes' names begin with, which no list has to repeat.
const COMMON = (() => {
  const [first = '', ...others] = index.scenes.name;
  let at = first.lastIndexOf('/') + 1;
  while (at && !others.every((name) => name.startsWith(first.slice(0, at)))) at = first.lastIndexOf('/', at - 2) + 1;
  return at;
})();

// Only rows in sight exist, so that a thousand scenes scroll as ten.
function sceneList() {
  const ROW = 58;
  const input = h('input', { type: 'search', placeholder: `Filter ${count(index.scenes.name.length, 'scene')}`, 'aria-label': 'Filter scenes', spellcheck: 'false' });
  const rows = h('div', { class: 'rows' });
  const scroller = h('div', { class: 'scroller', tabindex: '-1' }, rows);
  let found = [];

  function filter() {
    const typed = input.value.trim().toLowerCase();
    found = index.scenes.name.flatMap((name, number) => (name.toLowerCase().includes(typed) ? [number] : []));
    rows.style.height = `${found.length * ROW}px`;
    draw();
  }
  function draw() {
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - 4);
    const last = Math.min(found.length, first + Math.ceil((scroller.clientHeight || 800) / ROW) + 8);
    show(rows, found.slice(first, last).map((number, k) => {
      const { name, samples, things, picture } = index.scenes;
      return h('button', { class: 'scene', style: { top: `${(first + k) * ROW}px` }, 'aria-current': String(number === state.scene), title: name[number], onclick: () => go({ scene: number, sample: 0 }) },
        picture[number] ? h('img', { src: `data/${picture[number]}`, alt: '', loading: 'lazy', draggable: 'false' }) : h('span', { class: 'missing' }),
        h('span', {}, h('b', {}, name[number].slice(COMMON)), h('small', {}, `${count(things[number], 'thing')} · ${count(samples[number], 'frame')}`)));
    }));
  }
  input.addEventListener('input', filter);
  scroller.addEventListener('scroll', draw);
  new ResizeObserver(draw).observe(scroller);
  filter();
  watch(['scene', 'model'], () => {
    const at = found.indexOf(state.scene) * ROW;
    if (at >= 0 && (at < scroller.scrollTop || at + ROW > scroller.scrollTop + scroller.clientHeight)) scroller.scrollTop = Math.max(0, at - 2 * ROW);
    draw();
  });
  return h('nav', { class: 'side', 'aria-label': 'Scenes' }, input, scroller);
}
