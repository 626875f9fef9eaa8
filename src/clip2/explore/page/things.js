// A table of the things of all scenes: sorted, filtered, searched; and the same as a sheet of crops.

import { nameColour } from './colours.js';
import { crop } from './crops.js';
import { h, icon, show } from './dom.js';
import { index, loadThings } from './data.js';
import { mark } from './inspector.js';
import { go } from './nav.js';
import { ACCEPTED, REJECTED, renameThing, statusOf } from './review.js';
import { correct, entry } from './corrections.js';
import { set, state, watch } from './store.js';

const ROW = 44;
const TILE = 104;
const MOVES_MPS = 0.5;

const filters = { names: new Set(), score: [0, 1], range: [0, Infinity], points: 0, moving: false, status: 'any', second: null };
let order = { key: null, down: true };
let grid = false;
let cursor = 0;
let drawn = null; // what draw() made last, see inSight()

const COLUMNS = [
  { key: 'tile', text: '', width: '44px' },
  { key: 'label', text: 'Name', width: 'minmax(110px, 1.2fr)' },
  { key: 'score', text: 'Probability', width: 'minmax(96px, 1fr)' },
  { key: 'second', text: 'Or', width: 'minmax(90px, 1.2fr)' },
  { key: 'scene', text: 'Scene', width: 'minmax(84px, 1fr)' },
  { key: 'range', text: 'Range', width: '64px', number: true },
  { key: 'points', text: 'Points', width: '64px', number: true },
  { key: 'samples', text: 'Frames', width: '64px', number: true },
  { key: 'views', text: 'Views', width: '58px', number: true },
  { key: 'speed', text: 'Speed', width: '68px', number: true },
  { key: 'status', text: 'Review', width: '70px' },
];

// Confusion cells and names elsewhere lead here with filters set.
export function showOnly({ name, second = null }) {
  filters.names = new Set(name ? [name] : []);
  filters.second = second;
  set({ tab: 'things', query: null, filtered: (state.filtered ?? 0) + 1 });
}

export function thingsTab() {
  const facets = h('nav', { class: 'side facets', 'aria-label': 'Filters' });
  const bar = h('div', { class: 'bar-top' });
  const head = h('div', { class: 'thead', role: 'row' });
  const rows = h('div', { class: 'rows' });
  const scroller = h('div', { class: 'scroller', tabindex: '0', role: 'grid', 'aria-label': 'Things' }, head, rows);
  const element = h('div', { class: 'tab things' }, facets, h('div', { class: 'centre' }, bar, scroller));
  const template = COLUMNS.map(({ width }) => width).join(' ');
  element.style.setProperty('--columns', template);
  let things = null;
  let found = [];
  let relevance = null;

  const nameOf = (k) => entry(things.id[k])?.label ?? index.names[things.label[k]];
  const numberOf = (k) => (entry(things.id[k])?.label ? index.names.indexOf(nameOf(k)) : things.label[k]);
  const colourOf = (k) => nameColour(numberOf(k) < 0 ? Infinity : numberOf(k), state.dark);
  // What a person accepted or named is certain.
  const scoreOf = (k) => (['accepted', 'renamed'].includes(statusOf(things.id[k])) ? 1 : things.score[k]);
  const secondOf = (k) => (things.names[k].length > 2 ? index.names[things.names[k][2]] : '');

  // Searched for by words, the table tells how well things fit them.
  const fits = () => state.query?.kind === 'words';

  function values(key) {
    if (key === 'second' && fits()) return relevance;
    if (key === 'label') return nameOf;
    if (key === 'score') return scoreOf;
    if (key === 'second') return secondOf;
    if (key === 'scene') return (k) => index.scenes.name[things.scene[k]];
    if (key === 'status') return (k) => statusOf(things.id[k]) ?? '';
    return (k) => things[key][k] ?? -1;
  }

  // How well each thing answers what was searched for, null where nothing was.
  function relevant() {
    const query = state.query;
    if (!query) return null;
    if (query.kind === 'words') return (k) => query.scores.get(things.id[k]) ?? -Infinity;
    return (k) => {
      let best = query.names.has(numberOf(k)) ? query.names.get(numberOf(k)) * Math.max(things.score[k], 0.5) : 0;
      const own = things.names[k];
      for (let n = 0; n < own.length; n += 2) best = Math.max(best, (query.names.get(own[n]) ?? 0) * own[n + 1]);
      return best > 0.02 ? best : -Infinity;
    };
  }

  function passes(k) {
    const status = statusOf(things.id[k]);
    if (status === 'merged') return false;
    if (filters.names.size && !filters.names.has(nameOf(k))) return false;
    if (filters.second && !things.names[k].some((value, n) => n % 2 === 0 && n > 0 && index.names[value] === filters.second)) return false;
    if (scoreOf(k) < filters.score[0] || scoreOf(k) > filters.score[1]) return false;
    if (things.range[k] < filters.range[0] || things.range[k] > filters.range[1]) return false;
    if (things.points[k] < filters.points) return false;
    if (filters.moving && !((things.speed[k] ?? 0) >= MOVES_MPS)) return false;
    if (filters.status === 'waiting' && status && status !== 'split') return false;
    if (!['any', 'waiting'].includes(filters.status) && status !== filters.status) return false;
    return true;
  }

  function choose() {
    if (!things) return;
    relevance = relevant();
    found = [];
    for (let k = 0; k < things.id.length; k++) if (passes(k) && (!relevance || relevance(k) > -Infinity)) found.push(k);
    if (relevance && !order.key) {
      const own = new Map(found.map((k) => [k, relevance(k)]));
      found.sort((a, b) => own.get(b) - own.get(a) || a - b);
    } else if (order.key) {
      const value = values(order.key);
      const own = new Map(found.map((k) => [k, value(k)]));
      const sign = order.down ? -1 : 1;
      found.sort((a, b) => (own.get(a) < own.get(b) ? -sign : own.get(a) > own.get(b) ? sign : a - b));
    }
    cursor = Math.min(cursor, Math.max(0, found.length - 1));
    drawBar();
    drawHead();
    draw();
  }

  function drawBar() {
    const chips = [];
    const chip = (text, clear) => chips.push(h('button', { class: 'chip', title: 'Remove this filter', onclick: () => { clear(); refresh(); } }, text, icon('cross')));
    if (state.query) chip(`“${state.query.words}”`, () => set({ query: null }));
    for (const name of filters.names) chip(name, () => filters.names.delete(name));
    if (filters.second) chip(`could be ${filters.second}`, () => (filters.second = null));
    show(bar, h('b', {}, found.length.toLocaleString('en')), h('span', {}, ` of ${things.id.length.toLocaleString('en')} things`), chips, h('span', { class: 'gap' }),
      h('div', { class: 'group' },
        h('button', { 'aria-pressed': String(!grid), onclick: () => { grid = false; scroller.scrollTop = 0; choose(); } }, 'Table'),
        h('button', { 'aria-pressed': String(grid), onclick: () => { grid = true; scroller.scrollTop = 0; choose(); } }, 'Crops')));
  }

  function drawHead() {
    head.hidden = grid;
    show(head, COLUMNS.map(({ key, text, number }) => h('button', {
      role: 'columnheader', class: number ? 'number' : null, disabled: key === 'tile',
      'aria-sort': order.key === key ? (order.down ? 'descending' : 'ascending') : 'none',
      onclick: () => {
        order = order.key === key ? (order.down ? { key, down: false } : { key: null, down: true }) : { key, down: !['label', 'second', 'scene'].includes(key) };
        choose();
      },
    }, key === 'second' && fits() ? 'Fits' : text, order.key === key ? (order.down ? ' ↓' : ' ↑') : '')));
  }

  const acrossNow = () => (grid ? Math.max(1, Math.floor((scroller.clientWidth - 12) / TILE)) : 1);

  // What is in sight, and a little more: the first and the last of the things found, and how many stand beside each other.
  function inSight() {
    const across = acrossNow();
    const height = grid ? TILE + 22 : ROW;
    const first = Math.max(0, Math.floor(scroller.scrollTop / height) - 3) * across;
    const last = Math.min(found.length, first + (Math.ceil((scroller.clientHeight || 800) / height) + 6) * across);
    return { first, last, across, height };
  }

  // A row that is still in sight stays the same element, so that a click that began on it ends on it.
  function drawIfMoved() {
    const now = inSight();
    if (now.first !== drawn?.first || now.last !== drawn.last || now.across !== drawn.across) draw();
  }

  // Only what is in sight is made.
  function draw() {
    if (!things) return;
    if (!found.length) {
      rows.style.height = '120px';
      show(rows, h('p', { class: 'empty' }, 'No thing fits these filters'));
      return;
    }
    drawn = inSight();
    const { first, last, across, height } = drawn;
    rows.style.height = `${Math.ceil(found.length / across) * height}px`;
    show(rows, found.slice(first, last).map((k, n) => (grid ? tile(k, first + n, across, height) : line(k, first + n))));
  }

  const open = (k) => {
    const id = things.id[k];
    return go({ scene: things.scene[k], sample: things.at[k], thing: id, tab: 'scenes' });
  };

  function line(k, at) {
    const status = statusOf(things.id[k]);
    const speed = things.speed[k];
    return h('button', {
      class: `tr ${status ?? ''}`, role: 'row', tabindex: '-1', 'aria-selected': String(at === cursor), style: { top: `${at * ROW}px` },
      onclick: () => { cursor = at; open(k); },
    },
    crop(things.scene[k], things.tile[k], 36),
    h('span', { class: 'label' }, h('i', { class: 'swatch', style: { background: colourOf(k) } }), nameOf(k)),
    h('span', { class: 'meter' }, h('i', { style: { width: `${100 * scoreOf(k)}%`, background: colourOf(k) } }), h('b', {}, scoreOf(k).toFixed(2))),
    h('span', { class: 'faint' }, fits() ? relevance(k).toFixed(2) : secondOf(k) && things.names[k][3] >= 0.005 ? `${secondOf(k)} ${things.names[k][3].toFixed(2)}` : '–'),
    h('span', { class: 'faint' }, index.scenes.name[things.scene[k]]),
    h('span', { class: 'number' }, `${things.range[k].toFixed(0)} m`),
    h('span', { class: 'number' }, things.points[k].toLocaleString('en')),
    h('span', { class: 'number' }, things.samples[k]),
    h('span', { class: 'number' }, things.views[k]),
    h('span', { class: 'number' }, speed === null ? '–' : speed < MOVES_MPS ? 'stands' : `${speed.toFixed(1)} m/s`),
    h('span', {}, mark(status)));
  }

  function tile(k, at, across, height) {
    const status = statusOf(things.id[k]);
    return h('button', {
      class: `tile ${status ?? ''}`, tabindex: '-1', 'aria-selected': String(at === cursor), title: `${nameOf(k)} ${scoreOf(k).toFixed(2)}, ${index.scenes.name[things.scene[k]]}`,
      style: { top: `${Math.floor(at / across) * height}px`, left: `${(at % across) * TILE}px` },
      onclick: () => { cursor = at; open(k); },
    }, crop(things.scene[k], things.tile[k], TILE - 8), h('span', { class: 'label' }, h('i', { class: 'swatch', style: { background: colourOf(k) } }), h('span', {}, nameOf(k)), h('small', {}, scoreOf(k).toFixed(2)), mark(status)));
  }

  scroller.addEventListener('scroll', drawIfMoved);
  // Wherever the focus is, but where one types.
  addEventListener('keydown', (event) => {
    if (state.tab !== 'things' || !found.length || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (/^(INPUT|SELECT)$/.test(event.target.tagName) && event.target.type !== 'checkbox') return;
    const across = acrossNow();
    const by = { ArrowDown: across, ArrowUp: -across, PageDown: 10 * across, PageUp: -10 * across, ...(grid ? { ArrowRight: 1, ArrowLeft: -1 } : {}) }[event.key];
    const onButton = event.target.tagName === 'BUTTON' && !event.target.matches('.tr, .tile');
    if (by) {
      cursor = Math.min(found.length - 1, Math.max(0, cursor + by));
      reveal();
    } else if (event.key === 'Enter' && !onButton) {
      open(found[cursor]);
    } else if (['a', 'x', 'r'].includes(event.key)) {
      decide(found[cursor], event.key);
    } else return;
    event.preventDefault();
  });

  // Review without leaving the table. The one that was next has its turn, wherever the decision puts it or the other.
  function decide(k, key) {
    const following = found[found.indexOf(k) + 1];
    const onward = () => {
      const at = found.indexOf(following);
      cursor = Math.min(Math.max(0, found.length - 1), at < 0 ? cursor : at);
      reveal();
    };
    if (key === 'r') {
      const names = [];
      for (let n = 0; n < things.names[k].length; n += 2) names.push({ name: index.names[things.names[k][n]], probability: things.names[k][n + 1] });
      return renameThing({ id: things.id[k], name: nameOf(k), names }, () => setTimeout(() => { onward(); scroller.focus(); }));
    }
    correct(things.id[k], key === 'a' ? ACCEPTED : REJECTED);
    return setTimeout(onward); // when the list has heard of it
  }

  function reveal() {
    const across = acrossNow();
    const height = grid ? TILE + 22 : ROW;
    const top = Math.floor(cursor / across) * height;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    if (top + height > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + height - scroller.clientHeight;
    draw();
  }

  new ResizeObserver(drawIfMoved).observe(scroller);

  function refresh() {
    drawFacets();
    choose();
  }

  function drawFacets() {
    if (!things) return;
    const counts = new Map();
    for (let k = 0; k < things.id.length; k++) counts.set(nameOf(k), (counts.get(nameOf(k)) ?? 0) + 1);
    const names = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    const most = names[0]?.[1] ?? 1;
    const top = facets.scrollTop;
    const statuses = ['any', 'waiting', 'accepted', 'renamed', 'rejected'];
    const farthest = Math.ceil(Math.max(10, ...things.range) / 10) * 10;
    const numbers = (title, low, high, step, value, take, unit) => h('label', { class: 'slider' }, h('span', {}, title), h('output', {}, unit(value)),
      h('input', { type: 'range', min: low, max: high, step, value, oninput: (event) => { take(Number(event.target.value)); event.target.previousSibling.textContent = unit(Number(event.target.value)); choose(); } }));
    show(facets,
      h('h3', {}, 'Review'),
      h('div', { class: 'group wrap' }, statuses.map((status) => h('button', { 'aria-pressed': String(filters.status === status), onclick: () => { filters.status = status; refresh(); } }, status))),
      h('h3', {}, 'Values'),
      numbers('Probability from', 0, 1, 0.01, filters.score[0], (v) => (filters.score[0] = v), (v) => v.toFixed(2)),
      numbers('Probability to', 0, 1, 0.01, filters.score[1], (v) => (filters.score[1] = v), (v) => v.toFixed(2)),
      numbers('Range up to', 0, farthest, 1, Math.min(farthest, filters.range[1]), (v) => (filters.range[1] = v >= farthest ? Infinity : v), (v) => `${v} m`),
      numbers('Points from', 0, 200, 1, filters.points, (v) => (filters.points = v), (v) => String(v)),
      h('label', { class: 'check' }, h('input', { type: 'checkbox', checked: filters.moving, onchange: (event) => { filters.moving = event.target.checked; choose(); } }), 'Moving only'),
      h('h3', {}, 'Names ', filters.names.size ? h('button', { class: 'link', onclick: () => { filters.names.clear(); refresh(); } }, 'all') : null),
      names.map(([name, n]) => h('button', { class: 'facet', 'aria-pressed': String(filters.names.has(name)), onclick: () => { if (!filters.names.delete(name)) filters.names.add(name); refresh(); } },
        h('i', { class: 'fill', style: { width: `${(100 * n) / most}%` } }),
        h('i', { class: 'swatch', style: { background: nameColour(index.names.indexOf(name) < 0 ? Infinity : index.names.indexOf(name), state.dark) } }), h('span', {}, name), h('small', {}, n.toLocaleString('en')))));
    facets.scrollTop = top;
  }

  watch(['tab', 'query', 'reviewed', 'dark', 'filtered'], async () => {
    if (state.tab !== 'things') return;
    if (!things) {
      show(rows, h('p', { class: 'empty' }, 'Loading …'));
      try {
        things = await loadThings();
      } catch (error) {
        show(rows, h('p', { class: 'empty bad' }, error.message));
        return;
      }
    }
    refresh();
  });
  watch(['query'], () => {
    order = { key: null, down: true };
    cursor = 0;
    scroller.scrollTop = 0;
  });
  return { element, focus: () => scroller.focus() };
}

