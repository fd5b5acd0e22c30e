// Buttons and words: which buttons can be pressed, what the status says, and Clear with its Undo.

const UNDO_PERIOD = 10000; // ms in which a cleared timeline comes back
export const READ = 4000;  // ms in which a sentence is read

export class Panel {
  constructor(tab, record) {
    Object.assign(this, {tab, record});
    this.stage = tab.$('.stage'); this.cover = tab.$('.cover'); this.status = tab.$('.live-status');
    this.cleared = null;  // what Undo brings back
    this.heldUntil = 0;   // what was said stays until then, whatever the frames have to say
  }

  // `hold`: ms for which it stays; `spoken`: whether screen readers say it.
  say(headline, detail, kind = '', {hold = 0, spoken = true} = {}) {
    this.heldUntil = performance.now() + hold;
    this.status.setAttribute('aria-live', spoken ? 'polite' : 'off');
    const strong = this.status.querySelector('strong'), span = this.status.querySelector('span');
    this.status.className = `status live-status ${kind}`;
    if (strong.textContent !== headline) strong.textContent = headline;  // screen readers speak only what changes
    if (span.textContent !== detail) span.textContent = detail;
  }

  // Whether the camera runs, or is to.
  get on() { return this.stage.dataset.state !== 'off'; }

  setState(state) {
    const {button} = this.tab;
    this.stage.dataset.state = state;
    this.cover.hidden = state !== 'off';
    for (const name of ['stop', 'pause', 'snapshot']) button[name].disabled = state === 'off';
    button.share.disabled = state === 'off' || !this.record.rows.length;
    button.pause.textContent = state === 'paused' ? 'Go on' : 'Pause';
    // The button that was pressed is gone: the next useful one takes the focus over.
    const idle = document.activeElement === document.body || this.cover.contains(document.activeElement);
    if (state === 'off') { button.start.disabled = false; button.start.focus({preventScroll: true}); }
    else if (state === 'live' && idle) button.pause.focus({preventScroll: true});
  }

  enableSaving(on) {
    this.tab.button.share.disabled = !on || this.stage.dataset.state === 'off';
    for (const name of ['csv', 'json', 'picture', 'clear']) this.tab.button[name].disabled = !on;
  }

  clear() {
    const {button} = this.tab;
    if (this.cleared) {  // the button says Undo
      this.record.restore(this.cleared.rows);
      this.forgetCleared();
      this.say('The timeline is back.', '', '', {hold: READ});
      return;
    }
    this.cleared = {rows: this.record.clear(), timer: setTimeout(() => this.forgetCleared(), UNDO_PERIOD)};
    button.clear.textContent = 'Undo';
    for (const name of ['csv', 'json', 'picture', 'share']) button[name].disabled = true;
    this.say('Cleared.', 'For ten seconds “Undo” brings the timeline back.', '', {hold: READ});
  }

  forgetCleared() {
    clearTimeout(this.cleared.timer);
    this.cleared = null;
    this.tab.button.clear.textContent = 'Clear';
    this.enableSaving(this.record.rows.length > 0);
  }
}
