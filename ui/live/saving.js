// Files for the visitor: made in the browser, from what was read.

import {save, share} from '../sharing.js';
import {word} from './numbers.js';

const HEAD = 64;  // pixels above the timeline of a saved picture

export function saveText(text, type, ending) { save(new Blob([text], {type}), 'emotions', ending); }

// Tells whether there is a file to keep: a browser that is short of memory makes none.
export async function saveCanvas(canvas, kind) {
  const blob = await blobOf(canvas, 'image/png');
  if (blob) save(blob, kind, 'png');
  return Boolean(blob);
}

export async function shareCanvas(canvas, kind) {
  const blob = await blobOf(canvas, 'image/jpeg', 0.9);
  if (blob) share(blob, kind, 'jpg');
  return Boolean(blob);
}

function blobOf(canvas, ...how) { return new Promise(done => canvas.toBlob(done, ...how)); }

// The whole timeline with a legend, in a canvas. `options`: as for `Timeline.draw`.
export function pictureOfAll(tab, timeline, options) {
  const sheet = document.createElement('canvas');
  sheet.width = 1600;
  sheet.height = Math.max(640, HEAD + timeline.heightOfAll);
  const context = sheet.getContext('2d'), style = getComputedStyle(tab.root);
  const ink = style.getPropertyValue('--body-text-color').trim();
  context.fillStyle = getComputedStyle(tab.$('.timeline')).backgroundColor;
  context.fillRect(0, 0, sheet.width, sheet.height);
  context.fillStyle = ink;
  context.font = '600 20px ' + style.fontFamily;
  context.fillText(`Emotions, ${new Date().toLocaleString()}`, 62, 28);
  context.font = '14px ' + style.fontFamily;
  let x = 62;
  for (const name of timeline.shownEmotions()) {
    context.fillStyle = tab.labels[name].colour;
    context.fillRect(x, 43, 12, 12);
    context.fillStyle = ink;
    context.fillText(word(name), x + 18, 54);
    x += 44 + context.measureText(word(name)).width;
  }
  context.translate(0, HEAD);
  timeline.draw(context, sheet.width, sheet.height - HEAD, {...options, all: true});
  return sheet;
}
