// Files for the visitor: made in the browser, from what was read.

import {save, share} from '../sharing.js';

export function saveText(text, type, ending) { save(new Blob([text], {type}), 'emotions', ending); }

// Tells whether there is a file to keep: a browser that is short of memory makes none.
export async function saveCanvas(canvas, kind) {
  const blob = await blobOf(canvas, 'image/png');
  if (blob) save(blob, kind, 'png');
  return Boolean(blob);
}

export async function shareCanvas(canvas) {
  const blob = await blobOf(canvas, 'image/jpeg', 0.9);
  if (blob) share(blob);
  return Boolean(blob);
}

function blobOf(canvas, ...how) { return new Promise(done => canvas.toBlob(done, ...how)); }
