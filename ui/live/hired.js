// A worker and the promises of what it was asked, in order; and whether it still is as fast as it was.

const LOADING = 60000;  // ms without a sign of life until the networks are ready
const READING = 20000;  // ms likewise, once they are
const LATE = 2000;      // ms after which a timer says nothing of the worker: the page slept, and so did the worker
const SOME = 50;        // frames from which on a mean says something
const SLOWER = 1.5;     // times what it once took

export class Hired {
  constructor(address, onprogress) {
    this.waiting = [];
    this.ready = false;
    this.retiring = false;
    this.times = new Map();  // by the number of faces: {frames, mean, least} in ms
    this.now = 0;            // the mean of frames like the last one
    this.before = 0;         // what those took whose place this one has; 0 once that has been compared
    this.worker = new Worker(address);
    this.worker.onmessage = ({data}) => {
      if ('loaded' in data) { this.listen(); onprogress(data.loaded); return; }
      const {resolve, reject} = this.waiting.shift();
      this.ready ||= Boolean(data.ready);
      this.listen();
      if (data.failed) reject(new Error(data.failed)); else resolve(data);
      if (this.retiring) this.retire();
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

  took(faces, milliseconds) {
    const known = this.times.get(faces) ?? {frames: 0, mean: milliseconds, least: Infinity};
    this.times.set(faces, known);
    known.frames++;
    known.mean += (milliseconds - known.mean) * 0.05;
    if (known.frames >= SOME) known.least = Math.min(known.least, known.mean);
    this.now = known.mean;
    this.slower = known.mean > SLOWER * known.least;
    this.noBetter = this.before > 0 && known.frames === SOME && known.mean > this.before / SLOWER;
    if (known.frames === SOME) this.before = 0;
  }

  // Ends as soon as it has answered.
  retire() {
    this.retiring = true;
    if (!this.waiting.length) this.end();
  }

  // A worker that the browser took away says nothing: it is waited for, but not for ever.
  listen() {
    clearTimeout(this.silence);
    if (!this.waiting.length) return;
    const wait = this.ready ? READING : LOADING, due = performance.now() + wait;
    this.silence = setTimeout(() => {
      if (performance.now() > due + LATE) this.listen();
      else this.end(this.ready ? 'no answer' : 'the networks did not come');
    }, wait);
  }

  end(reason = 'closed') {
    clearTimeout(this.silence);
    this.ready = false;
    this.worker.terminate();
    for (const {reject} of this.waiting.splice(0)) reject(new Error(reason));
  }
}
