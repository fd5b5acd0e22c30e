// The canvas of the timeline: drawn when something has changed, described in words for those who do not see it.

import {word} from './numbers.js';
import {Timeline} from './timeline.js';

const DESCRIBE_PERIOD = 5000; // ms between two descriptions
const HEAD = 64;  // pixels above the timeline of a saved picture

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
      canvas.setAttribute('aria-label', this.record.describe(from, clock, options.gone));
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

  // A canvas with the whole session and a legend.
  pictureOf(options) {
    const {tab, timeline, record: {rows, first, last}} = this;
    const sheet = document.createElement('canvas');
    sheet.width = 1600;
    sheet.height = Math.max(640, HEAD + timeline.heightOfAll);
    const context = sheet.getContext('2d'), style = getComputedStyle(tab.root);
    const ink = style.getPropertyValue('--body-text-color').trim();
    context.fillStyle = getComputedStyle(tab.$('.timeline')).backgroundColor;
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.fillStyle = ink;
    context.font = '600 20px ' + style.fontFamily;
    context.fillText(`Emotions, ${new Date().toLocaleString()}`, 62, 28);
    context.font = '14px ' + style.fontFamily;
    let x = 62;
    const {at, settings: {unclear}} = tab, names = timeline.shownEmotions();
    if (!timeline.ofOneFace && rows.some(row => row[at.clear] === false)) names.push(unclear.name);  // as lanes have it
    for (const name of names) {
      context.fillStyle = tab.labels[name].colour;
      context.fillRect(x, 43, 12, 12);
      context.fillStyle = ink;
      context.fillText(word(name), x + 18, 54);
      x += 44 + context.measureText(word(name)).width;
    }
    context.translate(0, HEAD);
    const whole = {from: first, to: Math.max(last, first + 1), all: true};
    timeline.draw(context, sheet.width, sheet.height - HEAD, {...options, ...whole});
    return sheet;
  }

  choose(id) {
    this.tab.control.chosen.value = id;
    this.tab.control.view.value = 'face';
  }
}
