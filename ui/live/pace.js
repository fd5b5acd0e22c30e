// When the next frame is due, by what became of those before. Times in ms.

const LONG_DELAY = 400;       // from here on whoever reads is busy rather than far away: one frame at a time
const MIN_PERIOD = 1000 / 30; // between frames: no camera is much faster
const RETRY_BUSY = 3000;
const RETRY = 1000;
const MOST = 2000;           // that one frame counts: one that slept with the page says nothing of those to come

export class Pace {
  constructor() {
    this.lastSent = -Infinity;
    this.restart();
  }

  // Nothing is known yet of whoever reads from here on.
  restart() {
    this.underWay = 0;
    this.notBefore = 0;
    this.failures = 0;
    this.work = 40;           // that a frame takes whoever reads it
    this.delay = 100;         // until a frame's reply is here
  }

  // At least so much between two frames, where `interval` seconds are asked for.
  between(interval) { return Math.max(interval * 1000, MIN_PERIOD, this.work); }

  // How long until the next frame may go, of which `most` are under way at a time; Infinity where a reply has to come
  // first.
  wait(now, interval, most) {
    if (this.underWay >= (this.delay > LONG_DELAY ? 1 : most)) return Infinity;
    return Math.max(this.lastSent + this.between(interval), this.notBefore) - now;
  }

  sent(now) { this.lastSent = now; this.underWay++; }

  lost(now) { this.failures++; this.notBefore = now + Math.min(5000, 500 * 2 ** this.failures); }

  refused(now, busy) { this.notBefore = now + (busy ? RETRY_BUSY : RETRY); }

  received(now, began, work) {
    this.work = 0.8 * this.work + 0.2 * Math.min(work, MOST);
    this.delay = 0.8 * this.delay + 0.2 * Math.min(now - began, MOST);
    this.failures = 0;
  }
}
