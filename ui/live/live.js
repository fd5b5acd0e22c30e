// The Live tab, from the camera to the files: `start` is called once with the component's element and `server`, the
// functions of ui/live/tab.py. The camera's video plays here at its own speed. Small JPEGs of it go to server.detect;
// the numbers that come back are drawn over the video, into the card of the main face and into the timeline, and are
// kept for the export.

import {Camera, hintFor} from './camera.js';
import {Pace, pictureOf, replyTo} from './frames.js';
import {Overlay} from './overlay.js';
import {Reading} from './reading.js';
import {Record} from './record.js';
import {pictureOfAll, saveCanvas, saveText} from './saving.js';
import {Timeline} from './timeline.js';

const FACE_GRACE = 400;       // ms that a box stays when frames miss the face
const STALE = 3000;           // ms that it stays when no results come at all
const DRAW_PERIOD = 125;      // ms between two drawings of the timeline
const DESCRIBE_PERIOD = 5000; // ms between two descriptions of it
const UNDO_PERIOD = 10000;    // ms in which a cleared timeline comes back
const METER_PERIOD = 3000;    // ms that the meter looks back

export function start(element, server) { new Live(tabOf(element), server); }

// What the parts of the tab share: its elements, the labels, and where a value stands in a row.
function tabOf(element) {
  const root = element.querySelector('.live'), settings = JSON.parse(root.dataset.settings);
  const $ = selector => root.querySelector(selector);
  const named = (names, prefix) => Object.fromEntries(names.map(name => [name, $(prefix + name)]));
  return {
    root, settings, $,
    labels: Object.fromEntries(settings.labels.map(label => [label.name, label])),
    emotions: settings.labels.map(label => label.name),
    at: Object.fromEntries(settings.columns.map((name, i) => [name, i])),
    button: named(['start', 'stop', 'pause', 'mirror', 'snapshot', 'csv', 'json', 'picture', 'clear'], '.button.'),
    control: named(['interval', 'largest', 'smoothing', 'view', 'chosen'], '.'),
    pictures: Object.fromEntries(settings.labels.map(label => {
      const image = new Image();
      image.src = label.picture;
      return [label.name, image];
    })),
    faceColour: id => settings.colours[(id - 1) % settings.colours.length],
  };
}

function newSession() {
  return window.crypto && crypto.randomUUID ? crypto.randomUUID() : 'page-' + Math.random().toString(36).slice(2) + Date.now();
}

class Live {
  constructor(tab, server) {
    const {$} = tab;
    Object.assign(this, {tab, server});
    this.stage = $('.stage'); this.video = $('video'); this.cover = $('.cover');
    this.meter = $('.meter'); this.canvas = $('canvas'); this.status = $('.live-status');
    this.session = newSession();  // name of this page's session on the server
    this.run = 0;                 // counts up with each start and stop, so that late replies are known as such
    this.paused = false;
    this.starting = false;
    this.timer = 0;
    this.origin = null;           // performance.now() at time 0 of the session
    this.lastResult = -1;         // its time in the session, in seconds
    this.period = 0.1;            // seconds between results
    this.current = [];            // rows of the newest frame with faces
    this.seenAt = 0;
    this.lastFaceTime = 0;
    this.replies = [];            // [when, delay] of the last seconds, for the meter
    this.cleared = null;          // what Undo brings back
    this.drawnAt = this.describedAt = 0;
    this.drawnFor = '';
    this.record = new Record(tab.settings.columns);
    this.pace = new Pace();
    this.timeline = new Timeline(tab, this.record);
    this.reading = new Reading(tab);
    this.overlay = new Overlay(tab, id => this.reading.offer(id), id => this.choose(id));
    this.camera = new Camera(this.video, () => this.lostCamera(), () => this.start());
    this.listen();
    tab.root.dataset.ready = 'true';
    requestAnimationFrame(now => this.animate(now));
  }

  listen() {
    const {button, control} = this.tab, fit = () => this.overlay.fit({width: this.video.videoWidth, height: this.video.videoHeight});
    const pressed = {
      start: () => this.start(),
      stop: () => this.stop(),
      pause: () => this.pause(),
      mirror: () => this.overlay.turn(),
      snapshot: () => saveCanvas(this.overlay.snapshot(this.video), 'snapshot'),
      csv: () => saveText(this.record.toCsv(), 'text/csv', 'csv'),
      json: () => saveText(this.record.toJson(), 'application/json', 'json'),
      picture: () => this.savePicture(),
      clear: () => this.clear(),
    };
    for (const [name, action] of Object.entries(pressed)) button[name].addEventListener('click', action);
    control.interval.addEventListener('change', () => this.tick());
    control.smoothing.addEventListener('input', () => {
      const seconds = Number(control.smoothing.value);
      this.tab.$('.smoothing-value').textContent = seconds ? `${seconds} s` : 'raw';
    });
    this.video.addEventListener('loadedmetadata', fit);
    this.video.addEventListener('resize', () => this.video.videoWidth && fit());
    document.addEventListener('visibilitychange', () => this.tick());
    window.addEventListener('pagehide', () => this.leave());
  }

  // ------------------------------------------------------------------------------------------- camera on and off

  async start() {
    if (this.starting || this.camera.stream) return;
    this.starting = true;
    this.tab.button.start.disabled = true;
    this.say('Waiting for the camera.', 'Allow it if the browser asks.');
    try {
      await this.camera.open();
    } catch (error) {
      this.setState('off');
      this.say(...hintFor(error), 'problem');
      return;
    } finally {
      this.starting = false;
      this.tab.button.start.disabled = false;
    }
    if (!this.tab.root.isConnected) { this.camera.close(); return; }
    this.run++;
    this.paused = false;
    if (this.origin === null) this.origin = performance.now();
    this.pace.restart();
    this.lastFaceTime = performance.now();
    this.setState('live');
    this.say('Looking for faces.', '');
    this.tick();
  }

  stop() {
    this.run++;
    this.camera.close();
    this.server.leave(this.session);
    this.session = newSession();  // the server takes no frame of the one that was ended
    this.overlay.remove(-1);
    this.replies = [];
    this.setState('off');
    this.say('Camera off.', this.record.rows.length ? 'What was read is kept: save it, or start again.'
      : 'Press “Start camera” and allow it in the browser.', 'quiet');
  }

  lostCamera() {
    this.stop();
    this.say('The camera is gone.', 'It was unplugged, or its permission was taken back. Plug it in and press “Start camera”.', 'problem');
  }

  pause() {
    this.paused = !this.paused;
    if (this.paused) this.video.pause(); else this.video.play();
    this.setState(this.paused ? 'paused' : 'live');
    if (this.paused) { this.say('Paused.', 'Nothing is read. “Go on” continues the same timeline.', 'quiet'); return; }
    this.lastFaceTime = performance.now();
    this.say('Looking for faces.', '');
    this.tick();
  }

  // Frees the place at once as the page goes; without it the server waits a few seconds.
  leave() {
    const component = window.gradio_config?.components?.find(one => one.props?.elem_id === 'live');
    if (!this.camera.stream || !component) return;
    const body = {data: this.session, component_id: component.id, fn_name: 'leave', session_hash: this.session};
    const address = `${window.gradio_config.root || ''}${window.gradio_config.api_prefix || '/gradio_api'}/component_server/`;
    fetch(address, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body), keepalive: true});
    this.session = newSession();  // for a page that comes back by the browser's Back
  }

  // ------------------------------------------------------------------------------------------- frames and replies

  get interval() { return Number(this.tab.control.interval.value); }

  get asleep() { return this.paused || document.hidden || this.tab.root.offsetParent === null || !this.video.videoWidth; }

  tick() {
    clearTimeout(this.timer);
    if (!this.camera.stream) return;
    if (!this.tab.root.isConnected) { this.stop(); return; }
    if (this.asleep) { this.timer = setTimeout(() => this.tick(), 200); return; }
    const wait = this.pace.wait(performance.now(), this.interval);
    if (wait === Infinity) return;  // the next reply calls again
    if (wait > 1) { this.timer = setTimeout(() => this.tick(), wait); return; }
    this.send();
    this.timer = setTimeout(() => this.tick(), this.pace.between(this.interval));
  }

  async send() {
    const run = this.run, began = performance.now(), {smoothing, largest} = this.tab.control;
    this.pace.sent(began);
    let reply;
    try {
      const image = await pictureOf(this.video);
      reply = await replyTo(this.server.detect({image, session: this.session, time: (began - this.origin) / 1000,
        smoothing: Number(smoothing.value), largest: Boolean(largest.value)}));
    } catch (error) {
      console.warn(error);
    }
    if (run !== this.run) return;
    this.pace.underWay--;
    if (!reply) this.lostServer();
    else if (reply.error) this.refused(reply);
    else this.received(reply, began);
    this.tick();
  }

  lostServer() {
    this.pace.lost(performance.now());
    if (this.pace.failures > 1) {
      this.say('The connection is lost.', 'Trying again: the camera goes on, and nothing that was read is lost.', 'problem');
    }
  }

  refused(reply) {
    if (reply.error === 'bad_time') return;  // overtaken on its way by a later frame
    const busy = reply.error === 'busy';
    this.pace.refused(performance.now(), busy);
    this.say(busy ? 'Busy.' : 'A frame could not be read.', reply.message, busy ? 'notice' : 'problem');
  }

  received(reply, began) {
    const now = performance.now(), time = (began - this.origin) / 1000;
    this.pace.received(now, began, reply.milliseconds);
    if (time <= this.lastResult) return;
    if (this.lastResult >= 0) this.period = 0.8 * this.period + 0.2 * Math.min(time - this.lastResult, 10);
    this.lastResult = time;
    if (!this.record.rows.length) this.enableSaving(true);
    const faces = this.record.add(reply.rows, reply.started);
    this.seenAt = now;
    if (faces.length) { this.current = faces; this.lastFaceTime = now; }
    this.overlay.fit(reply);
    this.overlay.place(faces, reply);
    this.overlay.remove(FACE_GRACE);
    if (now - this.lastFaceTime > 1000 * Math.max(1, 2.5 * Math.max(this.interval, this.period))) this.current = [];
    this.reading.show(this.current, now);
    if (this.paused) return;
    this.tell(faces.length, now);
    requestAnimationFrame(() => this.measure(began, faces.length));
  }

  tell(faces, now) {
    const long = this.record.dropped ? 'The session is very long: its oldest rows have been dropped.' : '';
    if (faces) this.say(`${faces === 1 ? '1 face' : `${faces} faces`} followed.`, long);
    else if (now - this.lastFaceTime > 1500) this.say('No face in the picture.', 'Come closer, face the camera, or turn on a light.', 'quiet');
  }

  measure(began, faces) {
    const painted = performance.now();
    this.replies.push([painted, painted - began]);
    this.replies = this.replies.filter(([when]) => painted - when < METER_PERIOD);
    performance.measure('live-result', {start: began, end: painted, detail: {faces}});
    performance.clearMeasures('live-result');  // observers have it; the browser would keep it for ever
  }

  // ------------------------------------------------------------------------------------------- what is drawn over time

  // Time of the session in seconds. Runs on between two results, so that the lines glide; stands still when nothing
  // comes.
  get clock() {
    if (this.origin === null) return 0;
    const running = this.camera.stream && !this.paused;
    return this.record.last + (running ? Math.min((performance.now() - this.seenAt) / 1000, 0.5 + this.interval) : 0);
  }

  get lineOptions() {
    return {gone: Math.max(1.5, 2.5 * Math.max(this.interval, this.period)), main: this.reading.main};
  }

  animate(now) {
    if (!this.tab.root.isConnected) return;
    requestAnimationFrame(later => this.animate(later));
    if (now - this.drawnAt < DRAW_PERIOD || this.tab.root.offsetParent === null) return;
    this.drawnAt = now;
    if (!this.paused) this.overlay.remove(STALE + this.interval * 1000);
    this.showMeter(now);
    this.drawTimeline(now);
  }

  showMeter(now) {
    const replies = this.replies = this.replies.filter(([when]) => now - when < METER_PERIOD);
    const span = replies.length > 1 ? (replies[replies.length - 1][0] - replies[0][0]) / 1000 : 0;
    this.meter.hidden = !this.camera.stream || !span;
    if (!span) return;
    const mean = replies.reduce((sum, [, one]) => sum + one, 0) / replies.length;
    this.meter.textContent = `${((replies.length - 1) / span).toFixed(1)} results/s · ${Math.round(mean)} ms`;
  }

  drawTimeline(now) {
    const {canvas, tab: {control, settings}} = this;
    const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    const to = Math.max(this.clock, settings.seconds / 6);  // a young session fills the width sooner
    const from = to - Math.min(settings.seconds, Math.max(to, 10));
    const state = [to.toFixed(2), width, height, ratio, this.record.rows.length, control.view.value, control.chosen.value,
      this.timeline.shownEmotions(), document.body.className].join();
    if (state === this.drawnFor || !width) return;  // nothing has changed: a paused page costs nothing
    this.drawnFor = state;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.timeline.draw(context, width, height, {...this.lineOptions, from, to});
    canvas.dataset.rows = this.record.rows.length;
    if (now - this.describedAt <= DESCRIBE_PERIOD) return;
    this.describedAt = now;
    canvas.setAttribute('aria-label', this.record.describe(from, this.clock));
  }

  savePicture() {
    const {first, last} = this.record, options = {...this.lineOptions, from: first, to: Math.max(last, first + 1)};
    saveCanvas(pictureOfAll(this.tab, this.timeline, options), 'emotions');
  }

  choose(id) {
    this.tab.control.chosen.value = id;
    this.tab.control.view.value = 'face';
  }

  // ------------------------------------------------------------------------------------------- buttons and words

  say(headline, detail, kind = '') {
    const strong = this.status.querySelector('strong'), span = this.status.querySelector('span');
    this.status.className = `status live-status ${kind}`;
    if (strong.textContent !== headline) strong.textContent = headline;  // screen readers speak only what changes
    if (span.textContent !== detail) span.textContent = detail;
  }

  setState(state) {
    const {button} = this.tab;
    this.stage.dataset.state = state;
    this.cover.hidden = state !== 'off';
    for (const name of ['stop', 'pause', 'snapshot']) button[name].disabled = state === 'off';
    button.pause.setAttribute('aria-pressed', state === 'paused');
    button.pause.textContent = state === 'paused' ? 'Go on' : 'Pause';
    // The button that was pressed is gone: the next useful one takes the focus over.
    const idle = document.activeElement === document.body || this.cover.contains(document.activeElement);
    if (state === 'off') { button.start.disabled = false; button.start.focus({preventScroll: true}); }
    else if (state === 'live' && idle) button.pause.focus({preventScroll: true});
  }

  enableSaving(on) {
    for (const name of ['csv', 'json', 'picture', 'clear']) this.tab.button[name].disabled = !on;
  }

  clear() {
    const {button} = this.tab;
    if (this.cleared) {  // the button says Undo
      this.record.restore(this.cleared.rows);
      this.forgetCleared();
      this.say('The timeline is back.', '');
      return;
    }
    this.cleared = {rows: this.record.clear(), timer: setTimeout(() => this.forgetCleared(), UNDO_PERIOD)};
    button.clear.textContent = 'Undo';
    for (const name of ['csv', 'json', 'picture']) button[name].disabled = true;
    this.say('Cleared.', 'For ten seconds “Undo” brings the timeline back.');
  }

  forgetCleared() {
    clearTimeout(this.cleared.timer);
    this.cleared = null;
    this.tab.button.clear.textContent = 'Clear';
    this.enableSaving(this.record.rows.length > 0);
  }
}
