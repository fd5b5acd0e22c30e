// What was chosen last, kept in the browser; and the numbers of a timeline while a page is loaded anew.

const CAMERA = 'emotion-lens-camera';
const TIMELINE = 'emotion-lens-timeline';
const MOST_ROWS = 20000;  // some 5 MB, more than a browser keeps for a page
export const FACING = ['user', 'environment'];

// The camera: {id: 'user', 'environment' or a device's id, name: what people read}.
export function recall() {
  const camera = recalled(CAMERA);
  return camera && camera.id && camera.name ? camera : null;
}

export function remember(camera) { keep(CAMERA, camera); }

export function recalled(key) {
  try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
}

export function keep(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch { /* a browser that keeps nothing: it is as at first next time */ }
}

// The newest rows, as many as this browser takes, until its tab is closed; none: what was there before goes.
export function keepRows(columns, rows) {
  try { sessionStorage.removeItem(TIMELINE); } catch { return; }  // a browser that keeps nothing
  for (let most = Math.min(rows.length, MOST_ROWS); most; most >>= 1) {
    try {
      sessionStorage.setItem(TIMELINE, JSON.stringify({columns, rows: rows.slice(-most), whole: most === rows.length}));
      return;
    } catch { /* too much */ }
  }
}

// Those that were kept, in these columns, and whether they are all; another model has others.
export function keptRows(columns) {
  let kept = null;
  try { kept = JSON.parse(sessionStorage.getItem(TIMELINE)); } catch { /* a browser that keeps nothing */ }
  return String(kept?.columns) === String(columns) ? kept : {rows: [], whole: true};
}
