// Has the camera's frames read on the server: each goes there as a small JPEG, and numbers come back.

const LONGEST_SIDE = 640;     // pixels of the frames sent
const JPEG_QUALITY = 0.8;
const REPLY_TIMEOUT = 10000;  // ms

export class DistantReader {
  most = 3;  // frames under way, so that a distant server costs delay, not rate

  // `server`: the functions of ui/live/tab.py.
  constructor(server) {
    this.server = server;
    this.session = newSession();  // its name on the server
  }

  // What the server says of a frame; nothing where it does not answer in time.
  async read(video, wishes) {
    const session = this.session;  // by the time that the picture is made, another one may have begun
    const request = this.server.detect({image: await pictureOf(video), session, ...wishes});
    return Promise.race([request, new Promise(done => setTimeout(done, REPLY_TIMEOUT))]);
  }

  // The server takes no further frame of the session that is ended.
  leave() {
    this.server.leave(this.session);
    this.session = newSession();
  }

  // The same as the page goes: a request that outlives it. Frames that are read until it is gone must not take a place
  // again, so another session begins only where the page comes back, by the browser's Back.
  leaveForGood() {
    const component = window.gradio_config?.components?.find(one => one.props?.elem_id === 'live');
    if (!component) return;
    const body = {data: this.session, component_id: component.id, fn_name: 'leave', session_hash: 'leaving'};  // Gradio keeps each for a while
    const address = `${window.gradio_config.root || ''}${window.gradio_config.api_prefix || '/gradio_api'}/component_server/`;
    fetch(address, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body), keepalive: true});
    window.addEventListener('pageshow', () => { this.session = newSession(); }, {once: true});
  }
}

function newSession() {
  return window.crypto && crypto.randomUUID ? crypto.randomUUID() : 'page-' + Math.random().toString(36).slice(2) + Date.now();
}

const grab = typeof document === 'undefined' ? null : document.createElement('canvas');

// The video's picture as a data URL.
async function pictureOf(video) {
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
