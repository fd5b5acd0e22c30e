// Who reads the frames: this browser, on its processor or its graphics chip, or the server. The browser's processor where
// it can, unless the visitor wants it otherwise; where the one fails the next stands in, and the page says so.

import {DistantReader} from './distant.js';
import {PrivateReader} from './private.js';
import {keep, recalled} from './remembered.js';

const CHOICE = 'emotion-lens-reader';
const HERE = 'Private: your camera’s picture is read in this browser and does not leave it.';
const THERE = 'Single small frames go to the server, which reads and forgets them.';
const UNABLE = 'This browser cannot read faces by itself.';

export class Readers {
  // `worker`: the script of the browser's workers; `onchange` is called when the visitor chooses.
  constructor(tab, server, worker, onchange) {
    this.select = tab.control.reader;
    this.note = tab.$('.privacy');
    this.onchange = onchange;
    this.all = {server: new DistantReader(server)};
    this.current = null;  // until whoever was chosen is ready
    this.turn = 0;        // counts up with each choice
    const {how, why_not: whyNot} = tab.settings.browser;
    if (how && PrivateReader.possible) {
      this.all.processor = new PrivateReader('processor', how, worker);
      this.offerGraphics(() => new PrivateReader('graphics', how, worker));
    } else this.option('processor').disabled = true;
    this.turnTo(this.all.processor && recalled(CHOICE) !== 'server' ? 'processor' : 'server',
      this.all.processor ? '' : how ? UNABLE : whyNot);
    this.select.addEventListener('change', () => {
      keep(CHOICE, this.select.value);
      this.choose(this.select.value);
    });
  }

  get distant() { return this.all.server; }

  option(name) { return this.select.querySelector(`[value=${name}]`); }

  async offerGraphics(made) {
    if (!await PrivateReader.graphics()) return;
    this.all.graphics = made();
    this.option('graphics').hidden = false;
    if (recalled(CHOICE) === 'graphics' && this.select.value === 'processor') this.choose('graphics');
  }

  choose(name) {
    this.turn++;
    this.leave();
    for (const reader of Object.values(this.all)) reader.close?.();  // one that is still loading too
    this.current = null;
    this.turnTo(name);
    this.onchange();
  }

  turnTo(name, why = '') {
    this.select.value = name;
    this.note.dataset.reader = name;
    this.note.textContent = [why, name === 'server' ? THERE : HERE].filter(Boolean).join(' ');
  }

  // Gets ready whoever was chosen; `onprogress` is called with 0..1 while the networks load.
  async prepare(onprogress) {
    const turn = ++this.turn, reader = this.all[this.select.value];
    try {
      await reader.load?.(onprogress);
      if (turn === this.turn) this.current = reader;
    } catch (error) {
      if (turn !== this.turn) return;
      this.fallBack(error);
      await this.prepare(onprogress);
    }
  }

  // Whoever reads in the browser could not: the next does from here on, until the visitor chooses anew.
  fallBack(error) {
    console.warn(error);
    const failed = this.select.value;
    this.all[failed].close();
    this.current = null;
    if (failed === 'graphics') this.turnTo('processor', `The graphics chip could not (${error.message}).`);
    else this.turnTo('server', `Reading in this browser failed (${error.message}).`);
  }

  leave() { this.current?.leave(); }

  leaveForGood() { this.current?.leaveForGood?.(); }
}
