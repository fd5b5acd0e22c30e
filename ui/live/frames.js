// Frames on their way: when the next one is due, its picture as a small JPEG, and what became of the reply.

const LONGEST_SIDE = 640;     // pixels of the frames sent
const JPEG_QUALITY = 0.8;
const MAX_UNDER_WAY = 3;      // frames at a time, so that a distant server costs delay, not rate
const LONG_DELAY = 400;       // ms; from here on the server is busy rather than far away: one frame at a time
const MIN_PERIOD = 1000 / 30; // ms between frames: no camera is much faster
const REPLY_TIMEOUT = 10000;  // ms
const RETRY_BUSY = 3000;      // ms
const RETRY = 1000;           // ms

// How fast frames are sent, by what replies said. Times in ms.
export class Pace {
  constructor() {
    this.underWay = 0;
    this.lastSent = -Infinity;
    this.notBefore = 0;
    this.failures = 0;
    this.work = 40;           // that the server takes for a frame
    this.delay = 100;         // until a frame's reply is here
  }

  restart() { this.underWay = 0; this.failures = 0; this.notBefore = 0; }

  // At least so much between two frames, where `interval` seconds are asked for.
  between(interval) { return Math.max(interval * 1000, MIN_PERIOD, this.work); }

  // How long until the next frame may go; Infinity where a reply has to come first.
  wait(now, interval) {
    if (this.underWay >= (this.delay > LONG_DELAY ? 1 : MAX_UNDER_WAY)) return Infinity;
    return Math.max(this.lastSent + this.between(interval), this.notBefore) - now;
  }

  sent(now) { this.lastSent = now; this.underWay++; }

  lost(now) { this.failures++; this.notBefore = now + Math.min(5000, 500 * 2 ** this.failures); }

  refused(now, busy) { this.notBefore = now + (busy ? RETRY_BUSY : RETRY); }

  received(now, began, work) {
    this.work = 0.8 * this.work + 0.2 * work;
    this.delay = 0.8 * this.delay + 0.2 * (now - began);
    this.failures = 0;
  }
}

const grab = typeof document === 'undefined' ? null : document.createElement('canvas');

// The video's picture as a data URL.
export async function pictureOf(video) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(video.videoWidth, video.videoHeight));
  grab.width = Math.round(video.videoWidth * scale);
  grab.height = Math.round(video.videoHeight * scale);
  grab.getContext('2d').drawImage(video, 0, 0, grab.width, grab.height);
  const picture = await new Promise(done => grab.toBlob(done, 'image/jpeg', JPEG_QUALITY));
  return new Promise(done => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(picture);
  });
}

// Nothing where no reply came in time.
export async function replyTo(request) {
  return Promise.race([request, new Promise(done => setTimeout(done, REPLY_TIMEOUT))]);
}
