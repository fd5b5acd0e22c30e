// Gradio's own camera, in Photo and Video: it begins with the one chosen last, and which one is chosen there is kept.

import {FACING, recall, remember} from './live/remembered.js';

// Gradio asks for a named device where a visitor chose one from its list, and for none where the camera is opened. The
// Live tab says a frame rate and which camera each time, and stops its own stream: what it asks for stays as it is. While
// it is out of sight it gives its camera up for this one.
export function keepChoice(devices) {
  if (!devices || !devices.getUserMedia) return;  // a page without https
  const open = devices.getUserMedia.bind(devices);
  let shown = null;
  devices.getUserMedia = async constraints => {
    const {video} = constraints;
    if (!video || video.frameRate) return open(constraints);
    document.dispatchEvent(new Event('camera-wanted'));
    const chosen = video.deviceId;
    if (chosen && shown) stop(shown);  // phones open one camera at a time
    shown = chosen ? await open(constraints) : await openLast(devices, open, constraints);
    const [track] = shown.getVideoTracks();
    if (chosen) remember({id: track.getSettings().deviceId, name: track.label});
    return shown;
  };
}

// The camera chosen last; one that is gone gives way to any other.
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
  const again = (await devices.enumerateDevices()).find(device => device.label === camera.name);
  if (!again) return any;
  stop(any);
  return ask({deviceId: {exact: again.deviceId}});  // some browsers give their cameras new ids each time
}

function stop(stream) {
  stream.getVideoTracks().forEach(track => track.stop());
}
