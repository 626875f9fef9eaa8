// What is looked at: one state for the whole page. Parts watch the keys that they draw; the address keeps the rest.

const watchers = [];
let pending = null;

export const state = {
  tab: 'scenes', // scenes, things, results
  scene: 0, // number of the scene
  sample: 0, // number in the scene
  thing: null, // id of the thing that is selected
  hover: null, // id of the thing under the pointer
  view: 'orbit', // orbit, top, or the name of a camera
  colour: 'camera', // height, distance, camera, name
  boxes: true,
  labels: true,
  everything: false, // points of all key frames together
  cuboids: false, // 3D boxes in the pictures, too
  hidden: new Set(), // numbers of names whose boxes are not drawn
  playing: false,
  dark: true,
  query: null, // what was searched for, see search.js
  model: null, // the scene that is shown, loaded; see model.js
  reviewed: 0, // counts up when corrections change
};

// Change some keys; watchers hear of it once, after all changes of this turn.
export function set(changes) {
  for (const [key, value] of Object.entries(changes)) {
    if (state[key] === value && !(value instanceof Set)) continue;
    state[key] = value;
    if (pending === null) {
      pending = new Set();
      queueMicrotask(tell);
    }
    pending.add(key);
  }
}

function tell() {
  const changed = pending;
  pending = null;
  for (const { keys, call } of watchers) if (keys.some((key) => changed.has(key))) call(changed);
}

// Call a function now and whenever one of the keys changed.
export function watch(keys, call) {
  watchers.push({ keys, call });
  call(new Set(keys));
}

// localStorage, which a browser may refuse to pages from disk.
export const kept = {
  get(key) {
    try {
      return localStorage.getItem(`clip2:${key}`);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`clip2:${key}`, value);
      return true;
    } catch {
      return false;
    }
  },
};
