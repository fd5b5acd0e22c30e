// What is sent and read for a while, a clip or an album: a phone whose screen goes off meanwhile drops the connection,
// Gradio loads the page anew, and nothing is left of it. So the screen stays on, and where that is not enough it is
// said. Live, whose visitors look on and touch nothing, has its screen kept on likewise.

const NOTE = 'emotion-lens-reading-';  // kept by the browser's tab while something is being read

const wishes = new Set();                // who wants it on: statuses, or Live in its own copy
let screenHeld = Promise.resolve(null);  // what keeps the screen on

document.addEventListener('visibilitychange', holdScreen);  // browsers take it back from a page out of sight

// `given`: what is to be added once more where the page was loaded anew.
export function keepAwake(status, given) {
  if (noteReading(status.id, false)) sayLost(status, given);
  const tab = status.closest('[role=tabpanel]');  // here Gradio shows too that a file is on its way to the server
  new MutationObserver(() => {
    const reads = tab.querySelector('.status.busy, .uploading') !== null;
    if (reads === wishes.has(status)) return;
    noteReading(status.id, reads);
    keepScreenOn(status, reads);
  }).observe(tab, {childList: true, subtree: true, attributeFilter: ['class']});  // two may share an element
}

// As long as anybody wants that.
export function keepScreenOn(who, wanted) {
  if (wanted) wishes.add(who); else wishes.delete(who);
  holdScreen();
}

// One after the other: two that were asked for at once would leave one that nobody gives back.
function holdScreen() {
  screenHeld = screenHeld.then(async lock => {
    if (!wishes.size) { await lock?.release(); return null; }
    if (document.hidden || lock && !lock.released) return lock;
    return navigator.wakeLock?.request('screen').catch(() => null);  // a battery is low
  });
}

// Notes whether something is being read; tells whether something was.
function noteReading(id, reads) {
  try {
    const before = sessionStorage.getItem(NOTE + id);
    if (reads) sessionStorage.setItem(NOTE + id, 'true'); else sessionStorage.removeItem(NOTE + id);
    return before !== null;
  } catch { return false; }  // a browser that keeps nothing
}

function sayLost(status, given) {
  const place = status.querySelector('.status');
  place.className = 'status notice';
  place.querySelector('strong').textContent = 'The page was loaded anew.';
  place.querySelector('span').textContent = `Add the ${given} once more, and keep the page in view while it is read.`;
}
