// Going somewhere: to a scene, a key frame, a thing. The address follows, so that a reload or a link comes back.

import { applyCorrections, sceneModel } from './model.js';
import { index, loadScene } from './data.js';
import { set, state, watch } from './store.js';

const TABS = ['scenes', 'things', 'results'];
let wanted = 0;

// Go to a scene by number; sample and thing are in it. Does nothing but select where the scene is already shown.
export async function go({ scene = state.scene, sample = null, thing = null, tab = 'scenes' }) {
  const count = index.scenes.name.length;
  if (!count) return;
  scene = Math.min(count - 1, Math.max(0, scene));
  const turn = ++wanted;
  if (state.model?.number !== scene) {
    set({ loading: true, problem: null });
    let data;
    try {
      data = sceneModel(scene, await loadScene(scene));
    } catch (error) {
      if (turn === wanted) set({ loading: false, problem: error.message });
      return;
    }
    if (turn !== wanted) return; // another scene was asked for meanwhile
    set({ model: data, scene, loading: false, sample: 0, thing: null });
  }
  const last = state.model.samples.length - 1;
  const found = thing !== null && state.model.things.get(thing);
  let at = sample ?? state.sample;
  if (found && sample === null && !found.boxes.has(at)) at = [...found.boxes.keys()][0] ?? at;
  set({ tab, thing: found ? thing : null, sample: Math.min(last, Math.max(0, at)) });
}

export function step(by) {
  if (state.model) set({ sample: (state.sample + by + state.model.samples.length) % state.model.samples.length });
}

// Things with a box in this key frame, the nearest first: the order in which keys walk through them.
export function thingsHere() {
  const things = [...(state.model?.things.values() ?? [])].filter((thing) => thing.boxes.has(state.sample));
  return things.sort((a, b) => a.boxes.get(state.sample).range - b.boxes.get(state.sample).range);
}

export function nextThing(by) {
  const ids = thingsHere().map((thing) => thing.id);
  if (!ids.length) return;
  const at = ids.indexOf(state.thing);
  set({ thing: ids[at < 0 ? (by > 0 ? 0 : ids.length - 1) : (at + by + ids.length) % ids.length] });
}

watch(['reviewed'], () => {
  if (!state.model) return;
  applyCorrections(state.model);
  // Of a track that went into another one, that one stays selected.
  if (state.thing && !state.model.things.has(state.thing)) {
    const heir = [...state.model.things.values()].find((thing) => thing.tracks.has(state.thing));
    set({ thing: heir?.id ?? null });
  }
});

// --- the address ------------------------------------------------------------------------------------------------------
function fromAddress() {
  const query = new URLSearchParams(location.hash.slice(1));
  const scene = index.scenes.name.indexOf(query.get('scene'));
  const tab = TABS.includes(query.get('tab')) ? query.get('tab') : 'scenes';
  set({ view: query.get('view') ?? state.view, colour: query.get('colour') ?? state.colour });
  return go({ scene: Math.max(0, scene), sample: Number(query.get('sample') ?? 0) || 0, thing: query.get('thing'), tab });
}

export function startNavigation() {
  watch(['model', 'sample', 'thing', 'tab', 'view', 'colour'], () => {
    if (!state.model) return;
    const query = new URLSearchParams({ tab: state.tab, scene: state.model.name, sample: state.sample });
    if (state.thing) query.set('thing', state.thing);
    if (state.view !== 'orbit') query.set('view', state.view);
    if (state.colour !== 'camera') query.set('colour', state.colour);
    if (location.hash.slice(1) !== query.toString()) history.replaceState(null, '', `#${query}`);
  });
  addEventListener('hashchange', fromAddress);
  return fromAddress();
}
