// Crops of things: tiles on one sheet a scene.

import { h } from './dom.js';

const COLUMNS = 24; // of clip2.explore.pictures

// A tile of a scene's sheet as an element of so many pixels; a hatched one where there is none.
export function crop(scene, tile, pixels, title = null) {
  return tileOf(`scenes/${Number(scene)}.webp`, tile, pixels, title);
}

// A tile of a sheet in data/.
export function tileOf(sheet, tile, pixels, title = null) {
  if (tile === null || tile === undefined) return h('span', { class: 'crop none', title, style: { '--px': `${pixels}px` } });
  const x = -(tile % COLUMNS) * pixels;
  const y = -Math.floor(tile / COLUMNS) * pixels;
  return h('span', {
    class: 'crop',
    title,
    style: {
      '--px': `${pixels}px`,
      'background-image': `url("data/${sheet}")`,
      'background-size': `${COLUMNS * pixels}px auto`,
      'background-position': `${x}px ${y}px`,
    },
  });
}
