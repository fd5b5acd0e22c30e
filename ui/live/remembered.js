// The camera chosen last, kept in the browser: {id: 'user', 'environment' or a device's id, name: what people read}.

const REMEMBERED = 'emotion-lens-camera';
export const FACING = ['user', 'environment'];

export function recall() {
  try {
    const camera = JSON.parse(localStorage.getItem(REMEMBERED));
    return camera && camera.id && camera.name ? camera : null;
  } catch { return null; }
}

export function remember(camera) {
  try {
    localStorage.setItem(REMEMBERED, JSON.stringify(camera));
  } catch { /* a browser that keeps nothing: it is the front camera again next time */ }
}
