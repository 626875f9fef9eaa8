// The scene in space: points by WebGL, boxes and names over them; from outside, from above, or from a camera.

import {
  BufferAttribute, BufferGeometry, Color, LineBasicMaterial, LineSegments, Matrix4, PerspectiveCamera, Points, Raycaster,
  Scene, ShaderMaterial, Vector2, Vector3, WebGLRenderer,
} from 'three';
import { OrbitControls } from './vendor/OrbitControls.js';
import { nameColour, ramp, rgb } from './colours.js';
import { h } from './dom.js';
import { invert, isFront, move } from './model.js';
import { drawBox, drawCamera, drawLabels, drawPath, projector } from './overlay.js';
import { set, state, watch } from './store.js';

const FAR_M = 2000;
const RINGS_M = { lidar: [10, 20, 30, 40, 50, 60, 80], rgbd: [1, 2, 3, 4, 5, 6] };
const [BACK_M, UP_M] = [-26, 20]; // of the sensor, where one stands at first
const UNSEEN = { dark: [92, 101, 112], light: [168, 176, 184] }; // what no camera sees

// While one moves and frames take longer than this, fewer points are drawn; at rest, all.
const SLOW_MS = 60;
const FAST_MS = 25;
const STILL_MS = 300;
const LEAST_PACE = 1 / 32;

const VERTEX = `
  uniform float size; uniform float ratio; uniform float largest;
  attribute vec3 tint; varying vec3 shade;
  void main() {
    vec4 eye = modelViewMatrix * vec4(position, 1.0);
    gl_Position = projectionMatrix * eye;
    gl_PointSize = ratio * clamp(size / max(0.1, -eye.z), 2.0, largest);
    shade = tint;
  }`;
const FRAGMENT = `
  uniform float opacity; varying vec3 shade;
  void main() {
    vec2 p = gl_PointCoord - 0.5;
    if (dot(p, p) > 0.25) discard;
    gl_FragColor = vec4(shade, opacity);
  }`;

export function view3d(sensor) {
  const canvas = h('canvas', { class: 'points' });
  const lines = h('canvas', { class: 'lines', tabindex: '0', 'aria-label': 'Scene in space' });
  const picture = h('img', { class: 'behind', alt: '', hidden: true });
  const note = h('div', { class: 'stage-note', hidden: true });
  const element = h('div', { class: 'stage' }, picture, canvas, lines, note);
  const renderer = makeRenderer(canvas, note);
  const scene = new Scene();
  const camera = new PerspectiveCamera(55, 1, 0.05, FAR_M);
  camera.up.set(0, 0, 1);
  const controls = new OrbitControls(camera, lines);
  Object.assign(controls, { enableDamping: true, dampingFactor: 0.18, zoomToCursor: true, maxDistance: 600, minDistance: 0.5 });
  const material = new ShaderMaterial({
    vertexShader: VERTEX,
    fragmentShader: FRAGMENT,
    uniforms: { size: { value: sensor === 'rgbd' ? 12 : 60 }, ratio: { value: 1 }, largest: { value: 7 }, opacity: { value: 1 } },
    transparent: true,
    depthWrite: true,
  });
  const rings = makeRings(RINGS_M[sensor] ?? RINGS_M.lidar);
  scene.add(rings);
  let clouds = [];
  let drawn = { project: null, labels: [], width: 1, height: 1 };
  let dirty = true;
  let flight = null;
  let frames = 0;
  // Where drawing is slow, a share of the points is drawn while one moves.
  let pace = 1;
  let moving = false;
  let resting = true; // all points are drawn
  let [ticked, drew] = [0, 0];

  function resize() {
    const { clientWidth: width, clientHeight: height } = element;
    if (!width || !height) return;
    const ratio = Math.min(2, devicePixelRatio || 1);
    renderer?.setPixelRatio(ratio);
    renderer?.setSize(width, height, false);
    material.uniforms.ratio.value = ratio;
    lines.width = width * ratio;
    lines.height = height * ratio;
    camera.aspect = width / height;
    if (!(cameraFrame())) camera.updateProjectionMatrix();
    dirty = true;
  }
  new ResizeObserver(resize).observe(element);
  controls.addEventListener('change', () => (dirty = true));

  // --- points -------------------------------------------------------------------------------------------------------
  function rebuild() {
    for (const cloud of clouds) {
      scene.remove(cloud);
      cloud.geometry.dispose();
    }
    clouds = (state.model?.samples ?? []).map((sample) => {
      const geometry = new BufferGeometry();
      geometry.setAttribute('position', new BufferAttribute(sample.cloud.position, 3));
      geometry.setAttribute('tint', new BufferAttribute(new Uint8Array(3 * sample.cloud.n), 3, true));
      const cloud = new Points(geometry, material);
      cloud.frustumCulled = false;
      cloud.matrixAutoUpdate = false;
      cloud.matrix.set(...sample.T);
      scene.add(cloud);
      return cloud;
    });
  }

  function shown() {
    clouds.forEach((cloud, k) => (cloud.visible = k === state.sample || (state.everything && state.model.posed)));
    const sample = state.model?.samples[state.sample];
    if (sample) rings.position.set(...move(sample.T, [0, 0, 0]));
    dirty = true;
  }

  // Colours are made for the samples that are shown only, and once.
  function paint() {
    clouds.forEach((cloud, k) => {
      const key = `${state.colour}${state.dark}${state.colour === 'name' ? `${state.reviewed}/${[...state.hidden]}` : ''}`;
      if (!cloud.visible || cloud.userData.painted === key) return;
      const tint = cloud.geometry.getAttribute('tint');
      tintCloud(tint.array, state.model, k);
      tint.needsUpdate = true;
      cloud.userData.painted = key;
    });
    dirty = true;
  }

  // --- cameras ------------------------------------------------------------------------------------------------------
  const cameraFrame = () => state.model?.samples[state.sample]?.frames.find((frame) => frame.camera === state.view);

  function look() {
    const frame = cameraFrame();
    picture.hidden = !frame?.picture;
    controls.enabled = !frame;
    rings.visible = !frame;
    // Through a camera, points let the picture through.
    material.uniforms.opacity.value = frame ? 0.75 : 1;
    material.uniforms.largest.value = frame ? 3.5 : 7;
    if (frame) {
      if (frame.picture) picture.src = `data/${frame.picture}`;
      throughCamera(frame);
    } else {
      controls.enableRotate = state.view !== 'top';
      // From above, one drags the map.
      controls.mouseButtons.LEFT = state.view === 'top' ? 2 : 0;
    }
    dirty = true;
  }

  function throughCamera(frame) {
    const { clientWidth: width, clientHeight: height } = element;
    const scale = Math.min(width / frame.width, height / frame.height);
    const [fx, , cx, , fy, cy] = frame.K;
    const left = (width - scale * frame.width) / 2;
    const top = (height - scale * frame.height) / 2;
    const near = 0.1;
    const [x0, x1] = [-(scale * cx + left), width - (scale * cx + left)].map((x) => (x * near) / (scale * fx));
    const [y0, y1] = [-(scale * cy + top), height - (scale * cy + top)].map((y) => (y * near) / (scale * fy));
    camera.projectionMatrix.makePerspective(x0, x1, -y0, -y1, near, FAR_M);
    camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();
    const T_points_from_cam = new Matrix4().set(...invert(frame.T_cam_from_points));
    const pose = new Matrix4().set(...state.model.samples[frame.sample].T);
    const turned = pose.multiply(T_points_from_cam).multiply(new Matrix4().makeScale(1, -1, -1));
    turned.decompose(camera.position, camera.quaternion, camera.scale);
    camera.updateMatrixWorld();
  }

  // Where one stands at first: behind and above the sensor, looking the way that it drives or sees.
  function home(view = state.view) {
    const sample = state.model?.samples[state.sample];
    if (!sample) return;
    // A depth camera sees a room: one looks at its middle.
    const room = sensor === 'rgbd' && middle(sample.cloud);
    const at = new Vector3(...move(sample.T, room || [0, 0, 0]));
    if (view === 'top') {
      const up = room ? Math.max(4, 1.3 * room[3]) : 75;
      return fly(at.clone().add(new Vector3(0, -0.001 * up, up)), at);
    }
    const ahead = heading(sample);
    if (room) return fly(at.clone().addScaledVector(ahead, -0.95 * room[3]).add(new Vector3(0, 0, 0.45 * room[3])), at);
    return fly(at.clone().addScaledVector(ahead, BACK_M).add(new Vector3(0, 0, UP_M)), at.clone().addScaledVector(ahead, -0.28 * BACK_M));
  }

  // Level direction in which the first camera looks.
  function heading(sample) {
    const first = sample.frames.find(isFront) ?? sample.frames[0];
    if (!first) return new Vector3(0, 1, 0);
    const T = new Matrix4().set(...sample.T).multiply(new Matrix4().set(...invert(first.T_cam_from_points)));
    const ahead = new Vector3(T.elements[8], T.elements[9], 0);
    return ahead.lengthSq() > 1e-6 ? ahead.normalize() : new Vector3(0, 1, 0);
  }

  function fly(position, target, seconds = 0.45) {
    restoreLens();
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) seconds = 0;
    flight = { from: camera.position.clone(), to: position, look: controls.target.clone(), target, start: performance.now(), seconds };
    dirty = true;
  }

  function restoreLens() {
    camera.scale.set(1, 1, 1);
    camera.updateProjectionMatrix();
  }

  function stepFlight() {
    const t = flight.seconds ? Math.min(1, (performance.now() - flight.start) / 1000 / flight.seconds) : 1;
    const eased = 1 - (1 - t) ** 3;
    camera.position.lerpVectors(flight.from, flight.to, eased);
    controls.target.lerpVectors(flight.look, flight.target, eased);
    if (t === 1) flight = null;
    dirty = true;
  }

  function focus(id = state.thing) {
    const thing = state.model?.things.get(id);
    const box = thing?.boxes.get(state.sample) ?? [...(thing?.boxes.values() ?? [])][0];
    if (!box) return;
    if (cameraFrame()) set({ view: 'orbit' });
    const middle = new Vector3(...[0, 1, 2].map((k) => box.corners.reduce((sum, c) => sum + c[k], 0) / 8));
    const size = Math.hypot(...box.size);
    if (state.view === 'top') return fly(middle.clone().add(new Vector3(0, -0.01, 3 * size + 8)), middle);
    const sensorAt = new Vector3(...move(state.model.samples[box.sample].T, [0, 0, 0]));
    const from = sensorAt.sub(middle).setZ(0).normalize().multiplyScalar(1.9 * size + 2).add(new Vector3(0, 0, 0.9 * size + 1.2));
    fly(middle.clone().add(from), middle);
  }

  // The sensor drives on: what is looked at goes along.
  let lastPlace = null;
  function follow() {
    const sample = state.model?.samples[state.sample];
    if (!sample) return;
    const place = new Vector3(...move(sample.T, [0, 0, 0]));
    if (lastPlace?.model === state.model && !flight && !cameraFrame()) {
      const by = place.clone().sub(lastPlace.place);
      camera.position.add(by);
      controls.target.add(by);
    }
    lastPlace = { model: state.model, place };
  }

  // --- drawing ------------------------------------------------------------------------------------------------------
  function visibleBoxes() {
    const model = state.model;
    if (!model || !state.boxes) return [];
    const found = [];
    for (const thing of model.things.values()) {
      const box = thing.boxes.get(state.sample);
      if (!box || (state.hidden.has(thing.name) && thing.id !== state.thing)) continue;
      const strength = thing.id === state.thing ? 3 : thing.id === state.hover ? 2 : thing.status === 'rejected' ? 0 : 1;
      found.push({ thing, box, strength });
    }
    return found;
  }

  function drawLines() {
    const context = lines.getContext('2d');
    const ratio = Math.min(2, devicePixelRatio || 1);
    const [width, height] = [lines.width / ratio, lines.height / ratio];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    camera.updateMatrixWorld();
    const project = projector(new Matrix4().multiplyMatrices(camera.projectionMatrix, camera.matrixWorldInverse), width, height);
    const items = visibleBoxes();
    for (const item of items) {
      const [, , w] = project(item.box.corners[0]);
      item.far = w;
    }
    items.sort((a, b) => a.strength - b.strength || b.far - a.far);
    const frame = cameraFrame();
    if (!frame) for (const own of state.model?.samples[state.sample]?.frames ?? []) drawFrustum(context, project, own);
    const selected = state.model?.things.get(state.thing);
    if (selected && state.model.posed && selected.boxes.size > 1) {
      const places = [...selected.boxes.values()].sort((a, b) => a.sample - b.sample).map((box) =>
        [0, 1, 2].map((k) => box.corners.reduce((sum, c) => sum + c[k], 0) / 8));
      drawPath(context, project, places, nameColour(selected.number, state.dark));
    }
    for (const { thing, box, strength } of items) {
      drawBox(context, project, box, nameColour(thing.number, state.dark), strength, thing.status === 'rejected');
    }
    const labelled = state.labels ? items : items.filter((item) => item.strength >= 2);
    const labels = drawLabels(context, project, labelled.reverse(), state.dark, width, height);
    drawn = { project, items, labels, width, height };
  }

  function drawFrustum(context, project, frame) {
    const T = invert(frame.T_cam_from_points);
    const depth = sensor === 'rgbd' ? 0.25 : 1.2;
    const [fx, , cx, , fy, cy] = frame.K;
    const pose = state.model.samples[frame.sample].T;
    const at = (u, w) => move(pose, move(T, [((u - cx) / fx) * depth, ((w - cy) / fy) * depth, depth]));
    const rim = [at(0, 0), at(frame.width, 0), at(frame.width, frame.height), at(0, frame.height)];
    drawCamera(context, project, move(pose, move(T, [0, 0, 0])), rim, state.dark ? 'rgba(160,176,192,.45)' : 'rgba(70,84,98,.5)');
  }

  function tick() {
    requestAnimationFrame(tick);
    if (!element.clientWidth) return;
    if (flight) stepFlight();
    if (controls.enabled) controls.update();
    const now = performance.now();
    const took = now - ticked;
    ticked = now;
    if (moving) pace = took > SLOW_MS ? Math.max(LEAST_PACE, pace / 2) : took < FAST_MS ? Math.min(1, 1.25 * pace) : pace;
    moving = dirty;
    const settled = !dirty && !resting && now - drew > STILL_MS;
    if (!dirty && !settled) return;
    resting = settled || pace === 1;
    dirty = false;
    frames += 1;
    for (const cloud of clouds) {
      const { count } = cloud.geometry.getAttribute('position');
      cloud.geometry.setDrawRange(0, resting ? count : Math.ceil(pace * count));
    }
    renderer?.render(scene, camera);
    drawLines();
    drew = performance.now();
  }
  requestAnimationFrame(tick);

  // --- pointer ------------------------------------------------------------------------------------------------------
  const raycaster = new Raycaster();
  function pick(event) {
    const { left, top } = lines.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    const label = drawn.labels.find((r) => x >= r.x && x <= r.x + r.width && y >= r.y && y <= r.y + r.height);
    if (label) return label.id;
    raycaster.setFromCamera(new Vector2((2 * x) / drawn.width - 1, 1 - (2 * y) / drawn.height), camera);
    let best = { t: Infinity, id: null };
    for (const { thing, box } of drawn.items ?? []) {
      const t = hit(raycaster.ray, box, state.model.samples[box.sample].T);
      if (t !== null && t < best.t) best = { t, id: thing.id };
    }
    return best.id;
  }

  let pressed = null;
  lines.addEventListener('pointerdown', (event) => (pressed = [event.clientX, event.clientY]));
  lines.addEventListener('pointerup', (event) => {
    if (pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) < 4 && event.button === 0) set({ thing: pick(event) });
    pressed = null;
  });
  lines.addEventListener('pointermove', (event) => {
    if (event.buttons) return;
    const id = pick(event);
    lines.style.cursor = id ? 'pointer' : '';
    set({ hover: id });
  });
  lines.addEventListener('pointerleave', () => set({ hover: null }));
  lines.addEventListener('dblclick', () => focus());

  watch(['model'], () => {
    rebuild();
    lastPlace = null;
  });
  watch(['model', 'sample', 'everything'], shown);
  watch(['model', 'sample'], follow);
  watch(['model', 'sample', 'everything', 'colour', 'dark', 'reviewed', 'hidden'], paint);
  let before = null;
  watch(['model', 'view'], () => {
    const free = state.view === 'orbit' || state.view === 'top';
    if (free && before !== `${state.view}${state.model?.number}`) home();
    before = free ? `${state.view}${state.model?.number}` : null;
  });
  watch(['model', 'sample', 'view'], look);
  watch(['thing', 'hover', 'boxes', 'labels', 'hidden', 'reviewed', 'tab'], () => (dirty = true));
  watch(['dark'], () => {
    rings.material.color = new Color(state.dark ? '#39424d' : '#b4bec8');
    renderer?.setClearColor(0x000000, 0);
  });
  new ResizeObserver(() => look()).observe(element);

  return { element, home, focus, frames: () => frames, settled: () => !flight && !dirty };
}

function makeRenderer(canvas, note) {
  try {
    return new WebGLRenderer({ canvas, antialias: true, alpha: true, powerPreference: 'high-performance' });
  } catch {
    note.hidden = false;
    note.append('No points: this browser has no WebGL. Pictures, boxes and tables work.');
    return null;
  }
}

function makeRings(radii) {
  const points = [];
  for (const radius of radii) {
    for (let k = 0; k < 128; k++) {
      for (const turn of [k, k + 1]) {
        const angle = (turn / 128) * 2 * Math.PI;
        points.push(radius * Math.cos(angle), radius * Math.sin(angle), 0);
      }
    }
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute('position', new BufferAttribute(new Float32Array(points), 3));
  const rings = new LineSegments(geometry, new LineBasicMaterial({ transparent: true, opacity: 0.55 }));
  rings.frustumCulled = false;
  return rings;
}

// Distance along a ray to a box, null where it passes by.
function hit(ray, box, T) {
  const inverse = invert(T);
  const o = move(inverse, ray.origin.toArray());
  const to = move(inverse, ray.origin.clone().add(ray.direction).toArray());
  const c = Math.cos(-box.yaw);
  const sn = Math.sin(-box.yaw);
  const local = (p) => {
    const [x, y, z] = p.map((value, k) => value - box.center[k]);
    return [c * x - sn * y, sn * x + c * y, z];
  };
  const a = local(o);
  const d = local(to).map((value, k) => value - a[k]);
  let [near, far] = [0, Infinity];
  for (let k = 0; k < 3; k++) {
    const half = box.size[k] / 2;
    const t = [(-half - a[k]) / d[k], (half - a[k]) / d[k]].sort((p, q) => p - q);
    near = Math.max(near, t[0]);
    far = Math.min(far, t[1]);
  }
  return near <= far && near > 0 ? near : null;
}

// Fill tint (3 n bytes) for the points of one sample.
function tintCloud(tint, model, number) {
  const sample = model.samples[number];
  const { n, position, colour } = sample.cloud;
  const unseen = UNSEEN[state.dark ? 'dark' : 'light'];
  if (state.colour === 'camera') {
    for (let i = 0; i < 3 * n; i += 3) {
      const seen = colour[i] | colour[i + 1] | colour[i + 2];
      for (let k = 0; k < 3; k++) tint[i + k] = seen ? colour[i + k] : unseen[k];
    }
  } else if (state.colour === 'name') {
    tintByName(tint, model, number, unseen);
  } else {
    const value = state.colour === 'height' ? (i) => position[i + 2] : (i) => Math.hypot(position[i], position[i + 1]);
    const [low, high] = spread(n, value);
    for (let i = 0; i < 3 * n; i += 3) {
      const shade = ramp(Math.min(1, Math.max(0, (value(i) - low) / (high - low || 1))), state.dark);
      for (let k = 0; k < 3; k++) tint[i + k] = shade[k];
    }
  }
}

// Middle of a cloud's points in its own frame, and how far they reach; null of none.
function middle({ n, position }) {
  if (!n) return null;
  const ends = [0, 1, 2].map((axis) => spread(n, (i) => position[i + axis]));
  return [...ends.map(([low, high]) => (low + high) / 2), Math.max(1, Math.hypot(...ends.map(([low, high]) => high - low)))];
}

// Values between which nearly all points lie.
function spread(n, value) {
  const some = [];
  for (let k = 0; k < n; k += Math.max(1, Math.floor(n / 4000))) some.push(value(3 * k));
  some.sort((a, b) => a - b);
  return [some[Math.floor(0.02 * some.length)] ?? 0, some[Math.floor(0.97 * some.length)] ?? 1];
}

function tintByName(tint, model, number, unseen) {
  const { n, position } = model.samples[number].cloud;
  for (let i = 0; i < 3 * n; i++) tint[i] = unseen[i % 3];
  for (const thing of model.things.values()) {
    const box = thing.boxes.get(number);
    if (!box || state.hidden.has(thing.name)) continue;
    const shade = rgb(nameColour(thing.number, state.dark));
    const [c, sn] = [Math.cos(box.yaw), Math.sin(box.yaw)];
    const [l, w, hh] = box.size.map((value) => value / 2 + 0.05);
    for (let i = 0; i < 3 * n; i += 3) {
      const [x, y, z] = [position[i] - box.center[0], position[i + 1] - box.center[1], position[i + 2] - box.center[2]];
      if (Math.abs(z) < hh && Math.abs(c * x + sn * y) < l && Math.abs(c * y - sn * x) < w) {
        for (let k = 0; k < 3; k++) tint[i + k] = shade[k];
      }
    }
  }
}
