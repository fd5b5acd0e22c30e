// Reads the camera's frames in the browser: nothing of them leaves it, and no server is asked.

import {Rows} from '../browser/rows.js';

// What runs the networks: the processor, each worker for every other frame, or by WebGPU the graphics chip.
const KINDS = {
  processor: {provider: 'wasm', count: Math.min(2, navigator.hardwareConcurrency || 1)},
  graphics: {provider: 'webgpu', count: 1},
};
const LOADING = 60000;  // ms without a sign of life until the networks are ready
const READING = 20000;  // ms likewise, once they are

export class PrivateReader {
  // `kind`: one of `KINDS`; `how`: what ui/browser/networks.py says; `script`: the worker's.
  constructor(kind, how, script) {
    Object.assign(this, {kind, how, script}, KINDS[kind]);
    this.most = this.count + 1;  // frames under way, so that no worker waits for the next
    this.workers = [];
    this.next = 0;
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

  // Loads the networks if they are not there yet; `onprogress` is called with 0..1. What fails is thrown, here or by
  // `read`.
  load(onprogress) {
    return this.loading ??= this.begin(onprogress).catch(error => { this.close(); throw error; });
  }

  async begin(onprogress) {
    const address = URL.createObjectURL(new Blob([this.script], {type: 'text/javascript'}));
    const root = new URL(`${window.gradio_config?.root || ''}/`, location.href);
    const {runtimes} = this.how, whole = file => ({...file, address: new URL(file.address, root).href});
    const files = Object.fromEntries(Object.entries({...runtimes[this.kind], ...this.how.files}).map(([name, file]) =>
      [name, whole(file)]));
    const kept = [...Object.values(runtimes).flatMap(Object.values).map(whole), ...Object.values(files)].map(file => file.address);
    const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
    // One after the other: what the first has fetched, the next finds in the browser's cache.
    for (let i = 0; i < this.count; i++) {
      const hired = new Hired(address, loaded => { if (i === 0) onprogress(loaded / bytes); });
      this.workers.push(hired);
      const ready = hired.ask({load: {...this.how, files, kept, provider: this.provider}});
      if (i === 0) await ready; else ready.catch(() => this.dismiss(hired));
    }
  }

  dismiss(hired) {
    hired.end();
    this.workers = this.workers.filter(one => one !== hired);
  }

  close() {
    for (const one of this.workers) one.end();
    this.workers = [];
    this.loading = null;
  }

  // Faces are counted anew.
  leave() {
    this.rows = new Rows(this.how);
    this.started = Math.random();
    this.before = Promise.resolve();  // a face's means take its frames in order
  }

  async read(video, wishes) {
    const {rows, started, before} = this, ready = this.workers.filter(one => one.ready);
    const hired = ready[this.next++ % ready.length];
    const reading = createImageBitmap(video).then(frame => hired.ask({frame}, [frame]));
    const done = Promise.all([reading, before]);
    this.before = done.then(() => {}, () => {});
    const [{faces, width, height, milliseconds}] = await done;
    return {rows: rows.of(faces, wishes), started, width, height, milliseconds: milliseconds / ready.length};
  }
}

// A worker and the promises of what it was asked, in order.
class Hired {
  constructor(address, onprogress) {
    this.waiting = [];
    this.ready = false;
    this.worker = new Worker(address);
    this.worker.onmessage = ({data}) => {
      if ('loaded' in data) { this.listen(); onprogress(data.loaded); return; }
      const {resolve, reject} = this.waiting.shift();
      if (data.failed) { reject(new Error(data.failed)); return; }
      this.ready ||= Boolean(data.ready);
      this.listen();
      resolve(data);
    };
    this.worker.onerror = event => { event.preventDefault?.(); this.end(event.message || 'the worker ended'); };
  }

  ask(message, transfer = []) {
    return new Promise((resolve, reject) => {
      this.waiting.push({resolve, reject});
      if (this.waiting.length === 1) this.listen();
      this.worker.postMessage(message, transfer);
    });
  }

  // A worker that the browser took away says nothing: it is waited for, but not for ever.
  listen() {
    clearTimeout(this.silence);
    if (!this.waiting.length) return;
    this.silence = setTimeout(() => this.end(this.ready ? 'no answer' : 'the networks did not come'), this.ready ? READING : LOADING);
  }

  end(reason = 'closed') {
    clearTimeout(this.silence);
    this.worker.terminate();
    for (const {reject} of this.waiting.splice(0)) reject(new Error(reason));
  }
}
