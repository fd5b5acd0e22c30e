// Numbers and names for people.

export function word(name) { return name[0].toUpperCase() + name.slice(1); }

export function percent(value) { return Math.round(value * 100) + '%'; }

export function megabytes(bytes) { return Math.round(bytes / 1e6) + ' MB'; }

export function signed(value) { return (value < 0 ? '−' : '+') + Math.abs(value).toFixed(2); }

const written = new WeakMap();  // an element's last text of ours: on the page a translation may stand in its place

// Writes a text where it was not written last: most are the same from frame to frame, and screen readers speak what is
// written anew.
export function put(element, text) {
  if (written.get(element) === text) return;
  written.set(element, text);
  element.textContent = text;
}

export function clockTime(seconds) {
  const m = Math.floor(seconds / 60), s = seconds % 60;
  return m ? `${m}:${String(s).padStart(2, '0')}` : `${s} s`;
}

const ROOM = 56; // pixels between the marks of a time axis, at least

// Seconds between them, a round number.
export function axisStep(pixelsPerSecond) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
  return steps.find(step => pixelsPerSecond * step >= ROOM) || 7200;
}
