// Reads the camera's frames in the browser: nothing of them leaves it, and no server is asked.

import {Rows} from '../browser/rows.js';
import {Hired} from './hired.js';

// What runs the networks: the processor, each worker for every other frame, or by WebGPU the graphics chip.
const KINDS = {
  processor: {provider: 'wasm', count: Math.min(2, navigator.hardwareConcurrency || 1)},
  graphics: {provider: 'webgpu', count: 1},
};
const AGAIN = 5000;     // ms from one worker's relief to the next
const IN_VAIN = 300000;  // ms likewise, after one that did not help
const TOO_MANY = 5;      // frames that fail one after the other: then reading does

export class PrivateReader {
  // `kind`: one of `KINDS`; `how`: what ui/browser/networks.py says; `script`: the worker's.
  constructor(kind, how, script) {
    Object.assign(this, {kind, how, script}, KINDS[kind]);
    this.most = this.count + 1;  // frames under way, so that no worker waits for the next
    this.workers = [];
    this.next = 0;
    this.relief = null;    // a worker that is to take another's place, as soon as it is ready
    this.notBefore = 0;
    this.leave();
  }

  static get possible() {
    return Boolean(window.Worker && window.WebAssembly && window.OffscreenCanvas && window.createImageBitmap
      && window.crypto?.subtle);
  }

  // Whether there is a graphics chip that WebGPU can use.
  static async graphics() {
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
    return Boolean(adapter && !(adapter.info ?? adapter).isFallbackAdapter);
  }

  // Loads the networks if they are not there yet; `onprogress` is called with 0..1 and with how many bytes they have.
  // What fails for good is thrown, here or by `read`.
  load(onprogress) {
    this.onprogress = onprogress;  // whoever asked last is told
    return this.loading ??= this.begin().catch(error => { this.close(); throw error; });
  }

  async begin() {
    this.address ??= URL.createObjectURL(new Blob([this.script], {type: 'text/javascript'}));
    const root = new URL(`${window.gradio_config?.root || ''}/`, location.href);
    const {runtimes} = this.how, whole = file => ({...file, address: new URL(file.address, root).href});
    const files = Object.fromEntries(Object.entries({...runtimes[this.kind], ...this.how.files}).map(([name, file]) =>
      [name, whole(file)]));
    const kept = [...Object.values(runtimes).flatMap(Object.values).map(whole), ...Object.values(files)].map(file => file.address);
    const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
    this.order = {...this.how, files, kept, provider: this.provider};
    this.failures = 0;  // frames that failed, one after the other
    // One after the other: what the first has fetched, the next finds in the browser's cache.
    for (let i = 0; i < this.count; i++) {
      const hired = new Hired(this.address, loaded => { if (i === 0) this.onprogress(loaded / bytes, bytes); });
      this.workers.push(hired);
      const ready = hired.ask({load: this.order});
      if (i === 0) await ready; else ready.catch(() => hired.end());
    }
  }

  close() {
    for (const one of this.workers) one.end();
    this.relief?.end();
    this.relief = null;
    this.workers = [];
    this.loading = null;
  }

  // A worker can become slower for good: after a thousand frames or so Chromium compiles parts of the runtime anew, and
  // they take three times as long. One that begins from scratch then takes its place.
  async relieve(tired) {
    const relief = this.relief = new Hired(this.address, () => {});
    const ready = await relief.ask({load: this.order, anew: true}).then(() => true, () => false);
    if (this.relief !== relief) return;  // all were sent away meanwhile
    this.relief = null;
    if (!ready) {
      relief.end();
      this.notBefore = Infinity;  // those who are there go on
      return;
    }
    relief.before = tired.now;
    this.workers = this.workers.map(one => one === tired ? relief : one);
    tired.retire();
    this.notBefore = performance.now() + AGAIN;
  }

  // `hired` has read a frame with so many faces.
  took(hired, faces, milliseconds) {
    hired.took(faces, milliseconds);
    const now = performance.now();
    if (hired.noBetter) this.notBefore = Math.max(this.notBefore, now + IN_VAIN);  // it is the machine that is slower
    if (hired.slower && !this.relief && now > this.notBefore && this.workers.includes(hired)) this.relieve(hired);
  }

  // Faces are counted anew.
  leave() {
    this.rows = new Rows(this.how);
    this.started = Math.random();
    this.before = Promise.resolve();  // a face's means take its frames in order
  }

  async read(video, wishes) {
    const {rows, started, before} = this;
    let ready, hired;
    const reading = createImageBitmap(video).then(frame => {
      ready = this.team;  // now: one that was ready before may have been relieved
      if (!ready.length) throw new Error('the workers ended');
      hired = ready[this.next++ % ready.length];
      return hired.ask({frame}, [frame]);
    });
    const done = Promise.allSettled([reading, before]);
    this.before = done.then(() => {});  // those after it wait for both, also where it fails at once
    const [{value, reason}] = await done;
    if (!value) return this.passOver(reason);
    const {faces, width, height, milliseconds} = value;
    this.failures = 0;
    this.took(hired, faces.length, milliseconds);
    return {rows: rows.of(faces, wishes), started, width, height, milliseconds: milliseconds / ready.length};
  }

  // A frame failed, and with it maybe its worker: while another worker is there, the next frames may do better.
  passOver(error) {
    if (!this.team.length || ++this.failures >= TOO_MANY) throw error;
    console.warn(error);
    return {error: 'failed', message: 'Trying again.'};
  }

  // The workers that can be asked.
  get team() { return this.workers.filter(one => one.ready); }
}
