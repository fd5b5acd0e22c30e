// How many results come in a second, and how long each takes, over a corner of the video.

import {put} from './numbers.js';

const METER_PERIOD = 3000; // ms that the meter looks back,
const FRAMES = 2.5;        // or as many intervals, so that two results of frames that are seldom read are among them

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
    performance.measure('live-result', {start: began, end: painted, detail: {faces}});
    performance.clearMeasures('live-result');  // observers have it; the browser would keep it for ever
  }

  // `interval`: seconds between two frames.
  show(now, live, interval) {
    const period = Math.max(METER_PERIOD, FRAMES * interval * 1000);
    const replies = this.replies = this.replies.filter(([when]) => now - when < period);
    const span = replies.length > 1 ? (replies[replies.length - 1][0] - replies[0][0]) / 1000 : 0;
    this.element.hidden = !live || !span;
    if (!span) return;
    const mean = replies.reduce((sum, [, one]) => sum + one, 0) / replies.length;
    put(this.element, `${((replies.length - 1) / span).toFixed(1)} results/s · ${Math.round(mean)} ms`);
  }
}
