// A click on the timeline, or on a moment, moves the annotated clip there; a line in the timeline follows the clip.
const WITHIN = 0.0005;  // s from where a frame begins to where it surely is the one shown
const find = (selector) => document.querySelector(selector);
const player = () => find('#video-annotated video');
const plot = () => find('#video-timeline .js-plotly-plot');
const offset = () => Number(find('#video-summary [data-start]')?.dataset.start || 0);

function seek(seconds) {
  const video = player();
  if (!video) return;
  video.currentTime = Math.max(0, seconds - offset());
  follow();
}

function follow() {
  const video = player(), chart = plot();
  if (!video || !chart?._fullLayout || !window.Plotly) return;
  const time = video.currentTime + offset();
  window.Plotly.relayout(chart, {'shapes[0].x0': time, 'shapes[0].x1': time});
}

let pressed = null;
document.addEventListener('pointerdown', (event) => {
  const elsewhere = event.target.closest?.('.legend, .modebar');  // they lie over the timeline
  pressed = !elsewhere && event.target.closest?.('#video-timeline .js-plotly-plot') ? [event.clientX, event.clientY] : null;
}, true);
document.addEventListener('pointerup', (event) => {
  if (!pressed || Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) > 4) return;
  pressed = null;
  const chart = plot(), axis = chart?._fullLayout?.xaxis;
  if (!axis) return;
  const x = event.clientX - chart.getBoundingClientRect().left - axis._offset;
  if (x >= 0 && x <= axis._length) seek(axis.p2c(x));
}, true);
document.addEventListener('click', (event) => {
  const moment = event.target.closest?.('#video-summary [data-time]');
  if (!moment) return;
  seek(Number(moment.dataset.time) + WITHIN);
  player()?.scrollIntoView({block: 'nearest'});  // on a phone it is far above
});
// Gradio draws each timeline anew. Its buttons stay what they are: a picture is only what the curves are drawn in.
new MutationObserver(() => {
  const [curves, ...others] = document.querySelectorAll('#video-timeline .main-svg');
  if (!curves || curves.hasAttribute('role')) return;
  curves.setAttribute('role', 'img');
  curves.setAttribute('aria-label', plot().layout.meta);
  for (const one of others) one.setAttribute('aria-hidden', 'true');
}).observe(element.closest('[role=tabpanel]'), {childList: true, subtree: true});
// A recording does not say how long it is, and the player would show "Infinity": sent to its end, the browser knows.
document.addEventListener('loadedmetadata', ({target: video}) => {
  if (video.duration !== Infinity || !video.closest('#video-clip')) return;
  video.addEventListener('durationchange', () => { video.currentTime = 0; }, {once: true});
  video.currentTime = Number.MAX_SAFE_INTEGER;
}, true);
// The focus does not stay on a button that can no longer be pressed.
new MutationObserver(() => {
  const stop = find('#video-stop');
  if (stop?.disabled && document.activeElement === stop) find('#video-go').focus({preventScroll: true});
}).observe(element.closest('[role=tabpanel]'), {attributeFilter: ['disabled'], subtree: true});
document.addEventListener('timeupdate', (event) => { if (event.target === player()) follow(); }, true);
