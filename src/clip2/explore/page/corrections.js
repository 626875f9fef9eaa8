// What a person says of the tracks. One entry a track: { status, label, into, split }.
//   status  "accepted" or "rejected"; a track with an entry of any kind is reviewed
//   label   the right name
//   into    id of the track that this one is the same thing as
//   split   id of the sample from which on it is another thing, whose track is ID~2
// clip2.explore.corrections reads the same file and does the same with it.

import { index } from './data.js';
import { kept, set, state } from './store.js';

const KEY = `corrections:${index.labels}`;
const entries = new Map();
let history = []; // [id, entry before], the last change last; null parts changes made together
let saved = true;

export const SUFFIX = '~2';

export const entry = (id) => entries.get(id);
export const isSaved = () => saved;

// Of all entries, as [id, entry].
export const all = () => [...entries];

export function reviewed(id) {
  const found = entries.get(id);
  return Boolean(found && (found.status || found.label || found.into));
}

// Change an entry; a value of null takes a key out.
export function correct(id, change) {
  history.push([id, entries.get(id)]);
  put(id, { ...entries.get(id), ...change });
  changed();
}

export function undo() {
  const last = history.pop();
  if (!last) return null;
  const [id, before] = last;
  put(id, before ?? {});
  changed();
  return id;
}

function put(id, value) {
  const clean = Object.fromEntries(Object.entries(value).filter(([, v]) => v !== null && v !== undefined));
  if (Object.keys(clean).length) entries.set(id, clean);
  else entries.delete(id);
}

function changed() {
  saved = false;
  kept.set(KEY, JSON.stringify(toJson()));
  set({ reviewed: state.reviewed + 1 });
}

export function toJson() {
  return { kind: 'corrections', source: index.source, labels: index.labels, tracks: Object.fromEntries(entries) };
}

// Take over what a file says, in place of what is here. Throws where it is no such file.
export function fromJson(content) {
  if (content?.kind !== 'corrections' || typeof content.tracks !== 'object') {
    throw new Error('this is no file of corrections');
  }
  entries.clear();
  for (const [id, value] of Object.entries(content.tracks)) put(id, value);
  history = [];
  changed();
}

export function markSaved() {
  saved = true;
  set({ reviewed: state.reviewed + 1 });
}

// What an earlier visit left in this browser or, served, on disk.
export async function restore() {
  let text = kept.get(KEY);
  if (!text && location.protocol.startsWith('http')) {
    const answer = await fetch('corrections.json').catch(() => null);
    if (answer?.ok) text = await answer.text();
  }
  if (!text) return;
  try {
    fromJson(JSON.parse(text));
  } catch {
    kept.set(KEY, '');
  }
}
