// The page: its head, its three tabs, and what connects them.

import { restore } from './corrections.js';
import { h, icon, show } from './dom.js';
import { index } from './data.js';
import { keyboard } from './keys.js';
import { startNavigation } from './nav.js';
import { resultsTab } from './results.js';
import { progress } from './review.js';
import { scenesTab } from './scenes.js';
import { searchBox } from './search.js';
import { kept, set, state, watch } from './store.js';
import { thingsTab } from './things.js';

const TABS = { scenes: 'Scenes', things: 'Things', results: 'Results' };

function theme() {
  const system = matchMedia('(prefers-color-scheme: light)');
  const wished = kept.get('theme');
  set({ dark: wished ? wished === 'dark' : !system.matches });
  system.addEventListener('change', () => kept.get('theme') || set({ dark: !system.matches }));
  watch(['dark'], (changed) => {
    document.documentElement.dataset.theme = state.dark ? 'dark' : 'light';
    if (changed.size === 1 && state.dark === system.matches) kept.set('theme', state.dark ? 'dark' : 'light');
  });
}

async function start() {
  await restore();
  state.dark = true;
  theme();
  const search = searchBox();
  const scenes = scenesTab();
  const things = thingsTab();
  const help = keyboard({ space: scenes.space, search });
  const tabs = h('nav', { class: 'tabs', role: 'tablist' }, Object.entries(TABS).map(([tab, text]) =>
    h('button', { role: 'tab', 'data-tab': tab, onclick: () => set({ tab }) }, text)));
  const head = h('header', { class: 'head' },
    h('span', { class: 'brand' }, h('b', {}, 'CLIP²'), h('span', {}, index.source ?? '')),
    tabs, search.element, progress(),
    h('button', { class: 'icon-only', title: 'Dark or light (d)', 'aria-label': 'Dark or light', onclick: () => set({ dark: !state.dark }) }, icon('sun')),
    h('button', { class: 'icon-only', title: 'Keyboard (?)', 'aria-label': 'Keyboard', onclick: help }, icon('keyboard')));
  const bodies = { scenes: scenes.element, things: things.element, results: resultsTab() };
  show(document.getElementById('app'), head, h('main', {}, Object.values(bodies)));
  watch(['tab'], () => {
    for (const [tab, body] of Object.entries(bodies)) body.hidden = tab !== state.tab;
    for (const button of tabs.children) button.setAttribute('aria-selected', String(button.dataset.tab === state.tab));
    if (state.tab !== 'scenes') set({ playing: false });
    if (state.tab === 'things') things.focus();
  });
  // For tests: what is on the screen, without looking at pixels.
  globalThis.CLIP2.state = state;
  globalThis.CLIP2.frames = scenes.space.frames;
  globalThis.CLIP2.settled = scenes.space.settled;
  return startNavigation();
}

start();
