// Which camera: front, back, or one that is connected; remembered in the browser.

import {FACING, recall, remember} from './remembered.js';

const BACK = /\b(back|rear|environment)\b/i;

export class Cameras {
  // `select`: holds the front and the back camera; `onchange` is called when another one has been chosen; `running`
  // says whether a camera is open.
  constructor(select, onchange, running) {
    this.select = select;
    this.recall();
    select.addEventListener('change', () => { this.remember(); onchange(); });
    // One that is plugged in meanwhile; where none is open, names may be kept from us, and with them what was chosen.
    navigator.mediaDevices?.addEventListener('devicechange', () => { if (running()) this.list().catch(() => {}); });
  }

  // The one chosen last, here or in Photo or Video.
  recall() {
    const {select} = this, camera = recall();
    if (!camera) return;
    const there = [...select.options].some(option => option.value === camera.id);
    if (!there) select.append(new Option(camera.name, camera.id));
    select.value = camera.id;
  }

  // What to ask the browser for.
  get wanted() {
    const {value} = this.select;
    return FACING.includes(value) ? {facingMode: value} : {deviceId: {exact: value}};
  }

  // Names are known once a camera has been allowed: then each connected one can be chosen.
  async list() {
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter(one => one.kind === 'videoinput' && one.label);
    const {value} = this.select;
    for (const option of [...this.select.options]) if (!FACING.includes(option.value)) option.remove();
    if (devices.length > 1) for (const one of devices) this.select.append(new Option(one.label, one.deviceId));
    this.select.value = [...this.select.options].some(option => option.value === value) ? value : FACING[0];
  }

  // One that is not found by its id gives way to the front camera; returns its name, or null if it was none by id.
  forget() {
    if (FACING.includes(this.select.value)) return null;
    const [option] = this.select.selectedOptions;
    option.remove();
    this.select.value = FACING[0];
    return option.text;
  }

  // Chooses the one of that name, which has got another id; returns whether it is there. One that is not may be plugged
  // in again: it stays remembered.
  choose(name) {
    const found = [...this.select.options].find(option => option.text === name);
    if (!found) return false;
    this.select.value = found.value;
    this.remember();
    return true;
  }

  remember() {
    const {value, selectedOptions} = this.select;
    remember({id: value, name: selectedOptions[0].text});
  }
}

// Whether a camera looks away from whoever holds it: then its picture is no mirror.
export function looksAway(track) {
  const {facingMode} = track.getSettings();
  return facingMode ? facingMode === 'environment' : BACK.test(track.label);
}
