// The camera pictures of a key frame with the boxes in them.

import { alpha, nameColour } from './colours.js';
import { h, show } from './dom.js';
import { invert, isFront, move } from './model.js';
import { drawBox } from './overlay.js';
import { set, state, watch } from './store.js';

export function pictures() {
  const element = h('div', { class: 'strip', role: 'group', 'aria-label': 'Camera pictures' });
  let shown = [];

  function build() {
    const sample = state.model?.samples[state.sample];
    shown = (sample?.frames ?? []).map((frame) => makePicture(frame));
    show(element, shown.length ? shown.map((one) => one.element) : h('p', { class: 'empty' }, 'No pictures'));
  }

  function mark() {
    for (const one of shown) one.draw();
  }

  // The picture that shows the selected thing best comes into sight.
  function reveal() {
    const thing = state.model?.things.get(state.thing);
    if (!thing) return;
    const own = thing.views.filter((view) => view.frame.sample === state.sample);
    const best = own.sort((a, b) => area(b.box) - area(a.box))[0];
    const one = shown.find(({ frame }) => frame === best?.frame);
    if (!one) return;
    const [left, right] = [one.element.offsetLeft, one.element.offsetLeft + one.element.offsetWidth];
    if (left < element.scrollLeft || right > element.scrollLeft + element.clientWidth) {
      element.scrollTo({ left: left - (element.clientWidth - one.element.offsetWidth) / 2, behavior: state.playing ? 'auto' : 'smooth' });
    }
  }

  watch(['model', 'sample'], build);
  watch(['model'], () => requestAnimationFrame(() => {
    const ahead = shown.find(({ frame }) => isFront(frame));
    if (ahead) element.scrollLeft = ahead.element.offsetLeft - (element.clientWidth - ahead.element.offsetWidth) / 2;
    reveal();
  }));
  watch(['thing', 'hover', 'hidden', 'boxes', 'cuboids', 'dark', 'reviewed', 'view'], mark);
  watch(['thing', 'model', 'sample'], reveal);
  new ResizeObserver(mark).observe(element);
  return element;
}

const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);

function makePicture(frame) {
  const canvas = h('canvas', {});
  const image = frame.picture
    ? h('img', { src: `data/${frame.picture}`, alt: `Picture of ${frame.camera}`, draggable: 'false' })
    : h('span', { class: 'missing' }, 'picture could not be read');
  const toggle = () => set({ view: state.view === frame.camera ? 'orbit' : frame.camera });
  const name = h('button', { class: 'camera', title: 'Look through this camera', onclick: toggle }, frame.camera);
  const element = h('figure', { style: { 'aspect-ratio': `${frame.width} / ${frame.height}` } }, image, canvas, name);

  const at = (event) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const [x, y] = [((event.clientX - left) / width) * frame.width, ((event.clientY - top) / height) * frame.height];
    const hits = frame.views.filter(({ view: { box }, thing }) =>
      !state.hidden.has(thing.name) && x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]);
    return hits.sort((a, b) => area(a.view.box) - area(b.view.box))[0]?.thing.id ?? null;
  };
  canvas.addEventListener('click', (event) => set({ thing: at(event) }));
  canvas.addEventListener('pointermove', (event) => {
    const id = at(event);
    canvas.style.cursor = id ? 'pointer' : '';
    set({ hover: id });
  });
  canvas.addEventListener('pointerleave', () => set({ hover: null }));
  canvas.addEventListener('dblclick', toggle);

  function draw() {
    name.setAttribute('aria-pressed', String(state.view === frame.camera));
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return;
    const ratio = Math.min(2, devicePixelRatio || 1);
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext('2d');
    context.scale(ratio, ratio);
    if (!state.boxes) return;
    const scale = width / frame.width;
    if (state.cuboids) drawCuboids(context, frame, scale);
    const order = (id) => (id === state.thing ? 2 : id === state.hover ? 1 : 0);
    for (const { view, thing } of [...frame.views].sort((a, b) => order(a.thing.id) - order(b.thing.id))) {
      if (state.hidden.has(thing.name) && thing.id !== state.thing) continue;
      drawView(context, view.box.map((value) => value * scale), thing, order(thing.id));
    }
  }
  requestAnimationFrame(draw);
  return { element, frame, draw };
}

function drawView(context, [x1, y1, x2, y2], thing, strength) {
  const colour = nameColour(thing.number, true); // pictures are dark ground in either theme
  const dim = state.thing && !strength;
  context.setLineDash(thing.status === 'rejected' ? [3, 3] : []);
  context.lineWidth = strength ? 2.4 : 1.3;
  if (strength) {
    context.strokeStyle = 'rgba(0,0,0,.6)';
    context.strokeRect(x1 - 1.5, y1 - 1.5, x2 - x1 + 3, y2 - y1 + 3);
    context.fillStyle = alpha(colour, 0.18);
    context.fillRect(x1, y1, x2 - x1, y2 - y1);
  }
  context.strokeStyle = alpha(colour, dim ? 0.45 : 1);
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  if (!strength) return;
  context.font = '600 11px system-ui, sans-serif';
  const width = context.measureText(thing.name).width + 8;
  const y = y1 > 16 ? y1 - 15 : y2 + 1;
  context.fillStyle = colour;
  context.fillRect(x1 - 1, y, width, 14);
  context.fillStyle = '#0b0d10';
  context.textBaseline = 'middle';
  context.fillText(thing.name, x1 + 3, y + 7.5);
}

// 3D boxes as this camera sees them.
function drawCuboids(context, frame, scale) {
  const T_points_from_scene = invert(state.model.samples[frame.sample].T);
  const [fx, , cx, , fy, cy] = frame.K;
  const project = (point) => {
    const [x, y, z] = move(frame.T_cam_from_points, move(T_points_from_scene, point));
    return [((fx * x) / z + cx) * scale, ((fy * y) / z + cy) * scale, z];
  };
  project.segment = (p, q) => {
    const [a, b] = [project(p), project(q)];
    return a[2] > 0.3 && b[2] > 0.3 ? [a, b] : null;
  };
  for (const thing of state.model.things.values()) {
    const box = thing.boxes.get(frame.sample);
    if (!box || state.hidden.has(thing.name)) continue;
    drawBox(context, project, box, nameColour(thing.number, true), thing.id === state.thing ? 2 : 0, false);
  }
}

