// A worker that reads frames in the browser, so that the page stays smooth. In come {load: how} once, with `anew` for
// code that no other worker has, and {frame} after frame; out go {loaded: bytes}, {ready: true}, {faces, width, height,
// milliseconds} for each frame in order, or {failed: reason}.

import {fetchAll} from './files.js';
import {Namer} from './naming.js';

const LONGEST_SIDE = 640;  // pixels, as in the frames that go to a server

let namer = null;
const canvas = new OffscreenCanvas(1, 1), context = canvas.getContext('2d', {willReadFrequently: true});

async function load(how, anew) {
  const {module, binary, faces, emotions} = how.files;
  const [script, wasm, finding, naming] = await fetchAll([module, binary, faces, emotions], how.kept, loaded => postMessage({loaded}));
  const address = URL.createObjectURL(new Blob([script], {type: 'text/javascript'}));
  const ort = await import(address);
  URL.revokeObjectURL(address);
  ort.env.wasm.numThreads = 1;  // more need headers that a page inside another page does not have
  ort.env.wasm.wasmBinary = anew ? another(wasm) : wasm;
  const session = content => ort.InferenceSession.create(content, {executionProviders: [how.provider], logSeverityLevel: 3});
  namer = new Namer(ort, {faces: await session(finding), emotions: await session(naming)}, how);
  delete ort.env.wasm.wasmBinary;  // compiled by now
  await namer.warmUp(LONGEST_SIDE, LONGEST_SIDE * 3 / 4);
  postMessage({ready: true});
}

// The same module in other bytes, by a section that says nothing: of the same bytes a browser would share what it has
// compiled.
function another(wasm) {
  const name = [...String(Math.random())].map(digit => digit.charCodeAt(0));
  const whole = new Uint8Array(wasm.byteLength + name.length + 3);
  whole.set(wasm);
  whole.set([0, name.length + 1, name.length, ...name], wasm.byteLength);
  return whole;
}

async function read(frame) {
  const began = performance.now(), scale = Math.min(1, LONGEST_SIDE / Math.max(frame.width, frame.height));
  const width = Math.round(frame.width * scale), height = Math.round(frame.height * scale);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height});
  context.drawImage(frame, 0, 0, width, height);
  frame.close();
  const faces = await namer.read(context.getImageData(0, 0, width, height));
  postMessage({faces, width, height, milliseconds: performance.now() - began});
}

let last = Promise.resolve();
onmessage = ({data}) => {
  last = last.then(() => data.load ? load(data.load, data.anew) : read(data.frame))
    .catch(error => postMessage({failed: error.message || String(error)}));
};
