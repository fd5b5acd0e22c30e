// How many results come in a second, and how long each takes, over a corner of the video.

import {put} from './numbers.js';

const METER_PERIOD = 3000; // ms that the meter looks back

export class Meter {
  constructor(element) {
    this.element = element;
    this.clear();
  }

  clear() { this.replies = []; }  // [when, delay] of the last seconds

  // Counts a result, in the moment in which it has been painted.
  add(began, faces) {
    const painted = performance.now();
    if (painted - began > METER_PERIOD) return;  // the page was out of sight
    this.replies.push([painted, painted - began]);
    this.forget(painted);
    performance.measure('live-result', {start: began, end: painted, detail: {faces}});
    performance.clearMeasures('live-result');  // observers have it; the browser would keep it for ever
  }

  show(now, live) {
    this.forget(now);
    const {replies} = this;
    const span = replies.length > 1 ? (replies[replies.length - 1][0] - replies[0][0]) / 1000 : 0;
    this.element.hidden = !live || !span;
    if (!span) return;
    const mean = replies.reduce((sum, [, one]) => sum + one, 0) / replies.length;
    put(this.element, `${((replies.length - 1) / span).toFixed(1)} results/s · ${Math.round(mean)} ms`);
  }

  forget(now) { this.replies = this.replies.filter(([when]) => now - when < METER_PERIOD); }
}
