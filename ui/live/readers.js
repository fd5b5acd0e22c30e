// Who reads the frames: this browser, or the server. The browser where it can, unless the visitor wants it otherwise;
// where it fails the server stands in, and the page says so.

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
    this.distant = new DistantReader(server);
    const {how, why_not: whyNot} = tab.settings.browser;
    if (how && PrivateReader.possible) this.private = new PrivateReader(how, worker);
    else this.select.querySelector('[value=browser]').disabled = true;
    this.current = null;  // until whoever was chosen is ready
    this.turn = 0;        // counts up with each choice
    const wanted = recalled(CHOICE) === 'server' || !this.private ? 'server' : 'browser';
    this.turnTo(wanted, this.private ? '' : how ? UNABLE : whyNot);
    this.select.addEventListener('change', () => {
      keep(CHOICE, this.select.value);
      this.leave();
      this.current = null;
      if (this.select.value === 'server') this.private.close();
      this.turnTo(this.select.value);
      onchange();
    });
  }

  turnTo(name, why = '') {
    this.select.value = name;
    const here = name === 'browser';
    this.note.dataset.reader = name;
    this.note.textContent = here ? HERE : [why, THERE].filter(Boolean).join(' ');
  }

  // Gets ready whoever was chosen; `onprogress` is called with 0..1 while the networks load.
  async prepare(onprogress) {
    const turn = ++this.turn;
    if (this.select.value === 'server') { this.current = this.distant; return; }
    try {
      await this.private.load(onprogress);
      if (turn === this.turn) this.current = this.private;
    } catch (error) {
      if (turn === this.turn) this.fallBack(error);
    }
  }

  // The browser could not: the server reads from here on, until the visitor chooses anew.
  fallBack(error) {
    console.warn(error);
    this.private.close();
    this.turnTo('server', `Reading in this browser failed (${error.message}).`);
    this.current = this.distant;
  }

  leave() { this.current?.leave(); }

  leaveForGood() { this.current?.leaveForGood?.(); }
}
