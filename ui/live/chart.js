// The canvas of the timeline: drawn when something has changed, described in words for those who do not see it.

import {pictureOfAll} from './saving.js';
import {Timeline} from './timeline.js';

const DESCRIBE_PERIOD = 5000; // ms between two descriptions

export class Chart {
  constructor(tab, record) {
    Object.assign(this, {tab, record});
    this.canvas = tab.$('canvas');
    this.timeline = new Timeline(tab, record);
    this.drawnFor = '';      // a paused page costs nothing
    this.describedFor = '';
    this.describedAt = 0;
  }

  // The last seconds up to `clock`.
  draw(now, clock, options) {
    const {canvas, tab: {control, settings}} = this;
    const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    const to = Math.max(clock, settings.seconds / 6);  // a young session fills the width sooner
    const from = to - Math.min(settings.seconds, Math.max(to, 10));
    const state = [to.toFixed(2), width, height, ratio, this.record.rows.length, control.view.value, control.chosen.value,
      this.timeline.shownEmotions(), document.body.className].join();
    if (!width) return;
    if (state !== this.drawnFor) {
      this.drawnFor = state;
      this.timeline.draw(this.context(ratio, width, height), width, height, {...options, from, to});
      canvas.dataset.rows = this.record.rows.length;
    }
    if (state !== this.describedFor && now - this.describedAt > DESCRIBE_PERIOD) {
      Object.assign(this, {describedFor: state, describedAt: now});
      canvas.setAttribute('aria-label', this.record.describe(from, clock));
    }
  }

  context(ratio, width, height) {
    const {canvas} = this;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  // A canvas with the whole session.
  pictureOf(options) {
    const {first, last} = this.record;
    return pictureOfAll(this.tab, this.timeline, {...options, from: first, to: Math.max(last, first + 1)});
  }

  choose(id) {
    this.tab.control.chosen.value = id;
    this.tab.control.view.value = 'face';
  }
}
