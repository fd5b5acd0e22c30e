// Who reads the frames: this browser, on its processor or its graphics chip, or the server. The browser's processor where
// it can, unless the visitor wants it otherwise; where the one fails the next stands in, and the page says so. But
// where the visitor has chosen the browser, the server never does: then nobody reads until the visitor chooses anew.

import {DistantReader} from './distant.js';
import {PrivateReader} from './private.js';
import {keep, recalled} from './remembered.js';

const CHOICE = 'emotion-lens-reader';
const HERE = 'Private: your camera’s picture is read in this browser and does not leave it.';
const THERE = 'Single small frames go to the server, which reads and forgets them.';
const UNABLE = 'This browser cannot read faces by itself.';
const NOWHERE = 'Nothing is read, and nothing is sent.';
const INSTEAD = 'Choose “on the server” beside “Read it”';
const AGAIN_OR = `${INSTEAD}, or stop and start the camera to try again.`;

export class Readers {
  // `worker`: the script of the browser's workers; `onchange` is called when the visitor chooses.
  constructor(tab, server, worker, onchange) {
    this.select = tab.control.reader;
    this.note = tab.$('.privacy');
    this.onchange = onchange;
    this.all = {server: new DistantReader(server)};
    this.current = null;  // until whoever was chosen is ready
    this.turn = 0;        // counts up with each choice, start and stop
    this.advice = '';     // what the visitor can do where nobody reads
    this.chosen = recalled(CHOICE);  // by the visitor, now or earlier
    const {how, why_not: whyNot} = tab.settings.browser;
    if (how && PrivateReader.possible) {
      this.all.processor = new PrivateReader('processor', how, worker);
      this.offerGraphics(() => new PrivateReader('graphics', how, worker));
    } else this.option('processor').disabled = true;
    if (!this.all.processor) this.standIn(how ? UNABLE : whyNot, `${INSTEAD}.`);
    else this.turnTo(this.chosen === 'server' ? 'server' : 'processor');
    this.select.addEventListener('change', () => {
      this.chosen = this.select.value;
      keep(CHOICE, this.chosen);
      this.choose(this.chosen);
    });
  }

  get distant() { return this.all.server; }

  option(name) { return this.select.querySelector(`[value=${name}]`); }

  // Nobody is shown a choice that cannot be had: Safari shows options that are hidden too.
  async offerGraphics(made) {
    if (!await PrivateReader.graphics()) return;
    this.all.graphics = made();
    this.option('processor').after(new Option('in this browser, GPU', 'graphics'));
    if (this.chosen === 'graphics' && this.select.value === 'processor') this.choose('graphics');
  }

  choose(name) {
    this.leave();
    for (const reader of Object.values(this.all)) reader.close?.();  // one that is still loading too
    this.turnTo(name);
    this.onchange();
  }

  turnTo(name, why = '', what = name === 'server' ? THERE : HERE) {
    this.advice = '';
    this.select.value = name;
    this.note.dataset.reader = name;
    this.note.textContent = [why, what].filter(Boolean).join(' ');
  }

  // The server reads, as this browser cannot; but not against the visitor's choice. Returns whether it does.
  standIn(why, advice) {
    if (!this.chosen || this.chosen === 'server') {
      this.turnTo('server', why);
      return true;
    }
    this.turnTo('processor', why, NOWHERE);
    this.advice = advice;
    return false;
  }

  // With each start of the camera whoever has failed is tried once more: the graphics chip where it was chosen, else the
  // browser, unless the visitor has chosen the server.
  startAnew() {
    if (this.chosen === 'graphics' && this.all.graphics) this.turnTo('graphics');
    else if (this.all.processor && !this.chosen && this.select.value === 'server') this.turnTo('processor');
  }

  // Gets ready whoever was chosen; `onprogress` is called with 0..1, and their bytes, while the networks load. Where
  // that one is not to be had, nor another to stand in, nobody is `current`.
  async prepare(onprogress) {
    const turn = ++this.turn, reader = this.all[this.select.value];
    if (!reader) return;
    if (this.advice) this.turnTo(this.select.value);  // it is tried once more
    try {
      await reader.load?.(onprogress);
      if (turn === this.turn) this.current = reader;
    } catch (error) {
      if (turn === this.turn && this.fallBack(error)) await this.prepare(onprogress);
    }
  }

  // Whoever reads in the browser could not: the next does from here on, until the visitor chooses or starts anew.
  // Returns whether there is one.
  fallBack(error) {
    console.warn(error);
    const failed = this.select.value;
    this.all[failed].close();
    this.current = null;
    if (failed !== 'graphics') return this.standIn(`Reading in this browser failed (${error.message}).`, AGAIN_OR);
    this.turnTo('processor', `The graphics chip could not (${error.message}).`);
    return true;
  }

  // Nobody reads from here on, until whoever is chosen by then is ready: not even who is still getting ready now.
  leave() {
    this.turn++;
    this.current?.leave();
    this.current = null;
  }

  leaveForGood() { this.current?.leaveForGood?.(); }
}
