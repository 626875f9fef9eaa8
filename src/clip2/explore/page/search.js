// Search by words. From disk: among the names that were mined. Served by `clip2 explore`: any words at all.

import { nameColour } from './colours.js';
import { h, icon, show } from './dom.js';
import { index, loadLikeness, loadThings } from './data.js';
import { tell } from './picker.js';
import { set, state, watch } from './store.js';

export const LIVE = location.protocol.startsWith('http');
const SHOWN = 9;

export function searchBox() {
  const list = h('div', { class: 'suggestions', hidden: true });
  const hint = LIVE ? 'Search: any words' : 'Search names';
  const input = h('input', { type: 'search', placeholder: hint, 'aria-label': hint, spellcheck: 'false', autocomplete: 'off' });
  const element = h('form', { class: 'search', role: 'search' }, icon('search'), input, h('kbd', {}, '/'), list);
  let at = -1;
  let found = [];

  function suggest() {
    found = input.value.trim() ? matches(input.value).slice(0, SHOWN) : [];
    at = -1;
    draw();
  }
  function draw() {
    list.hidden = !found.length || document.activeElement !== input;
    show(list, found.map((number, k) => h('button', { type: 'button', tabindex: '-1', class: k === at ? 'at' : null, onpointerdown: (event) => { event.preventDefault(); run(index.names[number]); } },
      h('i', { class: 'swatch', style: { background: nameColour(number, state.dark) } }), index.names[number])));
  }
  async function run(words) {
    input.value = words;
    found = [];
    draw();
    input.blur();
    await search(words);
  }
  input.addEventListener('input', suggest);
  input.addEventListener('focus', suggest);
  input.addEventListener('blur', draw);
  input.addEventListener('keydown', (event) => {
    event.stopPropagation();
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      at = Math.min(found.length - 1, Math.max(-1, at + (event.key === 'ArrowDown' ? 1 : -1)));
      draw();
    } else if (event.key === 'Escape') {
      input.value = '';
      input.blur();
      set({ query: null });
    }
  });
  element.addEventListener('submit', (event) => {
    event.preventDefault();
    if (input.value.trim()) run(at >= 0 ? index.names[found[at]] : input.value.trim());
    else set({ query: null });
  });
  watch(['query'], () => {
    if (!state.query && document.activeElement !== input) input.value = '';
  });
  return { element, focus: () => input.focus() };
}

// Numbers of the names that words are in: as a whole first, then at the beginning, then anywhere.
function matches(words) {
  const typed = words.trim().toLowerCase();
  const rank = (name) => (name === typed ? 0 : name.startsWith(typed) ? 1 : name.split(/\s+/).some((part) => part.startsWith(typed)) ? 2 : name.includes(typed) ? 3 : 9);
  const found = index.names.map((name, number) => [rank(name.toLowerCase()), number]).filter(([r]) => r < 9);
  return found.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, number]) => number);
}

// Ask the server, and show what it finds in the table of things; whether it answered.
async function ask(question, words) {
  const answer = await fetch(`api/search?${new URLSearchParams(question)}`);
  if (!answer.ok) {
    tell(await answer.text(), 'bad');
    return false;
  }
  const { scores } = await answer.json(); // thing → how well it fits
  set({ tab: 'things', query: { words, scores: new Map(Object.entries(scores)), kind: 'words' } });
  return true;
}

export const CAN_LIKE = LIVE || index.likeness;

// Things that look like one, which is given by its id (without the ending of a split) and name. From disk: by the few
// numbers a thing that the page carries; served: by the teacher's vectors of all its views.
export async function searchLike(id, name) {
  const words = `like this ${name}`;
  if (LIVE) return ask({ like: id }, words);
  const [things, { dimensions, bytes }] = await Promise.all([loadThings(), loadLikeness()]);
  const own = dimensions * things.id.indexOf(id);
  const cosine = (k) => {
    let sum = 0;
    for (let d = 0; d < dimensions; d++) sum += bytes[own + d] * bytes[dimensions * k + d];
    return sum / 127 ** 2;
  };
  return set({ tab: 'things', query: { words, scores: new Map(things.id.map((other, k) => [other, cosine(k)])), kind: 'words' } });
}

// Show the things that words find, in the table of things.
export async function search(words) {
  if (LIVE && (await ask({ words }, words))) return;
  const typed = words.trim().toLowerCase();
  const numbers = matches(words);
  const exact = numbers.filter((number) => index.names[number].toLowerCase() === typed);
  const names = exact.length ? near(exact[0]) : new Map(numbers.map((number) => [number, 1]));
  if (!names.size) {
    const more = LIVE ? '' : '; any words can be searched for in `clip2 explore`';
    tell(`"${words}" is none of the ${index.names.length} names that were mined${more}`, 'bad');
    return;
  }
  set({ tab: 'things', query: { words, names, kind: 'names' } });
}

// A name and those that mean nearly the same, by the teacher's vectors: number → likeness.
function near(number) {
  return new Map([[number, 1], ...(index.near?.[number] ?? [])]);
}
