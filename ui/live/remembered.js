// What was chosen last, kept in the browser.

const CAMERA = 'emotion-lens-camera';
export const FACING = ['user', 'environment'];

// The camera: {id: 'user', 'environment' or a device's id, name: what people read}.
export function recall() {
  const camera = recalled(CAMERA);
  return camera && camera.id && camera.name ? camera : null;
}

export function remember(camera) { keep(CAMERA, camera); }

export function recalled(key) {
  try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
}

export function keep(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch { /* a browser that keeps nothing: it is as at first next time */ }
}
