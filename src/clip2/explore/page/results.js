// Results: how boxes became things, tables of figures, confusion, training curves.

import { count as many, h, s, show } from './dom.js';
import { index, loadResults } from './data.js';
import { alpha, nameColour } from './colours.js';
import { tileOf } from './crops.js';
import { go } from './nav.js';
import { numberOf } from './model.js';
import { showOnly } from './things.js';
import { state, watch } from './store.js';

const percent = (value) => (typeof value === 'number' ? (100 * value).toFixed(1) : '–');
const count = (value) => value.toLocaleString('en');
const words = (text) => text.replaceAll('_', ' ');

export function resultsTab() {
  const body = h('div', { class: 'cards' });
  const element = h('div', { class: 'tab results', tabindex: '0' }, body);
  let results = null;
  watch(['tab', 'dark'], async () => {
    if (state.tab !== 'results') return;
    try {
      results ??= await loadResults();
    } catch (error) {
      show(body, h('p', { class: 'empty bad' }, error.message));
      return;
    }
    const made = index.source_kind && index.source_kind !== 'real'
      ? h('p', { class: 'warning' }, `Made on the ${index.source_kind}: these figures show that the software works, and are none of a real data set.`) : null;
    show(body, made, funnelCard(results.funnel), results.results.map(resultCard), examplesCard(results.examples), results.curves.map(curveCard),
      results.results.length ? null : h('p', { class: 'empty' }, 'No result files were given; snakemake makes them (results/…_zeroshot.json)'));
  });
  return element;
}

function card(title, note, ...children) {
  return h('section', { class: 'card' }, h('h2', {}, title), note && h('p', { class: 'facts' }, note), ...children);
}

// --- boxes → triplets → tracks → things ---------------------------------------------------------------------------------
function funnelCard(funnel) {
  const most = Math.max(1, ...funnel.map((row) => (row.stage === 'detections' ? row.out : Math.max(row.in, row.out))));
  const titles = {
    detections: 'Boxes that the detector was sure of', triplets: 'Boxes with points: triplets', tracks: 'Triplets joined to tracks', labels: 'Things with a label',
  };
  return card('From boxes to things', 'How many were left after each stage, and why the others were not. A track joins many triplets, so fewer tracks are no loss.',
    h('div', { class: 'funnel' }, funnel.map((row) => {
      const lost = Object.entries(row.lost).sort((a, b) => b[1] - a[1]);
      return h('div', { class: 'step' },
        h('span', {}, titles[row.stage]), h('div', { class: 'track' }, h('i', { style: { width: `${(100 * row.out) / most}%` } }), h('b', {}, count(row.out))),
        lost.length ? h('p', {}, 'not: ', lost.map(([reason, n]) => h('span', { class: 'reason' }, `${words(reason)} `, h('b', {}, count(n))))) : null);
    })));
}

// --- result files -------------------------------------------------------------------------------------------------------
function resultCard(result) {
  const title = words(result.name);
  if (['audit', 'tracks_audit'].includes(result.kind)) return auditCard(result);
  if (!result.methods) return plainCard(title, result);
  const about = [result.dataset, result.split, result.n_objects && `${count(result.n_objects)} objects`].filter(Boolean).join(' · ');
  const methods = Object.entries(result.methods);
  const figures = [...new Set(methods.flatMap(([, m]) => Object.entries(m).filter(([, v]) => typeof v === 'number' && v <= 1).map(([k]) => k)))];
  return card(title, about,
    h('div', { class: 'beside' }, figures.length ? overview(methods, figures) : nested(methods), confusion(result, methods)), perClass(result, methods));
}

// All methods, the best first, by the figure that counts: the mean over classes where there is one.
function overview(methods, figures) {
  const [first, interval] = figures.includes('class_mean_top1') ? ['class_mean_top1', 'ci95'] : [figures[0], `ci95_${figures[0]}`];
  const keys = [first, ...figures.filter((key) => key !== first)];
  const ordered = [...methods].sort((a, b) => (b[1][first] ?? -1) - (a[1][first] ?? -1));
  const between = (m) => (m[interval] ? `${percent(m[interval][0])} – ${percent(m[interval][1])}` : '–');
  return table(['method', words(keys[0]), '95 % interval', ...keys.slice(1).map(words)],
    ordered.map(([name, m]) => [name === 'clip2' ? h('b', {}, 'CLIP²') : words(name), percent(m[first]), between(m), ...keys.slice(1).map((key) => percent(m[key]))]), ordered.map(([, m]) => m[first]));
}

// Rows of a table; strength (0 to 1 a row) is drawn behind the first cell.
function table(head, rows, strength = []) {
  return h('div', { class: 'wide' }, h('table', {}, h('thead', {}, h('tr', {}, head.map((cell) => h('th', {}, cell)))),
    h('tbody', {}, rows.map((cells, k) => h('tr', {}, cells.map((cell, n) => h(n ? 'td' : 'th', { style: n || !strength[k] ? {} : { background: `linear-gradient(90deg, ${alpha('#56b4e9', 0.28)} ${100 * strength[k]}%, transparent 0)` } }, cell)))))));
}

// Methods whose figures lie deeper: few-shot by shots, retrieval by k.
function nested(methods) {
  const rows = methods.flatMap(([name, m]) => Object.entries(m).filter(([, v]) => v && typeof v === 'object' && !Array.isArray(v)).flatMap(([key, inner]) =>
    Object.entries(inner).map(([at, v]) => [words(name), `${words(key)} ${at}`, percent(v?.class_mean_top1?.mean ?? v?.mean ?? v)])).filter((r) => r[2] !== '–'));
  return rows.length ? table(['method', 'at', '%'], rows) : null;
}

function perClass(result, methods) {
  const classes = result.protocol?.classes;
  if (!classes || !methods[0]?.[1].per_class) return null;
  const shown = methods.filter(([, m]) => m.per_class).slice(0, 10);
  const cell = (m, name) => m.per_class[name]?.top1 ?? m.per_class[name]?.ap25 ?? null;
  return h('details', {}, h('summary', {}, 'Each class'), table(['class', 'n', ...shown.map(([name]) => words(name))],
    classes.map((name) => [words(name), count(shown[0][1].per_class[name]?.n ?? 0), ...shown.map(([, m]) => percent(cell(m, name)))])));
}

// Rows are what things are, columns what they were called; a cell leads to the things that such confusion is about.
function confusion(result, methods) {
  const [name, method] = methods.find(([, m]) => m.confusion) ?? [];
  const classes = result.protocol?.classes;
  if (!method || !classes) return null;
  const named = result.protocol.names ?? {};
  const detail = h('p', { class: 'facts' }, 'Rows: what it is. Columns: what it was called. Click a cell for things like that.');
  const label = (k) => words(classes[k]);
  const cells = method.confusion.map((row, i) => {
    const total = row.reduce((a, b) => a + b, 0);
    return h('tr', {}, h('th', {}, label(i)), row.map((value, j) => {
      const share = total ? value / total : 0;
      return h('td', {}, h('button', {
        class: i === j ? 'right' : 'wrong', style: { '--share': share.toFixed(3) },
        title: `${count(Math.round(value))} of ${count(Math.round(total))} ${label(i)} were called ${label(j)}`,
        onclick: () => showOnly({ name: named[classes[j]] ?? label(j), second: i === j ? null : named[classes[i]] ?? label(i) }),
      }, share >= 0.005 ? Math.round(100 * share) : ''));
    }));
  });
  return h('details', { open: true }, h('summary', {}, `Confusion of ${words(name)}, % of each row`), detail,
    h('div', { class: 'wide' }, h('table', { class: 'confusion' }, h('thead', {}, h('tr', {}, h('th', {}), classes.map((_, k) => h('th', {}, h('span', {}, label(k)))))), h('tbody', {}, cells))));
}

const PLAIN = new Set(['tracks_per_object']); // numbers that are no shares

function auditCard(audit) {
  const keys = Object.keys(audit.total).filter((key) => typeof audit.total[key] === 'number');
  const value = (row, key) => (row[key] === undefined || row[key] === null ? '–' : PLAIN.has(key) ? row[key].toFixed(1) : Number.isInteger(row[key]) && row[key] > 1 ? count(row[key]) : percent(row[key]));
  const rows = [['all', audit.total], ...Object.entries(audit.per_class ?? {})];
  const about = [audit.split, audit.samples && `${count(audit.samples)} key frames`, audit.tracks && `${count(audit.tracks)} tracks`, 'shares in %'];
  const what = audit.kind === 'audit' ? 'Mined triplets' : 'Tracks';
  return card(`${what} against human boxes`, about.filter(Boolean).join(' · '),
    table(['class', ...keys.map(words)], rows.map(([name, row]) => [words(name), ...keys.map((key) => value(row, key))]), rows.map(([, row]) => row.label_agreement ?? row.label_right_track ?? 0)));
}

function plainCard(title, result) {
  const rows = [];
  const walk = (value, path) => {
    if (rows.length > 200) return;
    if (value && typeof value === 'object' && !Array.isArray(value)) for (const [key, inner] of Object.entries(value)) walk(inner, [...path, key]);
    else rows.push([words(path.join(' · ')), Array.isArray(value) ? value.slice(0, 12).join(', ') : String(value)]);
  };
  walk(result.total ?? result, []);
  return card(title, null, h('details', {}, h('summary', {}, `${rows.length} values`), table(['value', ''], rows)));
}

// --- best and worst views of each name --------------------------------------------------------------------------------------
function examplesCard(examples) {
  if (!examples?.length) return null;
  const view = (own, name) => h('button', {
    class: 'view', title: `${index.scenes.name[own.scene]}: the detector says ${name} (${own.score.toFixed(2)})${own.teacher ? `, the teacher ${own.teacher}` : ''}, the track ${own.track}`,
    onclick: () => go({ scene: own.scene, sample: own.sample, thing: own.track_id }),
  }, tileOf('examples.webp', own.tile, 60), h('span', {}, h('small', {}, own.score.toFixed(2))),
  [...new Set([own.teacher, own.track])].map((said) => said && said !== name && h('small', { class: 'other' }, said)));
  const row = ({ name, n, best, worst }) => h('section', { class: 'ends' },
    h('h3', {}, h('i', { class: 'swatch', style: { background: nameColour(numberOf(name), state.dark) } }), name, h('small', {}, many(n, 'view'))),
    h('div', { class: 'views' }, best.map((own) => view(own, name))), h('div', { class: 'views' }, worst.map((own) => view(own, name))));
  const [first, rest] = [examples.slice(0, 8), examples.slice(8)];
  return card('Best and worst views of each name', 'Best: detector, teacher and track agree, and the detector was sure. Worst: it stands alone; in red, what the others call it. Click one to see it in its scene.',
    h('div', { class: 'ends-head' }, h('b', {}, 'best'), h('b', {}, 'worst')), first.map(row),
    rest.length ? h('details', {}, h('summary', {}, `${count(rest.length)} more names`), rest.map(row)) : null);
}

// --- training curves ----------------------------------------------------------------------------------------------------
function curveCard(curve) {
  const colours = state.dark ? ['#56b4e9', '#e69f00', '#2fc79a', '#d690cb'] : ['#0072b2', '#b06f00', '#007a59', '#96407f'];
  const names = Object.keys(curve.series).filter((key) => key !== 'lr');
  const values = names.flatMap((key) => curve.series[key]);
  const [W, H, left, foot] = [640, 200, 40, 22];
  const high = Math.max(...values);
  const low = Math.min(0, ...values);
  const last = curve.step.at(-1) || 1;
  const x = (step) => left + ((W - left - 8) * step) / last;
  const y = (value) => 8 + (H - foot - 8) * (1 - (value - low) / (high - low || 1));
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((t) => low + t * (high - low));
  return card('Training', curve.name,
    s('svg', { viewBox: `0 0 ${W} ${H}`, class: 'curve', role: 'img', 'aria-label': 'Loss by training step' },
      ticks.map((t) => [s('line', { x1: left, x2: W - 8, y1: y(t), y2: y(t), class: 'grid' }), s('text', { x: left - 6, y: y(t) + 3, 'text-anchor': 'end' }, t.toFixed(1))]),
      [0, 0.5, 1].map((t) => s('text', { x: x(t * last), y: H - 6, 'text-anchor': t === 1 ? 'end' : t ? 'middle' : 'start' }, `${count(Math.round(t * last))}${t === 1 ? ' steps' : ''}`)),
      names.map((key, k) => s('polyline', { points: curve.step.map((step, n) => `${x(step).toFixed(1)},${y(curve.series[key][n]).toFixed(1)}`).join(' '), stroke: colours[k], class: 'series' }))),
    h('p', { class: 'legend' }, names.map((key, k) => h('span', {}, h('i', { class: 'swatch', style: { background: colours[k] } }), words(key), h('b', {}, ` ${curve.series[key].at(-1).toFixed(3)}`)))));
}
