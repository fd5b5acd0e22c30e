// Gradio's own camera, in Photo and Video: it begins with the one chosen last, which one is chosen there is kept, and
// it is on only while it can be seen, or records.

import {hintFor} from './live/hints.js';
import {FACING, recall, remember} from './live/remembered.js';

const STATUSES = ['status', 'video-status', 'looks'];  // of the tabs with such a camera

// Gradio asks for a named device where a visitor chose one from its list, and for none where the camera is opened. The
// Live tab says a frame rate and which camera each time, and stops its own stream: what it asks for stays as it is. While
// it is out of sight it gives its camera up for this one.
export function keepChoice(devices) {
  if (!devices || !devices.getUserMedia) return;  // a page without https
  const open = devices.getUserMedia.bind(devices);
  const shown = new Map();    // the stream of each place, and what it is to be
  const opening = new Set();  // those of them that are about to have their camera back
  devices.getUserMedia = async constraints => {
    const {video} = constraints;
    if (!video) return open(constraints);
    for (const stream of shown.keys()) {
      release(stream);  // phones open one camera at a time
      if (!placeOf(stream)) shown.delete(stream);
    }
    if (video.frameRate) return open(constraints);
    document.dispatchEvent(new Event('camera-wanted'));
    const chosen = video.deviceId, asking = statusInSight();
    let stream;
    try {
      stream = chosen ? await open(constraints) : await openLast(devices, open, constraints);
    } catch (error) {
      tell(error, asking);
      throw error;
    }
    takeBack();
    shown.set(stream, constraints);
    const [track] = stream.getVideoTracks();
    if (chosen) remember({id: track.getSettings().deviceId, name: track.label});
    setTimeout(followAll);  // Gradio has put it in its place by then, if that is still there
    return stream;
  };
  // Behind another tab it is off, so that Live can have it, unless it records. Whoever comes back finds it on, in the
  // stream that Gradio has.
  document.addEventListener('tab-changed', followAll);

  function followAll() { for (const stream of shown.keys()) follow(stream); }

  async function follow(stream) {
    const place = placeOf(stream);
    if (!place) { stop(stream); shown.delete(stream); return; }  // Gradio has taken it away
    if (hidden(place)) { if (!recorder(place)) stop(stream); return; }
    if (opening.has(stream) || stream.getTracks().some(track => track.readyState === 'live')) return;
    if ([...shown.keys()].some(one => recorder(placeOf(one)))) return;  // it would end where another camera opens
    opening.add(stream);
    const fresh = await devices.getUserMedia(shown.get(stream)).catch(() => null);  // what was wrong is said by then
    opening.delete(stream);
    if (!fresh) return;
    shown.delete(fresh);
    if (placeOf(stream) !== place || hidden(place)) { stop(fresh); return; }
    stream.getTracks().forEach(track => stream.removeTrack(track));
    fresh.getTracks().forEach(track => stream.addTrack(track));
    place.srcObject = stream;
    await place.play();
  }
}

// The camera chosen last; one that is gone, or in use, gives way to any other.
async function openLast(devices, open, constraints) {
  const camera = recall();
  const ask = which => open({...constraints, video: {...constraints.video, ...which}});
  if (!camera) return ask({});
  if (FACING.includes(camera.id)) return ask({facingMode: camera.id});
  try {
    return await ask({deviceId: {exact: camera.id}});
  } catch (error) {
    if (error.name === 'NotAllowedError') throw error;
  }
  const any = await ask({});
  // Some browsers give their cameras new ids each time.
  const again = (await devices.enumerateDevices()).find(one => one.label === camera.name && one.deviceId !== camera.id);
  if (!again) return any;
  stop(any);
  return ask({deviceId: {exact: again.deviceId}}).catch(() => ask({}));
}

function placeOf(stream) {
  return stream && [...document.querySelectorAll('video')].find(one => one.srcObject === stream);
}

// Whether it lies behind another tab.
function hidden(place) { return place.closest('[role=tabpanel]')?.offsetParent === null; }

// Gradio's button that ends a recording, while there is one.
function recorder(place) { return place?.closest('[role=tabpanel]')?.querySelector('[title="stop recording"]'); }

// What has been recorded is kept.
function release(stream) {
  recorder(placeOf(stream))?.click();
  stop(stream);
}

function stop(stream) {
  stream.getTracks().forEach(track => track.stop());
}

let told = null;  // what the status of a tab says of the camera, and what it said before

// Where the tab that is seen says how things are, if it has such a camera.
function statusInSight() { return STATUSES.map(id => document.getElementById(id)).find(one => one?.offsetParent); }

// Gradio says nothing of a camera that cannot be opened. `asking`: the status of the tab that asked for it, and may lie
// behind another one by now.
function tell(error, asking) {
  takeBack();
  const status = asking?.querySelector('.status');
  if (!status) return;
  told = {status, before: [status.className, status.innerHTML]};
  const parts = hintFor(error, 'try once more').map((text, i) => {
    return Object.assign(document.createElement(i ? 'span' : 'strong'), {textContent: text});
  });
  status.className = 'status problem';
  status.replaceChildren(...parts);
  told.text = status.textContent;
}

function takeBack() {
  if (told && told.status.textContent === told.text) [told.status.className, told.status.innerHTML] = told.before;
  told = null;
}
