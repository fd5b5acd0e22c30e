// What is read for a while, a clip or an album: a phone whose screen goes off meanwhile drops the connection, Gradio
// loads the page anew, and nothing is left of it. So the screen stays on, and where that is not enough it is said.

const READING = 'emotion-lens-reading-';  // kept by the browser's tab while something is being read

const busy = new Set();            // the statuses that say so
let screenHeld = Promise.resolve(null);  // what keeps the screen on

document.addEventListener('visibilitychange', holdScreen);  // browsers take it back from a page out of sight

// `given`: what is to be added once more where the page was loaded anew.
export function keepAwake(status, given) {
  if (noteReading(status.id, false)) sayLost(status, given);
  new MutationObserver(() => {
    const reads = status.querySelector('.busy') !== null;
    if (reads === busy.has(status)) return;
    if (reads) busy.add(status); else busy.delete(status);
    noteReading(status.id, reads);
    holdScreen();
  }).observe(status, {childList: true, subtree: true});
}

// One after the other: two that were asked for at once would leave one that nobody gives back.
function holdScreen() {
  screenHeld = screenHeld.then(async lock => {
    if (!busy.size) { await lock?.release(); return null; }
    if (document.hidden || lock && !lock.released) return lock;
    return navigator.wakeLock?.request('screen').catch(() => null);  // a battery is low
  });
}

// Notes whether something is being read; tells whether something was.
function noteReading(id, reads) {
  try {
    const before = sessionStorage.getItem(READING + id);
    if (reads) sessionStorage.setItem(READING + id, 'true'); else sessionStorage.removeItem(READING + id);
    return before !== null;
  } catch { return false; }  // a browser that keeps nothing
}

function sayLost(status, given) {
  const place = status.querySelector('.status');
  place.className = 'status notice';
  place.querySelector('strong').textContent = 'The page was loaded anew.';
  place.querySelector('span').textContent = `Add the ${given} once more, and keep the page in view while it is read.`;
}
