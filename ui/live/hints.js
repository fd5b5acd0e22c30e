// What to do where there is no camera.

const HINTS = {
  Insecure: ['The camera needs a secure page.', 'Open this page over https, or on this computer as http://localhost.'],
  NotAllowedError: ['The camera is blocked.',
    'Allow it by the camera sign beside the address (on a phone in the browser’s settings), then %.'],
  BySystem: ['The camera is blocked.',
    'Allow this browser to use the camera in the device’s privacy settings, then %.'],
  NotFoundError: ['No camera was found.', 'Connect one, then %. Photos and clips are read without one.'],
  OverconstrainedError: ['No camera fits.', 'Connect another one, then %.'],
  NotReadableError: ['The camera is in use.', 'Close the program or the other tab that uses it, then %.'],
};
HINTS.SecurityError = HINTS.NotAllowedError;  // each browser has its own name
HINTS.AbortError = HINTS.NotReadableError;

// Headline and sentence for an error of `getUserMedia`, or of `Camera.open`; `again`: what to do then.
export function hintFor(error, again = 'press “Start camera”') {
  const bySystem = error.name === 'NotAllowedError' && /system/.test(error.message);  // in Chromium's words
  const [headline, detail] = HINTS[bySystem ? 'BySystem' : error.name]
    || ['The camera could not be started.', `${error.message || error.name}. To try once more, %.`];
  return [headline, detail.replace('%', again)];
}
