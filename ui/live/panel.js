// Buttons and words: which buttons can be pressed, what the status says, and Clear with its Undo.

import {put} from './numbers.js';

const UNDO_PERIOD = 10000; // ms in which a cleared timeline comes back
const UNDO_CHECK = 1000;   // ms between looks whether somebody is still at the button
export const READ = 4000;  // ms in which a sentence is read
const STEADY = 1500;       // ms for which a number of faces holds before it is told: some flicker without end

export class Panel {
  // `sayState` says how things stand.
  constructor(tab, record, sayState) {
    Object.assign(this, {tab, record, sayState});
    this.stage = tab.$('.stage'); this.cover = tab.$('.cover'); this.status = tab.$('.live-status');
    this.cleared = null;  // what Undo brings back
    this.heldUntil = 0;   // what was said stays until then, whatever the frames have to say
    this.counted = false; // whether what was said is how many faces there are
    this.faces = null;    // how many there are
    this.since = 0;       // and since when
    this.passing = 0;     // timer of what is said for a while only
  }

  // `hold`: ms for which it stays; `spoken`: whether screen readers say it.
  say(headline, detail, kind = '', {hold = 0, spoken = true} = {}) {
    clearTimeout(this.passing);
    Object.assign(this, {heldUntil: performance.now() + hold, counted: false, faces: null});
    this.write(headline, detail, kind, spoken);
  }

  // What is true or of use for so many ms only: where no frames come that say something else, it would stay.
  sayForNow(headline, detail, kind = '', period = READ) {
    this.say(headline, detail, kind, {hold: READ});
    this.passing = setTimeout(() => this.sayState(), period);
  }

  // Says how many faces there are: after other words at once, if there are any.
  tell(faces, now) {
    if (now < this.heldUntil) return;
    if (faces !== this.faces) Object.assign(this, {faces, since: now});
    if (now - this.since < STEADY && (this.counted || !faces)) return;
    this.counted = true;
    const {dropped, nearlyFull} = this.record;
    const full = dropped ? 'The session is very long: its oldest rows have been dropped.'
      : nearlyFull ? 'The session is very long: save it before its oldest rows are dropped.' : '';
    if (faces) this.write(faces === 1 ? '1 face followed.' : `${faces} faces followed.`, full);
    else this.write('No face in the picture.', full || 'Come closer, face the camera, or turn on a light.', 'quiet');
  }

  write(headline, detail, kind = '', spoken = true) {
    this.status.setAttribute('aria-live', spoken ? 'polite' : 'off');
    this.status.className = `status live-status ${kind}`;
    put(this.status.querySelector('strong'), headline);
    put(this.status.querySelector('span'), detail);
  }

  // Whether the camera runs, or is to.
  get on() { return this.stage.dataset.state !== 'off'; }

  get live() { return this.stage.dataset.state === 'live'; }

  setState(state) {
    const {button} = this.tab;
    this.stage.dataset.state = state;
    this.cover.hidden = state !== 'off';
    for (const name of ['stop', 'pause', 'snapshot']) button[name].disabled = state === 'off';
    button.share.disabled = state === 'off' || !this.record.rows.length;
    button.pause.textContent = state === 'paused' ? 'Go on' : 'Pause';
    // Where the button that was pressed is gone, the next useful one takes the focus over; else it stays where it is.
    const {activeElement: active} = document;
    const idle = active === document.body || active?.disabled || this.cover.contains(active);
    if (state === 'off') button.start.disabled = false;
    if (idle) this.takeFocus();
  }

  takeFocus() { this.tab.button[this.on ? 'pause' : 'start'].focus({preventScroll: true}); }

  enableSaving(on) {
    this.tab.button.share.disabled = !on || this.stage.dataset.state === 'off';
    for (const name of ['csv', 'json', 'picture', 'clear']) this.tab.button[name].disabled = !on;
  }

  clear() {
    const {button} = this.tab;
    if (this.cleared) {  // the button says Undo
      this.record.restore(this.cleared.rows);
      this.forgetCleared();
      this.sayForNow('The timeline is back.', '');
      return;
    }
    const until = 'For ten seconds, or as long as you are at the button, “Undo” brings the timeline back.';
    this.sayForNow('Cleared.', until, '', UNDO_PERIOD);
    this.cleared = {rows: this.record.clear(), timer: setTimeout(() => this.endUndo(), UNDO_PERIOD)};
    button.clear.textContent = 'Undo';
    for (const name of ['csv', 'json', 'picture', 'share']) button[name].disabled = true;
  }

  // Under a keyboard's focus or a mouse the button stays what it is: whoever pressed it late would clear once more. What
  // was touched counts as hovered until something else is.
  endUndo() {
    const held = matchMedia('(hover: hover)').matches ? ':hover, :focus-visible' : ':focus-visible';
    if (!this.tab.button.clear.matches(held)) this.forgetCleared();
    else this.cleared.timer = setTimeout(() => this.endUndo(), UNDO_CHECK);
  }

  // The button is for Clear again.
  forgetCleared() {
    const {button: {clear}} = this.tab, some = this.record.rows.length > 0;
    clearTimeout(this.cleared.timer);
    this.cleared = null;
    clear.textContent = 'Clear';
    if (!some && document.activeElement === clear) this.takeFocus();
    this.enableSaving(some);
  }
}
