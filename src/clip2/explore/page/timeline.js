// Key frames of a scene: play, step, and where the selected thing was seen.

import { nameColour } from './colours.js';
import { h, icon, show } from './dom.js';
import { step } from './nav.js';
import { set, state, watch } from './store.js';

const PLAY_MS = 500; // key frames of nuScenes are half a second apart

export function timeline() {
  const play = h('button', { class: 'round', onclick: () => set({ playing: !state.playing }) });
  const buttons = [
    h('button', { class: 'round', title: 'Key frame before (←)', 'aria-label': 'Key frame before', onclick: () => step(-1) }, icon('back')),
    play,
    h('button', { class: 'round', title: 'Next key frame (→)', 'aria-label': 'Next key frame', onclick: () => step(1) }, icon('forward')),
  ];
  const track = h('div', { class: 'ticks' });
  const slider = h('input', { type: 'range', min: 0, step: 1, 'aria-label': 'Key frame', oninput: () => set({ sample: Number(slider.value) }) });
  const clock = h('span', { class: 'clock' });
  const element = h('div', { class: 'timeline' }, ...buttons, h('div', { class: 'rail' }, track, slider), clock);
  let timer = null;

  watch(['playing'], () => {
    show(play, icon(state.playing ? 'pause' : 'play'));
    play.title = state.playing ? 'Pause (space)' : 'Play (space)';
    play.setAttribute('aria-label', state.playing ? 'Pause' : 'Play');
    clearInterval(timer);
    if (state.playing) timer = setInterval(() => step(1), PLAY_MS);
  });
  watch(['model', 'sample'], () => {
    const samples = state.model?.samples ?? [];
    slider.max = String(Math.max(0, samples.length - 1));
    slider.value = String(state.sample);
    slider.disabled = samples.length < 2;
    const seconds = samples[state.sample]?.seconds;
    show(clock, h('b', {}, `${state.sample + 1}`), ` / ${samples.length}`, seconds === null || seconds === undefined ? '' : h('span', {}, `${seconds.toFixed(1)} s`));
  });
  watch(['model', 'thing', 'dark', 'reviewed'], () => {
    const samples = state.model?.samples ?? [];
    const thing = state.model?.things.get(state.thing);
    const place = (k) => (samples.length > 1 ? `${(100 * k) / (samples.length - 1)}%` : '50%');
    show(track, samples.map((_, k) => {
      const seen = thing?.boxes.has(k);
      return h('i', { class: seen ? 'seen' : null, style: { left: place(k), '--own': seen ? nameColour(thing.number, state.dark) : null } });
    }));
  });
  return element;
}
