// A loaded scene as the page thinks of it: things with their boxes and views, corrections applied.

import { entry, SUFFIX } from './corrections.js';
import { index } from './data.js';

const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
const nameNumbers = new Map(index.names.map((name, number) => [name, number]));

// T (row-major 4×4) · [x, y, z, 1].
export function move(T, [x, y, z]) {
  return [0, 4, 8].map((r) => T[r] * x + T[r + 1] * y + T[r + 2] * z + T[r + 3]);
}

// Inverse of a rigid transform.
export function invert(T) {
  const R = [T[0], T[4], T[8], T[1], T[5], T[9], T[2], T[6], T[10]];
  const t = [0, 3, 6].map((r) => -(R[r] * T[3] + R[r + 1] * T[7] + R[r + 2] * T[11]));
  return [R[0], R[1], R[2], t[0], R[3], R[4], R[5], t[1], R[6], R[7], R[8], t[2], 0, 0, 0, 1];
}

// What is fixed of a scene: samples, frames, boxes and views, whoever they belong to.
export function sceneModel(number, { content, clouds }) {
  const samples = content.samples.map((sample, k) => ({
    ...sample,
    T: sample.T_scene_from_points ?? IDENTITY,
    cloud: clouds[k],
    frames: [],
  }));
  const start = samples[0].time_us;
  samples.forEach((sample) => (sample.seconds = sample.time_us === null ? null : (sample.time_us - start) / 1e6));
  const frames = content.frames.map((frame, k) => ({ ...frame, number: k, views: [] }));
  frames.forEach((frame) => samples[frame.sample].frames.push(frame));
  samples.forEach((sample) => (sample.frames = panorama(sample.frames)));
  const boxes = content.boxes.map(([thing, sample, x, y, z, l, w, h, yaw, points, range, speed, guessed]) => {
    const box = { owner: content.things[thing].id, sample, center: [x, y, z], size: [l, w, h], yaw };
    return { ...box, points, range, speed, guessed, corners: corners(box, samples[sample].T) };
  });
  const views = content.views.map(([thing, frame, x1, y1, x2, y2, label, score, points, range, tile, teacher]) => ({
    owner: content.things[thing].id,
    frame: frames[frame],
    box: [x1, y1, x2, y2],
    name: index.names[label],
    teacher: teacher === null ? null : index.names[teacher],
    score,
    points,
    range,
    tile,
  }));
  const found = new Map(content.things.map((thing) => [thing.id, thing]));
  const model = { number, name: content.name, samples, frames, boxes, views, found };
  model.posed = content.samples.some((sample) => sample.T_scene_from_points !== null);
  applyCorrections(model);
  return model;
}

// Cameras of a rig from left to right, the one that looks ahead in the middle.
function panorama(frames) {
  const turn = ({ T_cam_from_points: T }) => Math.atan2(T[9], T[8]); // of the optical axis, in the plane of the ground
  const front = frames.find(isFront) ?? frames[0];
  const left = (frame) => (turn(frame) - turn(front) + 5 * Math.PI) % (2 * Math.PI);
  return [...frames].sort((a, b) => left(b) - left(a) || a.number - b.number);
}

export const isFront = (frame) => /front$/i.test(frame.camera);

// Eight corners in the frame of the scene, of the signs (x, y, z) the last fastest, then the middle of the front.
function corners({ center, size, yaw }, T) {
  const c = Math.cos(yaw);
  const sn = Math.sin(yaw);
  const at = (x, y, z) => {
    const [l, w, h] = [x * size[0], y * size[1], z * size[2]];
    return move(T, [center[0] + c * l - sn * w, center[1] + sn * l + c * w, center[2] + h]);
  };
  const result = [];
  for (const x of [-0.5, 0.5]) for (const y of [-0.5, 0.5]) for (const z of [-0.5, 0.5]) result.push(at(x, y, z));
  return result;
}

// Which thing a box or view of a track belongs to, after splits and merges.
function ownerOf(model, track, sample) {
  let id = track;
  for (let hops = 0; hops < 64; hops++) {
    const own = entry(id);
    if (own?.split !== undefined && model.order.get(own.split) <= sample) id += SUFFIX;
    else if (own?.into !== undefined && model.known.has(own.into)) id = own.into;
    else return id;
  }
  return id;
}

// Put boxes and views together to things: once when loaded, and again when corrections change.
export function applyCorrections(model) {
  model.order = new Map(model.samples.map((sample, k) => [sample.id, k]));
  model.known = new Set();
  for (const id of model.found.keys()) {
    for (let part = id; ; part += SUFFIX) {
      model.known.add(part);
      if (entry(part)?.split === undefined) break;
    }
  }
  const things = new Map();
  const thingOf = (track, sample) => {
    const id = ownerOf(model, track, sample);
    if (!things.has(id)) things.set(id, makeThing(model, id));
    const thing = things.get(id);
    thing.tracks.add(track);
    return thing;
  };
  for (const box of model.boxes) {
    const thing = thingOf(box.owner, box.sample);
    const other = thing.boxes.get(box.sample);
    if (!other || other.points < box.points) thing.boxes.set(box.sample, box);
  }
  for (const frame of model.frames) frame.views = [];
  for (const view of model.views) {
    const thing = thingOf(view.owner, view.frame.sample);
    thing.views.push(view);
    view.frame.views.push({ view, thing });
  }
  model.things = things;
}

function makeThing(model, id) {
  const own = entry(id) ?? {};
  let base = id;
  while (!model.found.has(base)) base = base.slice(0, -SUFFIX.length);
  const { label, score, names } = model.found.get(base);
  const name = own.label ?? index.names[label];
  return {
    id,
    name,
    number: nameNumbers.get(name) ?? Infinity, // names that a person made up have no colour of their own
    score: own.label || own.status === 'accepted' ? 1 : score,
    said: index.names[label],
    names: names.map(([number, probability]) => ({ name: index.names[number], probability })),
    status: own.status ?? (own.label ? 'renamed' : null),
    tracks: new Set(),
    boxes: new Map(),
    views: [],
  };
}

export const numberOf = (name) => nameNumbers.get(name) ?? Infinity;
