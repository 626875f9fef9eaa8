// Data arrive as scripts: a page from disk may load those, and nothing else.

export const index = JSON.parse(document.getElementById('index').textContent);

const waiting = new Map();

globalThis.CLIP2 = {
  arrive(key, content, blob) {
    waiting.get(key)?.({ content, blob });
  },
};

const loaded = new Map();

// Load data/NAME.js once; gives what it holds.
function load(key, path) {
  if (!loaded.has(key)) {
    loaded.set(
      key,
      new Promise((resolve, reject) => {
        const script = document.createElement('script');
        script.src = `data/${path}`;
        waiting.set(key, (data) => resolve(data));
        script.onerror = () => {
          loaded.delete(key);
          reject(new Error(`data/${path} cannot be read: the folder "data" belongs beside this page`));
        };
        script.onload = () => script.remove();
        document.head.append(script);
      }),
    );
  }
  return loaded.get(key);
}

export const loadThings = async () => (await load('things', 'things.js')).content;
export const loadResults = async () => (await load('results', 'results.js')).content;

// What things look like: so many signed bytes each, in the order of the things.
export async function loadLikeness() {
  const { content, blob } = await load('likeness', 'likeness.js');
  return { dimensions: content.dimensions, bytes: new Int8Array(decode(blob ?? '').buffer) };
}

const scenes = new Map(); // number → promise; the last few that were looked at
const KEPT = 4;

export function loadScene(number) {
  const found = scenes.get(number) ?? readScene(number);
  scenes.delete(number);
  scenes.set(number, found);
  if (scenes.size > KEPT) scenes.delete(scenes.keys().next().value);
  found.catch(() => scenes.delete(number));
  return found;
}

async function readScene(number) {
  const key = `scene/${number}`;
  const { content, blob } = await load(key, `scenes/${number}.js`);
  loaded.delete(key); // the text is not kept, what it means is
  return { content, clouds: unpack(await inflate(blob), content.samples) };
}

function decode(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function inflate(base64) {
  const stream = new Blob([decode(base64)]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// What clip2.explore.points packs: planes of low and high bytes of zigzag-coded differences, then of red, green and blue.
// The file's points follow a curve through space. Here they are taken from all along it, so that the first so many of
// them are an even sample of all: what is drawn while one turns where drawing is slow.
export function unpack(bytes, samples) {
  let start = 0;
  return samples.map(({ points: n, low, step }) => {
    const position = new Float32Array(3 * n);
    const colour = new Uint8Array(3 * n);
    const slot = slots(n);
    for (let axis = 0; axis < 3; axis++) {
      const lows = start + axis * n;
      const highs = start + (3 + axis) * n;
      const shade = start + (6 + axis) * n;
      let value = 0;
      for (let i = 0; i < n; i++) {
        const coded = bytes[lows + i] | (bytes[highs + i] << 8);
        value = (value + ((coded >> 1) ^ -(coded & 1))) & 0xffff;
        const at = 3 * slot[i] + axis;
        position[at] = low[axis] + step * value;
        colour[at] = bytes[shade + i];
      }
    }
    start += 9 * n;
    return { n, position, colour };
  });
}

// Where each point goes: in steps of a golden section, which leave no gap before they have been everywhere.
function slots(n) {
  const divides = (a, b) => (b ? divides(b, a % b) : a);
  let stride = Math.max(1, Math.round(0.618034 * n));
  while (divides(n, stride) !== 1 && stride < n) stride += 1;
  const slot = new Uint32Array(n);
  for (let k = 0, i = 0; k < n; k++, i = (i + stride) % n) slot[i] = k;
  return slot;
}
