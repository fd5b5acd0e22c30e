// The Live tab, from the camera to the files: `start` is called once with the component's element, `server`, the
// functions of ui/live/tab.py, and the script of the browser's workers. The camera's video plays here at its own speed.
// Its frames go to a reader, in the browser or on the server; the numbers that come back are drawn over the video, into
// the card of the main face and into the timeline, and are kept for the export.

import {keepScreenOn} from '../awake.js';
import {Camera, SUPERSEDED} from './camera.js';
import {Cameras, looksAway} from './cameras.js';
import {cardOf} from './card.js';
import {Chart} from './chart.js';
import {hintFor} from './hints.js';
import {Meter} from './meter.js';
import {clockTime, megabytes, percent} from './numbers.js';
import {Overlay} from './overlay.js';
import {Pace} from './pace.js';
import {Panel, READ} from './panel.js';
import {Readers} from './readers.js';
import {Reading} from './reading.js';
import {Record} from './record.js';
import {keepRows, keptRows} from './remembered.js';
import {saveCanvas, saveText, shareCanvas} from './saving.js';
import {Still} from './still.js';

const FACE_GRACE = 400;       // ms that a box stays when frames miss the face
const STALE = 3000;           // ms that it stays when no results come at all
const ASK_FROM = 60;          // s of a timeline in no file from which on the browser asks before the page goes
const STAYED = 1000;          // ms after which a page that was asked about is taken to stay
const CLEAR = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';  // one clear pixel
const DRAW_PERIOD = 125;      // ms between two drawings of the timeline

export function start(element, server, worker) { new Live(tabOf(element), server, worker); }

// What the parts of the tab share: its elements, the labels, and where a value stands in a row.
function tabOf(element) {
  const root = element.querySelector('.live'), settings = JSON.parse(root.dataset.settings);
  const $ = selector => root.querySelector(selector);
  const at = Object.fromEntries(settings.columns.map((name, i) => [name, i]));
  const shown = [...settings.labels, settings.unclear];
  const named = (names, prefix) => Object.fromEntries(names.map(name => [name, $(prefix + name)]));
  return {
    root, settings, $,
    labels: Object.fromEntries(shown.map(label => [label.name, label])),
    emotions: settings.labels.map(label => label.name),
    at,
    // What is shown of a face: its emotion, or `unclear` where the probabilities carry no word.
    wordOf: row => row[at.clear] ? row[at.emotion] : settings.unclear.name,
    button: named(['start', 'stop', 'pause', 'mirror', 'snapshot', 'share', 'csv', 'json', 'picture', 'clear'], '.button.'),
    control: named(['interval', 'reader', 'largest', 'hide', 'smoothing', 'view', 'chosen'], '.'),
    pictures: Object.fromEntries(shown.map(label => {
      const image = new Image();
      image.onerror = () => { image.src = CLEAR; };  // one that did not come cannot be drawn
      image.src = label.picture;
      return [label.name, image];
    })),
    faceColour: id => settings.colours[(id - 1) % settings.colours.length],
  };
}

class Live {
  constructor(tab, server, worker) {
    const {$} = tab;
    this.tab = tab;
    this.video = $('video');
    this.readers = new Readers(tab, server, worker, () => this.prepare());
    this.run = 0;                 // counts up with each start, stop and change of cameras, so that late replies are known as such
    this.paused = false;
    this.starting = false;
    this.again = false;           // another camera was chosen while the first was being opened
    this.timer = 0;
    this.origin = null;           // performance.now() at time 0 of the session
    this.lastResult = -1;         // its time in the session, in seconds
    this.period = 0.1;            // seconds between results
    this.longest = 0;             // seconds, the most that was asked for between two frames
    this.current = [];            // rows of the newest frame with faces
    this.seenAt = 0;
    this.lastFaceTime = 0;
    this.record = new Record(tab.settings.columns);
    this.unsavedSince = null;     // time in the session of the first row that stands in no file yet
    this.clearedSince = null;     // the same of the rows that Undo brings back
    this.still = new Still(tab.at);
    this.pace = new Pace();
    this.meter = new Meter($('.meter'));
    this.panel = new Panel(tab, this.record, () => this.sayState());
    this.chart = new Chart(tab, this.record);
    this.reading = new Reading(tab);
    this.overlay = new Overlay(tab, id => this.reading.offer(id, this.overlay.shown), id => this.choose(id));
    this.camera = new Camera(this.video, () => this.lostCamera(), () => this.mutedCamera(), () => this.start());
    this.cameras = new Cameras($('.camera'), () => this.change(), () => this.camera.playing);
    this.listen();
    this.goOn();
    tab.root.dataset.ready = 'true';
    this.animate(performance.now());
  }

  listen() {
    const {tab} = this, {button, control} = tab, fit = () => this.overlay.fit({width: this.video.videoWidth, height: this.video.videoHeight});
    const pressed = {
      start: () => this.start(),
      stop: () => this.stop(),
      pause: () => this.pause(),
      mirror: () => this.overlay.turn(),
      snapshot: () => this.withPicture(picture => this.tellUnless(saveCanvas(picture, 'snapshot'))),
      share: () => this.withPicture(picture => this.share(picture)),
      csv: () => this.save(this.record.toCsv(), 'text/csv', 'csv'),
      json: () => this.save(this.record.toJson(), 'application/json', 'json'),
      picture: () => this.tellUnless(saveCanvas(this.chart.pictureOf(this.lineOptions), 'emotions')),
      clear: () => this.clear(),
    };
    for (const [name, action] of Object.entries(pressed)) button[name].addEventListener('click', action);
    control.interval.addEventListener('change', () => this.tick());
    control.chosen.addEventListener('change', () => this.showChosen());
    control.smoothing.addEventListener('input', () => {
      const seconds = Number(control.smoothing.value);
      this.tab.$('.smoothing-value').textContent = seconds ? `${seconds} s` : 'raw';
    });
    this.video.addEventListener('loadedmetadata', fit);
    this.video.addEventListener('resize', () => this.video.videoWidth && fit());
    // A phone discards a page in the background without another word to it.
    document.addEventListener('visibilitychange', () => { if (document.hidden) this.keepUnsaved(); this.tick(); });
    document.addEventListener('camera-wanted', () => this.giveWay());
    document.addEventListener('tab-changed', () => this.keepScreen());
    window.addEventListener('pagehide', () => { this.leave(); this.keepUnsaved(); });
    window.addEventListener('beforeunload', event => {
      if (!this.unsaved) return;
      event.preventDefault();
      setTimeout(() => this.sayStayed(), STAYED);
    });
  }

  // Where its connection breaks Gradio loads the page anew, which phones do without asking: what stands in no file
  // goes on, in numbers.
  keepUnsaved() { keepRows(this.tab.settings.columns, this.unsavedSince === null ? [] : this.record.rows); }

  // The timeline of the page before.
  goOn() {
    const {record, panel} = this, {rows, whole} = keptRows(this.tab.settings.columns);
    if (!rows.length) return;
    record.goOn(rows);
    const {first, last} = record;
    Object.assign(this, {lastResult: last, origin: performance.now() - 1000 * last, unsavedSince: first});
    this.reading.list(record.faces);
    panel.enableSaving(true);
    const lost = whole ? '' : ` What was before ${clockTime(Math.floor(first))} is lost: the browser kept no more.`;
    panel.say('The page was loaded anew.', `The timeline goes on where it was.${lost}`);
  }

  // Whoever stays where Gradio wanted to load the page anew, as the connection was lost, has one whose other tabs do
  // nothing. It has said so by then, in words that stay.
  sayStayed() {
    if (!this.unsaved || !document.querySelector('.toast-body.error')) return;
    const advice = 'Save the timeline, then load the page anew: its other tabs no longer work.';
    this.panel.say('The page has stayed.', advice, 'notice', {hold: READ});
  }

  // ------------------------------------------------------------------------------------------- camera on and off

  async start() {
    if (this.starting || this.camera.stream) return;
    this.starting = true;
    this.again = false;
    this.tab.button.start.disabled = true;
    this.cameras.recall();
    this.sayState();
    try {
      await this.open();
    } catch (error) {
      if (error.name === SUPERSEDED) return;  // by whoever closed it, which has been said, or by a start after that
      this.starting = false;
      this.setState('off');
      this.panel.say(...hintFor(error), 'problem');
      return;
    }
    this.starting = false;
    if (!this.tab.root.isConnected) { this.camera.close(); return; }
    this.paused = false;
    if (this.origin === null) this.origin = performance.now();
    this.setState('live');
    this.panel.say('Getting ready.', '', '', {spoken: false});
    this.readers.startAnew();
    this.prepare();
    if (this.again) this.change();
  }

  setState(state) {
    this.panel.setState(state);
    this.keepScreen();
  }

  // Not behind another tab, where nothing is read.
  keepScreen() { keepScreenOn(this, this.panel.live && this.tab.root.offsetParent !== null); }

  // Frames are read from here on by whoever was chosen, once that one is ready.
  async prepare() {
    if (!this.camera.stream) return;
    const run = ++this.run;
    this.pace.restart();
    let spoken = true;  // once, and not each percent
    await this.readers.prepare((share, bytes) => {
      if (run !== this.run || this.paused) return;
      const come = `The networks come to this browser, once: ${percent(share)} of ${megabytes(bytes)}.`;
      this.panel.say('Getting ready.', come, '', {spoken});
      spoken = false;
    });
    if (run !== this.run) return;
    this.lastFaceTime = performance.now();
    if (!this.paused) this.sayLooking();
    this.tick();
  }

  // Where frames are read, they say it themselves.
  sayState() {
    const {panel, record} = this;
    if (this.starting) panel.say('Waiting for the camera.', 'Allow it if the browser asks.');
    else if (!panel.on) panel.say('Camera off.', record.rows.length ? 'What was read is kept: save it, or start again.'
      : 'Press “Start camera” and allow it in the browser.', 'quiet');
    else if (this.paused) panel.say('Paused.', 'Nothing is read. “Go on” continues the same timeline.', 'quiet');
    else if (this.readers.advice || this.camera.muted) this.sayLooking();
  }

  // That frames are about to be read, or what to do where nobody reads them or none come.
  sayLooking() {
    const {advice} = this.readers;
    if (advice) this.panel.say('Nothing is read.', advice, 'problem');
    else if (!this.camera.muted) this.panel.say('Looking for faces.', '');
    else {
      const why = 'A call, another app or a switch has turned it off: when that ends, reading goes on.';
      // What is still being read says nothing over it.
      this.panel.say('The camera shows nothing at the moment.', why, 'notice', {hold: Infinity});
    }
  }

  // Opens the chosen camera; one that is no longer there gives way to the front one.
  async open() {
    let gone = null;
    try {
      await this.camera.open(this.cameras.wanted);
    } catch (error) {
      gone = ['OverconstrainedError', 'NotFoundError'].includes(error.name) ? this.cameras.forget() : null;
      if (gone === null) throw error;
      await this.camera.open(this.cameras.wanted);
    }
    const {turn} = this.camera;
    await this.cameras.list().catch(() => {});  // a browser that names none
    this.camera.require(turn);
    if (gone && this.cameras.choose(gone)) await this.camera.open(this.cameras.wanted);
    this.overlay.look(looksAway(this.camera.track));
  }

  // Another camera while one runs, or is being opened: the same session goes on.
  async change() {
    this.again = this.starting;
    if (this.starting || !this.panel.on) return;
    this.forgetFrames();
    try {
      await this.open();
    } catch (error) {
      if (error.name === SUPERSEDED) return;  // by Stop, or by the choice after this one
      this.stop();
      this.panel.say(...hintFor(error), 'problem');
      return;
    }
    if (this.paused) this.video.pause();
    this.readers.leave();  // whoever stands before it is none of those who stood before the other
    this.prepare();
  }

  // What was read so far says nothing of the pictures to come, nor does what is still being read.
  forgetFrames() {
    this.run++;
    this.still.clear();
    this.overlay.remove(-1);
    this.showNobody();
  }

  choose(id) {
    this.chart.choose(id);
    this.showChosen();
  }

  // Whoever chooses another face sees it at once, not with the next frame: in a pause none comes.
  showChosen() { this.reading.show(this.current, performance.now()); }

  showNobody() {
    this.current = [];
    this.showChosen();
  }

  stop() {
    this.forgetFrames();
    this.starting = false;  // a camera that is still being opened is closed as soon as it is there
    this.camera.close();
    this.readers.leave();
    this.meter.clear();
    this.setState('off');
    this.sayState();
  }

  // Another tab of the page opens a camera; phones have only one at a time.
  giveWay() {
    if (!(this.starting || this.panel.on) || this.tab.root.offsetParent !== null) return;
    this.stop();
    this.panel.say('Camera off.', 'Another tab of this page has used it: start it again when it is free.', 'quiet');
  }

  lostCamera() {
    this.stop();
    this.panel.say('The camera is gone.', 'It was unplugged, or its permission was taken back. Plug it in and press “Start camera”.', 'problem');
  }

  // The camera shows nothing for a while, or does again: some browsers have paused the video meanwhile.
  mutedCamera() {
    if (this.paused) return;
    if (!this.camera.muted && this.camera.playing) this.video.play();
    this.sayLooking();
  }

  pause() {
    this.paused = !this.paused;
    if (this.camera.playing) { if (this.paused) this.video.pause(); else this.video.play(); }
    this.setState(this.paused ? 'paused' : 'live');
    if (this.paused) { this.sayState(); return; }
    this.lastFaceTime = performance.now();
    this.sayLooking();
    this.tick();
  }

  // The camera's picture with its boxes; where faces are to be hidden, that of the newest frame whose faces are known.
  async withPicture(use) {
    const {still, tab: {control: {hide}}} = this;
    if (hide.value && !still.picture && this.readers.current) await this.keepFrame();
    if (!this.panel.on) return;  // stopped meanwhile, which has been said
    if (hide.value && still.picture) use(this.overlay.snapshot(still.picture, still.faces.values()));
    else if (!hide.value && this.seesAny) use(this.overlay.snapshot(this.video));
    else {
      const why = hide.value ? 'Faces can be hidden as soon as a frame has been read' : 'The camera is being changed';
      this.sayNotSaved(`${why}: try again in a moment.`);
    }
  }

  async tellUnless(saved) {
    if (!await saved) this.sayNotSaved('The browser could not make the picture: close other tabs and try again.');
  }

  sayNotSaved(why) { this.panel.sayForNow('Nothing was saved.', why, 'notice'); }

  share(picture) {
    if (!this.record.rows.length) return;  // cleared while a frame was read for it, which has been said
    this.tellUnless(shareCanvas(cardOf(this.tab, picture, this.chart.pictureOf(this.lineOptions))));
  }

  // Frames are kept only while faces are to be hidden: the first picture of that kind, also in a pause, has one read for it.
  async keepFrame() {
    const {run, still} = this, picture = still.copyOf(this.video);
    const reply = await this.readers.current.read(this.video, this.wishes(performance.now())).catch(() => null);
    if (run === this.run && !still.picture && reply?.rows) still.take(picture, reply);
  }

  // The timeline goes, and with it what is shown of those in it; or all of them come back.
  clear() {
    this.panel.clear();
    if (this.panel.cleared) {
      this.clearedSince = this.unsavedSince;
      this.overlay.remove(-1);
      this.showNobody();
    } else this.unsavedSince = this.clearedSince ?? this.unsavedSince;  // what was saved meanwhile is without them
    this.reading.list(this.record.faces, this.overlay.shown);
    this.keepUnsaved();  // what goes here is kept nowhere
  }

  save(text, type, ending) {
    saveText(text, type, ending);
    this.unsavedSince = null;
  }

  // Whether more than a try would be lost with the page.
  get unsaved() {
    return this.unsavedSince !== null && this.record.rows.length > 0 &&
      this.record.last - Math.max(this.unsavedSince, this.record.first) > ASK_FROM;
  }

  // Frees the place on the server as the page goes; without it the server waits a few seconds.
  leave() { if (this.camera.stream) this.readers.leaveForGood(); }

  // ------------------------------------------------------------------------------------------- frames and replies

  get interval() { return Number(this.tab.control.interval.value); }

  get asleep() {
    return this.paused || document.hidden || this.tab.root.offsetParent === null || !this.readers.current
      || !this.seesAny || this.camera.muted;
  }

  // Whether the video has a picture: that of a camera that was just opened is still to come.
  get seesAny() { return this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA; }

  tick() {
    clearTimeout(this.timer);
    if (!this.camera.stream) return;
    if (!this.tab.root.isConnected) { this.stop(); return; }
    if (this.asleep) { this.timer = setTimeout(() => this.tick(), 200); return; }
    const wait = this.pace.wait(performance.now(), this.interval, this.readers.current.most);
    if (wait === Infinity) return;  // the next reply calls again
    if (wait > 1) { this.timer = setTimeout(() => this.tick(), wait); return; }
    this.send();
    this.timer = setTimeout(() => this.tick(), this.pace.between(this.interval));
  }

  // What is asked of whoever reads a frame of that time.
  wishes(began) { return {time: (began - this.origin) / 1000, smoothing: Number(this.tab.control.smoothing.value)}; }

  async send() {
    const run = this.run, began = performance.now(), reader = this.readers.current;
    const picture = this.tab.control.hide.value ? this.still.copyOf(this.video) : null;
    this.pace.sent(began);
    let reply;
    try {
      reply = await reader.read(this.video, this.wishes(began));
    } catch (error) {
      if (run === this.run && reader !== this.readers.distant) { this.fallBack(error); return; }
      console.warn(error);
    }
    if (run !== this.run) return;
    this.pace.underWay--;
    if (!reply) this.lostServer();
    else if (reply.error) this.refused(reply);
    else this.received(reply, began, picture);
    this.tick();
  }

  fallBack(error) {
    if (this.readers.fallBack(error)) { this.prepare(); return; }
    this.forgetFrames();
    if (!this.paused) this.sayLooking();
  }

  lostServer() {
    this.pace.lost(performance.now());
    if (this.pace.failures > 1) {
      this.panel.say('The connection is lost.', 'Trying again: the camera goes on, and nothing that was read is lost.', 'problem');
    }
  }

  refused(reply) {
    if (reply.error === 'bad_time') return;  // overtaken on its way by a later frame
    const busy = reply.error === 'busy';
    this.pace.refused(performance.now(), busy);
    this.panel.say(busy ? 'Busy.' : 'A frame could not be read.', reply.message, busy ? 'notice' : 'problem');
  }

  received(reply, began, picture) {
    const now = performance.now(), time = (began - this.origin) / 1000;
    this.pace.received(now, began, reply.milliseconds);
    if (time <= this.lastResult) return;
    if (this.lastResult >= 0) this.period = 0.8 * this.period + 0.2 * Math.min(time - this.lastResult, 10);
    this.longest = Math.max(this.longest, this.interval);
    this.lastResult = time;
    if (!this.record.rows.length) this.panel.enableSaving(true);
    this.still.take(picture, reply);
    const {largest} = this.tab.control, rows = this.reading.mainFirst(reply.rows);
    const faces = this.record.add(largest.value ? rows.slice(0, 1) : rows, reply.started);
    this.unsavedSince ??= time;
    this.seenAt = now;
    if (faces.length) { this.current = faces; this.lastFaceTime = now; }
    this.overlay.fit(reply);
    this.overlay.place(faces, reply);
    this.overlay.remove(FACE_GRACE);
    const patience = 1000 * Math.max(1, 2.5 * Math.max(this.interval, this.period));
    if (now - this.lastFaceTime > patience) this.current = [];
    this.reading.show(this.current, now, patience);
    if (this.paused) return;
    this.panel.tell(faces.length, now);
    requestAnimationFrame(() => this.meter.add(began, faces.length));
  }

  // ------------------------------------------------------------------------------------------- what is drawn over time

  // Time of the session in seconds. Runs on between two results, so that the lines glide; stands still when nothing
  // comes.
  get clock() {
    if (this.origin === null) return 0;
    const running = this.camera.stream && !this.paused;
    return this.record.last + (running ? Math.min((performance.now() - this.seenAt) / 1000, 0.5 + this.interval) : 0);
  }

  get lineOptions() { return {gone: Math.max(1.5, 2.5 * Math.max(this.longest, this.period))}; }

  // Where nothing comes any more, nobody knows what the faces show by now.
  forgetStale(now) {
    const patience = STALE + this.interval * 1000;
    this.overlay.remove(patience);
    if (this.current.length && now - this.seenAt > patience) this.showNobody();
  }

  // A frame is asked for only where something moves: for each one the browser goes over the whole page.
  animate(now) {
    const {root} = this.tab, seen = root.offsetParent !== null;
    if (!root.isConnected) return;
    if (seen && this.panel.live) setTimeout(() => requestAnimationFrame(later => this.animate(later)), DRAW_PERIOD);
    else setTimeout(() => this.animate(performance.now()), DRAW_PERIOD);
    if (!seen) return;
    if (!this.paused) this.forgetStale(performance.now());
    this.meter.show(now, Boolean(this.camera.stream), this.interval);
    this.chart.draw(now, this.clock, this.lineOptions);
  }
}
