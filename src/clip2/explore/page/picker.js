// A list to pick from by typing, and a short message at the foot of the page.

import { h, show } from './dom.js';

// Open a list over the page. options: { text, detail, swatch, value }. free: what is typed may be taken as it is.
export function picker({ title, placeholder, options, free, take }) {
  let found = [];
  let at = 0;
  const list = h('div', { class: 'options', role: 'listbox' });
  const input = h('input', { type: 'text', placeholder, 'aria-label': title, spellcheck: 'false', oninput: () => filter() });
  const dialog = h('dialog', { class: 'picker' }, h('h2', {}, title), input, list);

  function filter() {
    const typed = input.value.trim().toLowerCase();
    found = options.filter(({ text }) => text.toLowerCase().includes(typed));
    if (free && typed && !found.some(({ text }) => text.toLowerCase() === typed)) {
      found = [...found, { text: input.value.trim(), detail: 'a new name', value: input.value.trim() }];
    }
    at = 0;
    draw();
  }

  function draw() {
    show(list, found.length ? found.slice(0, 200).map((option, k) =>
      h('button', {
        type: 'button', role: 'option', class: k === at ? 'at' : null, 'aria-selected': String(k === at), tabindex: '-1',
        onclick: () => finish(option),
      }, option.picture, option.swatch && h('i', { class: 'swatch', style: { background: option.swatch } }),
      h('span', {}, option.text), option.detail && h('small', {}, option.detail))) : h('p', { class: 'empty' }, 'Nothing of this name'));
    list.querySelector('.at')?.scrollIntoView({ block: 'nearest' });
  }

  function finish(option) {
    dialog.remove();
    take(option.value);
  }

  dialog.addEventListener('keydown', (event) => {
    event.stopPropagation();
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      at = Math.min(Math.max(0, found.length - 1), Math.max(0, at + (event.key === 'ArrowDown' ? 1 : -1)));
      draw();
    } else if (event.key === 'Enter') {
      event.preventDefault();
      if (found[at]) finish(found[at]);
    }
  });
  over(dialog);
  filter();
  input.focus();
}

// Open a dialog over the page; Escape and a click beside it take it away at once: a key pressed next is for the page.
export function over(dialog) {
  dialog.addEventListener('cancel', () => dialog.remove());
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

let toast = null;
export function tell(text, kind = 'good') {
  toast?.remove();
  const own = h('div', { class: `toast ${kind}`, role: 'status' }, text);
  toast = own;
  document.body.append(own);
  setTimeout(() => own.remove(), kind === 'bad' ? 8000 : 2600);
}
