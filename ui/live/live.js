// The Live tab: runs once with `element` (the component) and `server` (the functions of ui/live.py).
// The camera's video plays here at its own speed. Small JPEGs of it go to server.detect; the numbers that come back are
// drawn over the video, into the card of the main face and into the timeline, and are kept for the export.

const root = element.querySelector('.live');
const settings = JSON.parse(root.dataset.settings);
const labels = Object.fromEntries(settings.labels.map(label => [label.name, label]));
const emotions = settings.labels.map(label => label.name);
const at = Object.fromEntries(settings.columns.map((name, i) => [name, i]));  // place of a value in a row

const LONGEST_SIDE = 640;     // pixels of the frames sent
const JPEG_QUALITY = 0.8;
const MAX_UNDER_WAY = 3;      // frames at a time, so that a distant server costs delay, not rate
const LONG_DELAY = 400;       // ms; from here on the server is busy rather than far away: one frame at a time
const MIN_PERIOD = 1000 / 30; // ms between frames: no camera is much faster
const REPLY_TIMEOUT = 10000;  // ms
const RETRY_BUSY = 3000;      // ms
const FACE_GRACE = 400;       // ms that a box stays when frames miss the face
const STALE = 3000;           // ms that it stays when no results come at all
const DRAW_PERIOD = 125;      // ms between two drawings of the timeline
const ANNOUNCE_PERIOD = 3000; // ms between announcements to screen readers
const MAX_ROWS = 200000;      // kept for the export: hours

const $ = selector => root.querySelector(selector);
const stage = $('.stage'), video = $('video'), boxes = $('.boxes'), meter = $('.meter'), cover = $('.cover');
const canvas = $('canvas'), status = $('.live-status'), announcer = $('.announcer');
const button = Object.fromEntries(['start', 'stop', 'pause', 'mirror', 'snapshot', 'csv', 'json', 'picture', 'clear']
  .map(name => [name, $('.button.' + name)]));
const control = Object.fromEntries(['interval', 'largest', 'smoothing', 'view', 'chosen'].map(name => [name, $('.' + name)]));
const bars = Object.fromEntries(emotions.map((name, i) => [name, root.querySelectorAll('.live-bars li')[i]]));
const pictures = Object.fromEntries(settings.labels.map(label => {
  const image = new Image();
  image.src = label.picture;
  return [label.name, image];
}));

let session = newSession();   // name of this page's session on the server
let run = 0;                  // counts up with each start, stop and clear, so that late replies are known as such
let stream = null, paused = false, starting = false;
let underWay = 0, lastSent = -Infinity, notBefore = 0, failures = 0, work = 40, delay = 100, period = 0.1, timer = 0;
let origin = null;            // performance.now() at time 0 of the session
let rows = [], frame = 0, dropped = 0, cleared = null;
let serverSession = null, idOffset = 0, highestId = 0;
let current = [];             // rows of the newest frame with faces
let seenAt = 0, lastFaceTime = 0, lastResult = -1;
let replies = [];             // [when, delay] of the last seconds, for the meter
const shownBoxes = new Map(); // face id -> {element, seen}

// ---------------------------------------------------------------------------------------------------- camera

async function start() {
  if (starting || stream) return;
  starting = true;
  button.start.disabled = true;
  say('Waiting for the camera.', 'Allow it if the browser asks.');
  try {
    if (!window.isSecureContext || !navigator.mediaDevices) throw {name: 'Insecure'};
    const wanted = {width: {ideal: 640}, height: {ideal: 480}, frameRate: {ideal: 30}, facingMode: 'user'};
    const opened = await navigator.mediaDevices.getUserMedia({video: wanted, audio: false});
    if (!root.isConnected) { opened.getTracks().forEach(track => track.stop()); return; }
    stream = opened;
    stream.getVideoTracks()[0].addEventListener('ended', () => { if (stream === opened) lostCamera(); });
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    closeCamera();
    hint(error);
    return;
  } finally {
    starting = false;
    button.start.disabled = false;
  }
  run++;
  paused = false;
  if (origin === null) origin = performance.now();
  underWay = 0; failures = 0; notBefore = 0; lastFaceTime = performance.now();
  setState('live');
  say('Looking for faces.', '');
  tick();
}

function closeCamera() {
  if (stream) stream.getTracks().forEach(track => track.stop());
  stream = null;
  video.srcObject = null;
}

function stop() {
  run++;
  closeCamera();
  server.leave(session);
  session = newSession();  // the server takes no frame of the one that was ended
  removeBoxes(-1);
  replies = [];
  setState('off');
  say('Camera off.', rows.length ? 'What was read is kept: save it, or start again.' : 'Press “Start camera” and allow it in the browser.', 'quiet');
}

function lostCamera() {
  stop();
  say('The camera is gone.', 'It was unplugged, or its permission was taken back. Plug it in and press “Start camera”.', 'problem');
}

function hint(error) {
  const hints = {
    Insecure: ['The camera needs a secure page.', 'Open this page over https, or on this computer as http://localhost.'],
    NotAllowedError: ['The camera is blocked.', 'Allow it by the camera sign beside the address (on a phone in the browser’s settings), then press “Start camera”.'],
    NotFoundError: ['No camera was found.', 'Connect one, then press “Start camera”. Photos can be read in the Photo tab.'],
    OverconstrainedError: ['No camera fits.', 'Connect another one, then press “Start camera”.'],
    NotReadableError: ['The camera is in use.', 'Close the program or the other tab that uses it, then press “Start camera”.'],
  };
  hints.SecurityError = hints.NotAllowedError;
  hints.AbortError = hints.TrackStartError = hints.NotReadableError;
  hints.DevicesNotFoundError = hints.NotFoundError;
  setState('off');
  say(...(hints[error.name] || ['The camera could not be started.', `${error.message || error.name}. Try once more.`]), 'problem');
  waitingFor = error.name;
}

// Whoever plugs a camera in, or allows it, after having pressed the button need not press it again.
let waitingFor = null;
if (navigator.mediaDevices) navigator.mediaDevices.addEventListener('devicechange', () => {
  if (waitingFor === 'NotFoundError' && !stream) { waitingFor = null; start(); }
});
if (navigator.permissions) navigator.permissions.query({name: 'camera'}).then(permission => {
  permission.addEventListener('change', () => {
    if (permission.state === 'granted' && waitingFor === 'NotAllowedError' && !stream) { waitingFor = null; start(); }
  });
}).catch(() => {});  // a browser that does not know the question

// ---------------------------------------------------------------------------------------------------- frames

const grab = document.createElement('canvas');

function asleep() { return paused || document.hidden || root.offsetParent === null || !video.videoWidth; }

function tick() {
  clearTimeout(timer);
  if (!stream) return;
  if (!root.isConnected) { stop(); return; }
  if (asleep()) { timer = setTimeout(tick, 200); return; }
  if (underWay >= (delay > LONG_DELAY ? 1 : MAX_UNDER_WAY)) return;  // the next reply calls again
  const pace = Math.max(control.interval.value * 1000, MIN_PERIOD, work);
  const wait = Math.max(lastSent + pace, notBefore) - performance.now();
  if (wait > 1) { timer = setTimeout(tick, wait); return; }
  send();
  timer = setTimeout(tick, pace);
}

async function send() {
  const mine = run, began = performance.now();
  lastSent = began;
  underWay++;
  let reply;
  try {
    const scale = Math.min(1, LONGEST_SIDE / Math.max(video.videoWidth, video.videoHeight));
    grab.width = Math.round(video.videoWidth * scale);
    grab.height = Math.round(video.videoHeight * scale);
    grab.getContext('2d').drawImage(video, 0, 0, grab.width, grab.height);
    const picture = await new Promise(done => grab.toBlob(done, 'image/jpeg', JPEG_QUALITY));
    const image = await new Promise(done => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.readAsDataURL(picture);
    });
    const request = server.detect({image, session, time: (began - origin) / 1000,
      smoothing: Number(control.smoothing.value), largest: Boolean(control.largest.value)});
    reply = await Promise.race([request, new Promise(done => setTimeout(done, REPLY_TIMEOUT))]);
  } catch (error) {
    console.warn(error);
  }
  if (mine !== run) return;
  underWay--;
  if (!reply) lostServer();
  else if (reply.error) refused(reply);
  else received(reply, began);
  tick();
}

function lostServer() {
  failures++;
  notBefore = performance.now() + Math.min(5000, 500 * 2 ** failures);
  if (failures > 1) say('The connection is lost.', 'Trying again: the camera goes on, and nothing that was read is lost.', 'problem');
}

function refused(reply) {
  if (reply.error === 'bad_time') return;  // overtaken on its way by a later frame
  notBefore = performance.now() + (reply.error === 'busy' ? RETRY_BUSY : 1000);
  say(reply.error === 'busy' ? 'Busy.' : 'A frame could not be read.', reply.message, reply.error === 'busy' ? 'notice' : 'problem');
}

function received(reply, began) {
  const now = performance.now(), time = (began - origin) / 1000;
  work = 0.8 * work + 0.2 * reply.milliseconds;
  delay = 0.8 * delay + 0.2 * (now - began);
  failures = 0;
  if (time <= lastResult) return;
  if (lastResult >= 0) period = 0.8 * period + 0.2 * Math.min(time - lastResult, 10);
  lastResult = time;
  if (reply.started !== serverSession) { serverSession = reply.started; idOffset = highestId; }  // the server began anew
  const fresh = reply.rows;
  for (const row of fresh) {
    row[at.frame] = frame;
    if (row[at.face_id] === null) continue;
    row[at.face_id] += idOffset;
    highestId = Math.max(highestId, row[at.face_id]);
  }
  frame++;
  if (!rows.length) enableSaving(true);
  rows.push(...fresh);
  if (rows.length > MAX_ROWS) dropped += rows.splice(0, MAX_ROWS / 10).length;
  seenAt = now;
  const faces = fresh.filter(row => row[at.face_id] !== null);
  if (faces.length) { current = faces; lastFaceTime = now; }
  if (stage.style.aspectRatio !== `${reply.width} / ${reply.height}`) fit(reply);
  placeBoxes(faces, reply);
  showMain(now);
  const alone = faces.length === 1 ? '1 face' : `${faces.length} faces`;
  if (paused) return;
  if (faces.length) say(alone + ' followed.', dropped ? 'The session is very long: its oldest rows have been dropped.' : '');
  else if (now - lastFaceTime > 1500) say('No face in the picture.', 'Come closer, face the camera, or turn on a light.', 'quiet');
  requestAnimationFrame(() => {
    const painted = performance.now();
    replies.push([painted, painted - began]);
    replies = replies.filter(([when]) => painted - when < 3000);
    performance.measure('live-result', {start: began, end: painted, detail: {faces: faces.length}});
    performance.clearMeasures('live-result');  // observers have it; the browser would keep it for ever
  });
}

// ---------------------------------------------------------------------------------------------------- overlay

function mirrored() { return button.mirror.getAttribute('aria-pressed') === 'true'; }
function faceColour(id) { return settings.colours[(id - 1) % settings.colours.length]; }
function word(name) { return name[0].toUpperCase() + name.slice(1); }
function percent(value) { return Math.round(value * 100) + '%'; }

function fit(size) {
  stage.style.aspectRatio = `${size.width} / ${size.height}`;
  stage.style.setProperty('--ratio', size.width / size.height);
}

function placeBoxes(faces, size) {
  const now = performance.now();
  for (const row of faces) {
    const id = row[at.face_id], emotion = row[at.emotion];
    let shown = shownBoxes.get(id);
    if (!shown) {
      const box = document.createElement('div');
      box.className = 'face-box';
      box.dataset.faceId = id;
      box.style.setProperty('--face', faceColour(id));
      box.innerHTML = '<div class="tag"><img alt=""><span></span></div>';
      box.addEventListener('click', () => choose(id));
      boxes.append(box);
      shown = {box};
      shownBoxes.set(id, shown);
      offerFace(id);
    }
    const x = mirrored() ? size.width - row[at.x] - row[at.w] : row[at.x];
    shown.box.style.left = 100 * x / size.width + '%';
    shown.box.style.top = 100 * row[at.y] / size.height + '%';
    shown.box.style.width = 100 * row[at.w] / size.width + '%';
    shown.box.style.height = 100 * row[at.h] / size.height + '%';
    shown.box.dataset.emotion = emotion;
    const picture = shown.box.querySelector('img');
    if (picture.dataset.emotion !== emotion) { picture.src = labels[emotion].picture; picture.dataset.emotion = emotion; }
    shown.box.querySelector('span').textContent = `${word(emotion)} ${percent(row[at.confidence])}`;
    // The tag stays inside the picture: below the upper edge if need be, and moved in from the sides.
    const wide = stage.clientWidth, scale = wide / size.width, tag = shown.box.firstChild;
    shown.box.classList.toggle('small', row[at.w] * scale < 64 && faces.length > 1);
    shown.box.classList.toggle('low', row[at.y] * scale < tag.offsetHeight + 8);
    const middle = (x + row[at.w] / 2) * scale, half = tag.offsetWidth / 2 + 2;
    tag.style.setProperty('--shift', Math.max(0, half - middle) - Math.max(0, middle + half - wide) + 'px');
    shown.row = row; shown.size = size; shown.seen = now;
  }
  for (const shown of shownBoxes.values()) shown.box.classList.toggle('missed', shown.seen !== now);
  removeBoxes(FACE_GRACE);
}

function removeBoxes(unseenFor) {
  const now = performance.now();
  for (const [id, shown] of shownBoxes) {
    if (now - shown.seen > unseenFor) { shown.box.remove(); shownBoxes.delete(id); }
  }
}

// ---------------------------------------------------------------------------------------------------- main face

let announced = '', announcedAt = -Infinity, mainId = null;

function mainRow() {
  const chosen = Number(control.chosen.value);
  return chosen ? current.find(row => row[at.face_id] === chosen) : current[0];
}

function showMain(now) {
  const row = mainRow(), gone = now - lastFaceTime > 1000 * Math.max(1, 2.5 * Math.max(control.interval.value, period));
  const emoji = $('.big-emoji'), title = $('.reading h3');
  if (!row || gone) {
    if (gone) current = [];
    emoji.dataset.state = 'none';
    title.textContent = control.chosen.value ? 'Not in the picture' : 'No face';
    $('.live-confidence').textContent = '';
    for (const name of emotions) setBar(name, null);
    for (const name of ['intensity', 'valence', 'arousal']) $('.measures .' + name).textContent = '–';
    return;
  }
  const emotion = row[at.emotion];
  mainId = row[at.face_id];
  if (emoji.dataset.state !== emotion) {
    emoji.src = labels[emotion].picture;
    emoji.dataset.state = emotion;
    if (!matchMedia('(prefers-reduced-motion: reduce)').matches) {
      emoji.animate([{scale: 0.6}, {scale: 1.18}, {scale: 1}], {duration: 350, easing: 'ease-out'});
      // It sways for a while, not for ever: a picture that always moves keeps a phone's processor awake.
      emoji.animate([{translate: '0 0', rotate: '0deg'}, {translate: '0 -5px', rotate: '4deg'}, {translate: '0 0', rotate: '0deg'}],
        {duration: 2000, iterations: 4, easing: 'ease-in-out'});
    }
  }
  title.textContent = word(emotion);
  $('.reading .number').textContent = `Face ${mainId}`;
  $('.live-confidence').textContent = percent(row[at.confidence]);
  for (const name of emotions) setBar(name, row[at[name]], name === emotion);
  $('.measures .intensity').textContent = percent(row[at.intensity]);
  for (const name of ['valence', 'arousal']) $('.measures .' + name).textContent = signed(row[at[name]]);
  const sentence = `Face ${mainId}: ${emotion}`;
  if (sentence !== announced && now - announcedAt > ANNOUNCE_PERIOD) {
    announcer.textContent = announced = sentence;
    announcedAt = now;
  }
}

function signed(value) { return (value < 0 ? '−' : '+') + Math.abs(value).toFixed(2); }

function setBar(name, value, top = false) {
  bars[name].classList.toggle('top', top);
  bars[name].querySelector('.fill').style.width = 100 * (value || 0) + '%';
  bars[name].querySelector('.value').textContent = value === null ? '–' : percent(value);
}

function offerFace(id) {
  if ([...control.chosen.options].some(option => Number(option.value) === id)) return;
  control.chosen.append(new Option(`face ${id}`, id));
  // Faces come and go for hours; those that have left the timeline leave the list.
  while (control.chosen.options.length > 40) {
    const oldest = [...control.chosen.options].find(option => option.value && !option.selected);
    oldest.remove();
  }
}

function choose(id) {
  control.chosen.value = id;
  control.view.value = 'face';
}

// ---------------------------------------------------------------------------------------------------- timeline

function shownEmotions() {
  return [...root.querySelectorAll('.chips input')].filter(box => box.checked).map(box => box.value);
}

function clock() {
  if (origin === null) return 0;
  const newest = rows.length ? rows[rows.length - 1][at.time] : 0;
  // Runs on between two results, so that the lines glide; stands still when nothing comes.
  return newest + (stream && !paused ? Math.min((performance.now() - seenAt) / 1000, 0.5 + Number(control.interval.value)) : 0);
}

function firstRow(from) {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][at.time] < from) low = middle + 1; else high = middle;
  }
  return low;
}

function draw(context, width, height, from, to, all) {
  const style = getComputedStyle(root);
  const ink = style.getPropertyValue('--body-text-color').trim() || '#222';
  const soft = style.getPropertyValue('--body-text-color-subdued').trim() || '#777';
  const line = style.getPropertyValue('--block-border-color').trim() || '#ddd';
  const left = 62, right = 18, top = 20, bottom = 22, gap = 18;
  const plotWidth = width - left - right;
  const lower = Math.max(48, (height - top - bottom - gap) * 0.28), upper = height - top - bottom - gap - lower;
  const x = time => left + plotWidth * (time - from) / (to - from);
  const valenceY = value => top + upper + gap + lower * (1 - value) / 2;
  const gone = Math.max(1.5, 2.5 * Math.max(control.interval.value, period));  // seconds without a value that break a line
  const visible = rows.slice(all ? 0 : firstRow(from - gone)).filter(row => row[at.face_id] !== null);
  const byFace = new Map();
  for (const row of visible) {
    if (!byFace.has(row[at.face_id])) byFace.set(row[at.face_id], []);
    byFace.get(row[at.face_id]).push(row);
  }
  context.font = '11px ' + style.fontFamily;
  context.textBaseline = 'middle';
  context.lineJoin = context.lineCap = 'round';
  const text = (value, tx, ty, align = 'left', colour = soft) => {
    context.textAlign = align; context.fillStyle = colour; context.fillText(value, tx, ty);
  };
  const rule = y => { context.beginPath(); context.moveTo(left, y); context.lineTo(width - right, y); context.stroke(); };
  context.lineWidth = 1;
  context.strokeStyle = line;

  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
  const step = steps.find(one => plotWidth * one / (to - from) >= 56) || 7200;
  for (let t = Math.ceil(Math.max(from, 0) / step) * step; t <= to; t += step) {
    context.beginPath(); context.moveTo(x(t), top); context.lineTo(x(t), height - bottom); context.stroke();
    const m = Math.floor(t / 60), s = t % 60;
    text(m ? `${m}:${String(s).padStart(2, '0')}` : `${s} s`, x(t), height - bottom / 2, 'center');
  }
  const faceView = control.view.value === 'face';
  const face = Number(control.chosen.value) || mainId || (byFace.size ? [...byFace.keys()].pop() : null);
  const path = (points, value, y, colour, wide, dash = []) => {
    context.strokeStyle = colour; context.lineWidth = wide; context.setLineDash(dash);
    context.beginPath();
    let last = null;
    for (const row of points) {
      if (last === null || row[at.time] - last > gone) context.moveTo(x(row[at.time]), y(row[value]));
      context.lineTo(x(row[at.time]), y(row[value]));  // a value on its own becomes a dot
      last = row[at.time];
    }
    context.stroke();
    context.setLineDash([]);
  };

  context.save();
  context.strokeStyle = line;
  for (const v of [1, 0, -1]) { rule(valenceY(v)); }
  text('+1', left - 8, valenceY(1) + 3, 'right'); text('−1', left - 8, valenceY(-1) - 3, 'right');
  text('valence', left - 8, valenceY(0), 'right');
  if (faceView) {
    const y = value => top + upper * (1 - value);
    for (const v of [0, 0.5, 1]) { context.strokeStyle = line; rule(y(v)); text(percent(v), left - 8, y(v), 'right'); }
    context.beginPath(); context.rect(left, 0, plotWidth, height); context.clip();
    const points = byFace.get(face) || [];
    for (const name of shownEmotions()) path(points, at[name], y, labels[name].colour, 2);
    path(points, at.valence, valenceY, ink, 1.6);
    if (face) text(`Face ${face}`, left, top - 11, 'left', ink);
  } else {
    const present = [...byFace.keys()].slice(-Math.max(1, Math.floor(upper / 18)));
    const lane = Math.min(34, upper / Math.max(present.length, 1)), shown = new Set(shownEmotions());
    present.forEach((id, i) => {
      const middle = top + lane * (i + 0.5), half = Math.min(9, lane / 2 - 2);
      context.fillStyle = faceColour(id);
      context.beginPath(); context.arc(6, middle, 4, 0, 7); context.fill();
      text(`Face ${id}`, 14, middle, 'left', ink);
    });
    context.beginPath(); context.rect(left, 0, plotWidth, height); context.clip();
    present.forEach((id, i) => {
      const points = byFace.get(id), middle = top + lane * (i + 0.5), half = Math.min(9, lane / 2 - 2);
      for (let start = 0; start < points.length;) {
        let end = start + 1;
        while (end < points.length && points[end][at.emotion] === points[start][at.emotion]
          && points[end][at.time] - points[end - 1][at.time] <= gone) end++;
        const joined = end < points.length && points[end][at.time] - points[end - 1][at.time] <= gone;
        const x0 = x(points[start][at.time]), x1 = Math.max(x0 + 2, x(points[joined ? end : end - 1][at.time]));
        const emotion = points[start][at.emotion];
        context.globalAlpha = shown.has(emotion) ? 1 : 0.15;
        context.fillStyle = labels[emotion].colour;
        context.fillRect(x0, middle - half, x1 - x0, 2 * half);
        if (x1 - x0 > 26) context.drawImage(pictures[emotion], Math.max(x0, left) + 3, middle - half + 1, 2 * half - 2, 2 * half - 2);
        context.globalAlpha = 1;
        start = end;
      }
      path(points, at.valence, valenceY, faceColour(id), 1.6);
    });
  }
  context.restore();
  if (!visible.length) text('The timeline grows with the first face.', left + plotWidth / 2, top + upper / 2, 'center');
}

let drawnAt = 0, describedAt = 0, drawnFor = '';

function animate(now) {
  if (!root.isConnected) return;
  requestAnimationFrame(animate);
  if (now - drawnAt < DRAW_PERIOD || root.offsetParent === null) return;
  drawnAt = now;
  if (!paused) removeBoxes(STALE + control.interval.value * 1000);
  replies = replies.filter(([when]) => now - when < 3000);
  const span = replies.length > 1 ? (replies[replies.length - 1][0] - replies[0][0]) / 1000 : 0;
  const mean = replies.reduce((sum, [, one]) => sum + one, 0) / replies.length;
  meter.hidden = !stream || !span;
  if (span) meter.textContent = `${((replies.length - 1) / span).toFixed(1)} results/s · ${Math.round(mean)} ms`;
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  const end = Math.max(clock(), settings.seconds / 6);  // a young session fills the width sooner
  const span2 = Math.min(settings.seconds, Math.max(end, 10));
  const state = [end.toFixed(2), width, height, ratio, rows.length, control.view.value, control.chosen.value, shownEmotions(),
    document.body.className].join();
  if (state === drawnFor || !width) return;  // nothing has changed: a paused page costs nothing
  drawnFor = state;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  draw(context, width, height, end - span2, end, false);
  canvas.dataset.rows = rows.length;
  if (now - describedAt > 5000) { describedAt = now; canvas.setAttribute('aria-label', describe(end - span2)); }
}

function describe(from) {
  const recent = rows.slice(firstRow(from)).filter(row => row[at.face_id] !== null);
  if (!recent.length) return 'Timeline, empty';
  const count = {};
  for (const row of recent) count[row[at.emotion]] = (count[row[at.emotion]] || 0) + 1;
  const shares = Object.entries(count).sort((a, b) => b[1] - a[1]).slice(0, 3)
    .map(([name, n]) => `${name} ${percent(n / recent.length)}`);
  const faces = new Set(recent.map(row => row[at.face_id])).size;
  return `Timeline of the last ${Math.round(clock() - from)} seconds, ${faces === 1 ? '1 face' : faces + ' faces'}: ${shares.join(', ')}`;
}

// ---------------------------------------------------------------------------------------------------- saving

function stamp() { return new Date().toISOString().slice(0, 19).replace(/[:T]/g, '-'); }

function download(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function saveCsv() {
  const cell = value => value === null ? '' : /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value;
  const lines = [settings.columns, ...rows].map(row => row.map(cell).join(','));
  download(new Blob([lines.join('\n') + '\n'], {type: 'text/csv'}), `emotions-${stamp()}.csv`);
}

function saveJson() {
  const lines = rows.map(row => JSON.stringify(Object.fromEntries(settings.columns.map((name, i) => [name, row[i]]))));
  download(new Blob(['[\n' + lines.join(',\n') + '\n]\n'], {type: 'application/json'}), `emotions-${stamp()}.json`);
}

function savePicture() {
  const width = 1600, height = 640, head = 64, sheet = document.createElement('canvas');
  sheet.width = width;
  sheet.height = height;
  const context = sheet.getContext('2d'), style = getComputedStyle(root);
  context.fillStyle = getComputedStyle($('.timeline')).backgroundColor;
  context.fillRect(0, 0, width, height);
  context.fillStyle = style.getPropertyValue('--body-text-color').trim();
  context.font = '600 20px ' + style.fontFamily;
  context.fillText(`Emotions, ${new Date().toLocaleString()}`, 62, 28);
  context.font = '14px ' + style.fontFamily;
  let x = 62;
  for (const name of shownEmotions()) {
    context.fillStyle = labels[name].colour;
    context.fillRect(x, 43, 12, 12);
    context.fillStyle = style.getPropertyValue('--body-text-color').trim();
    context.fillText(word(name), x + 18, 54);
    x += 44 + context.measureText(word(name)).width;
  }
  context.translate(0, head);
  const first = rows[0][at.time], last = rows[rows.length - 1][at.time];
  draw(context, width, height - head, first, Math.max(last, first + 1), true);
  sheet.toBlob(blob => download(blob, `emotions-${stamp()}.png`), 'image/png');
}

function snapshot() {
  const width = video.videoWidth, height = video.videoHeight, sheet = document.createElement('canvas');
  sheet.width = width;
  sheet.height = height;
  const context = sheet.getContext('2d');
  if (mirrored()) { context.translate(width, 0); context.scale(-1, 1); }
  context.drawImage(video, 0, 0);
  context.setTransform(1, 0, 0, 1, 0, 0);
  for (const [id, {row, size}] of shownBoxes) {
    const scale = width / size.width, w = row[at.w] * scale, h = row[at.h] * scale, y = row[at.y] * scale;
    const x = (mirrored() ? size.width - row[at.x] - row[at.w] : row[at.x]) * scale, unit = Math.max(14, width / 42);
    context.strokeStyle = faceColour(id);
    context.lineWidth = Math.max(2, width / 220);
    context.strokeRect(x, y, w, h);
    context.font = `600 ${unit}px ${getComputedStyle(root).fontFamily}`;
    const text = `${word(row[at.emotion])} ${percent(row[at.confidence])}`;
    const wide = context.measureText(text).width + unit * 2.6, high = unit * 1.7;
    const tx = Math.min(Math.max(0, x + w / 2 - wide / 2), width - wide), ty = y > high + 4 ? y - high - 4 : y + 4;
    context.fillStyle = 'rgba(20, 22, 27, .88)';
    context.beginPath(); context.roundRect(tx, ty, wide, high, high / 2); context.fill();
    context.drawImage(pictures[row[at.emotion]], tx + unit * 0.35, ty + unit * 0.15, unit * 1.4, unit * 1.4);
    context.fillStyle = '#fff';
    context.textBaseline = 'middle';
    context.fillText(text, tx + unit * 2, ty + high / 2);
  }
  sheet.toBlob(blob => download(blob, `snapshot-${stamp()}.png`), 'image/png');
}

// ---------------------------------------------------------------------------------------------------- controls

function newSession() {
  return window.crypto && crypto.randomUUID ? crypto.randomUUID() : 'page-' + Math.random().toString(36).slice(2) + Date.now();
}

function say(headline, detail, kind = '') {
  const [strong, span] = [status.querySelector('strong'), status.querySelector('span')];
  status.className = `status live-status ${kind}`;
  if (strong.textContent !== headline) strong.textContent = headline;  // screen readers speak only what changes
  if (span.textContent !== detail) span.textContent = detail;
}

function setState(state) {
  stage.dataset.state = state;
  cover.hidden = state !== 'off';
  for (const name of ['stop', 'pause', 'snapshot']) button[name].disabled = state === 'off';
  button.pause.setAttribute('aria-pressed', state === 'paused');
  button.pause.textContent = state === 'paused' ? 'Go on' : 'Pause';
  // The button that was pressed is gone: the next useful one takes the focus over.
  const idle = document.activeElement === document.body || cover.contains(document.activeElement);
  if (state === 'off') { button.start.disabled = false; button.start.focus({preventScroll: true}); }
  else if (state === 'live' && idle) button.pause.focus({preventScroll: true});
}

function enableSaving(on) {
  for (const name of ['csv', 'json', 'picture', 'clear']) button[name].disabled = !on;
}

function pause() {
  paused = !paused;
  if (paused) video.pause(); else video.play();
  setState(paused ? 'paused' : 'live');
  if (paused) say('Paused.', 'Nothing is read. “Go on” continues the same timeline.', 'quiet');
  else { lastFaceTime = performance.now(); say('Looking for faces.', ''); tick(); }
}

function clear() {
  if (cleared) {  // the button says Undo
    rows = cleared.rows.concat(rows);
    clearTimeout(cleared.timer);
    forgetCleared();
    enableSaving(rows.length > 0);
    say('The timeline is back.', '');
    return;
  }
  cleared = {rows, timer: setTimeout(forgetCleared, 10000)};
  rows = [];
  dropped = 0;
  button.clear.textContent = 'Undo';
  for (const name of ['csv', 'json', 'picture']) button[name].disabled = true;
  say('Cleared.', 'For ten seconds “Undo” brings the timeline back.');
}

function forgetCleared() {
  cleared = null;
  button.clear.textContent = 'Clear';
  enableSaving(rows.length > 0);
}

button.start.addEventListener('click', start);
button.stop.addEventListener('click', stop);
button.pause.addEventListener('click', pause);
button.snapshot.addEventListener('click', snapshot);
button.csv.addEventListener('click', saveCsv);
button.json.addEventListener('click', saveJson);
button.picture.addEventListener('click', savePicture);
button.clear.addEventListener('click', clear);
button.mirror.addEventListener('click', () => {
  button.mirror.setAttribute('aria-pressed', !mirrored());
  root.classList.toggle('mirrored', mirrored());
  placeBoxes([...shownBoxes.values()].map(shown => shown.row), [...shownBoxes.values()][0]?.size);
});
control.interval.addEventListener('change', tick);
control.smoothing.addEventListener('input', () => {
  const seconds = Number(control.smoothing.value);
  $('.smoothing-value').textContent = seconds ? `${seconds} s` : 'raw';
});
video.addEventListener('loadedmetadata', () => fit({width: video.videoWidth, height: video.videoHeight}));
video.addEventListener('resize', () => video.videoWidth && fit({width: video.videoWidth, height: video.videoHeight}));
document.addEventListener('visibilitychange', tick);
window.addEventListener('pagehide', () => {
  // Frees the place at once; without it the server waits a few seconds.
  const component = window.gradio_config?.components?.find(one => one.props?.elem_id === 'live');
  if (!stream || !component) return;
  const body = {data: session, component_id: component.id, fn_name: 'leave', session_hash: session};
  const address = `${window.gradio_config.root || ''}${window.gradio_config.api_prefix || '/gradio_api'}/component_server/`;
  fetch(address, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body), keepalive: true});
  session = newSession();  // for a page that comes back by the browser's Back
});
root.classList.toggle('mirrored', mirrored());
root.dataset.ready = 'true';
requestAnimationFrame(animate);
