// Boxes, names and paths, drawn with lines of any width over the points: on a canvas of their own, in screen space.

import { Vector4 } from 'three';
import { alpha, nameColour } from './colours.js';

const EDGES = [[0, 1], [2, 3], [4, 5], [6, 7], [0, 2], [1, 3], [4, 6], [5, 7], [0, 4], [1, 5], [2, 6], [3, 7]];
const BOTTOM = [0, 2, 6, 4];
const FACES = [[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]];
const NEAR = 0.05;
const MOST_LABELS = 36;
const FONT = '500 11px system-ui, sans-serif';

const v = new Vector4();

// A projector: point of the scene → [x, y, w] on a canvas of width × height; w is the distance ahead, at most 0 behind.
export function projector(matrix, width, height) {
  const project = (p) => {
    v.set(p[0], p[1], p[2], 1).applyMatrix4(matrix);
    return [((v.x / v.w + 1) / 2) * width, ((1 - v.y / v.w) / 2) * height, v.w];
  };
  // The part of a segment that is ahead, null where none is.
  project.segment = (p, q) => {
    const a = project(p);
    const b = project(q);
    if (a[2] < NEAR && b[2] < NEAR) return null;
    if (a[2] >= NEAR && b[2] >= NEAR) return [a, b];
    const t = (NEAR - a[2]) / (b[2] - a[2]);
    const cut = project(p.map((value, k) => value + t * (q[k] - value)));
    return a[2] < NEAR ? [cut, b] : [a, cut];
  };
  return project;
}

function line(context, project, p, q) {
  const ends = project.segment(p, q);
  if (!ends) return;
  context.moveTo(ends[0][0], ends[0][1]);
  context.lineTo(ends[1][0], ends[1][1]);
}

function face(context, project, points) {
  const at = points.map(project);
  if (at.some(([, , w]) => w < NEAR)) return;
  context.beginPath();
  at.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
  context.fill();
}

// Draw one box. strength: 0 dim, 1 as usual, 2 under the pointer, 3 selected.
export function drawBox(context, project, box, colour, strength, rejected) {
  const c = box.corners;
  if (strength >= 2) {
    context.fillStyle = alpha(colour, strength === 3 ? 0.16 : 0.1);
    for (const side of FACES) face(context, project, side.map((k) => c[k]));
  }
  context.lineJoin = 'round';
  context.setLineDash(rejected ? [4, 4] : []);
  context.strokeStyle = alpha(colour, [0.35, 0.9, 1, 1][strength]);
  context.lineWidth = [1, 1.4, 2, 2.6][strength];
  context.beginPath();
  for (const [a, b] of EDGES) line(context, project, c[a], c[b]);
  // Where it looks: from the middle of the ground to the middle of the front's lower edge.
  const middle = [0, 1, 2].map((k) => BOTTOM.reduce((sum, n) => sum + c[n][k], 0) / 4);
  line(context, project, middle, [0, 1, 2].map((k) => (c[4][k] + c[6][k]) / 2));
  context.stroke();
  context.setLineDash([]);
}

export function drawPath(context, project, places, colour) {
  context.strokeStyle = alpha(colour, 0.9);
  context.lineWidth = 2;
  context.setLineDash([2, 4]);
  context.beginPath();
  for (let k = 1; k < places.length; k++) line(context, project, places[k - 1], places[k]);
  context.stroke();
  context.setLineDash([]);
  context.fillStyle = colour;
  for (const place of places) {
    const [x, y, w] = project(place);
    if (w < NEAR) continue;
    context.beginPath();
    context.arc(x, y, 3, 0, 2 * Math.PI);
    context.fill();
  }
}

// A camera as a small pyramid.
export function drawCamera(context, project, eye, rim, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  rim.forEach((corner, k) => {
    line(context, project, eye, corner);
    line(context, project, corner, rim[(k + 1) % 4]);
  });
  context.stroke();
}

// Names of boxes, the most important first; one that would cover another is left out. Gives the rectangles drawn.
export function drawLabels(context, project, items, dark, width, height) {
  context.font = FONT;
  context.textBaseline = 'middle';
  const taken = [];
  for (const { thing, box, strength } of items) {
    if (taken.length >= MOST_LABELS) break;
    const top = box.corners.reduce((best, corner) => (corner[2] > best ? corner[2] : best), -Infinity);
    const centre = [0, 1].map((k) => box.corners.reduce((sum, corner) => sum + corner[k], 0) / 8);
    const [x, y, w] = project([...centre, top]);
    if (w < NEAR || x < 0 || y < 0 || x > width || y > height) continue;
    const text = `${thing.name} ${thing.score.toFixed(2)}`;
    const half = context.measureText(text).width / 2 + 11;
    const rectangle = { x: x - half, y: y - 22, width: 2 * half, height: 17, id: thing.id };
    const covers = (other) =>
      rectangle.x < other.x + other.width + 2 && other.x < rectangle.x + rectangle.width + 2 &&
      rectangle.y < other.y + other.height + 1 && other.y < rectangle.y + rectangle.height + 1;
    if (strength < 2 && taken.some(covers)) continue;
    taken.push(rectangle);
    drawLabel(context, rectangle, text, nameColour(thing.number, dark), strength, dark);
  }
  return taken;
}

function drawLabel(context, { x, y, width, height }, text, colour, strength, dark) {
  context.fillStyle = dark ? 'rgba(13,16,20,.86)' : 'rgba(255,255,255,.92)';
  context.strokeStyle = strength >= 2 ? colour : alpha(colour, 0.55);
  context.lineWidth = strength >= 2 ? 1.6 : 1;
  context.beginPath();
  context.roundRect(x, y, width, height, 4);
  context.fill();
  context.stroke();
  context.fillStyle = colour;
  context.fillRect(x + 6, y + height / 2 - 3, 6, 6);
  context.fillStyle = dark ? '#e7ecf1' : '#1b2128';
  context.fillText(text, x + 16, y + height / 2 + 0.5);
}
