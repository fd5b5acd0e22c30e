// The camera: its stream in the video element, and what to do when there is none.

const WANTED = {width: {ideal: 640}, height: {ideal: 480}, frameRate: {ideal: 30}};
const HINTS = {
  Insecure: ['The camera needs a secure page.', 'Open this page over https, or on this computer as http://localhost.'],
  NotAllowedError: ['The camera is blocked.', 'Allow it by the camera sign beside the address (on a phone in the browser’s settings), then press “Start camera”.'],
  NotFoundError: ['No camera was found.', 'Connect one, then press “Start camera”. Photos can be read in the Photo tab.'],
  OverconstrainedError: ['No camera fits.', 'Connect another one, then press “Start camera”.'],
  NotReadableError: ['The camera is in use.', 'Close the program or the other tab that uses it, then press “Start camera”.'],
};
HINTS.SecurityError = HINTS.NotAllowedError;  // each browser has its own name
HINTS.AbortError = HINTS.TrackStartError = HINTS.NotReadableError;
HINTS.DevicesNotFoundError = HINTS.NotFoundError;

// Headline and sentence for an error of `Camera.open`.
export function hintFor(error) {
  return HINTS[error.name] || ['The camera could not be started.', `${error.message || error.name}. Try once more.`];
}

export class Camera {
  // `onlost` is called when an open camera goes away; `onfound` when one that was missing, or blocked, can be had.
  constructor(video, onlost, onfound) {
    this.video = video;
    this.onlost = onlost;
    this.stream = null;
    this.waitingFor = null;  // name of the error of the last attempt
    this.watch(onfound);
  }

  // `which`: constraints that choose a camera. One that is open already gives way to it.
  async open(which) {
    const before = this.stream;
    this.stream = null;  // that it ends is no loss
    if (before) before.getTracks().forEach(track => track.stop());
    try {
      if (!window.isSecureContext || !navigator.mediaDevices) throw {name: 'Insecure'};
      const opened = await navigator.mediaDevices.getUserMedia({video: {...WANTED, ...which}, audio: false});
      this.stream = opened;
      opened.getVideoTracks()[0].addEventListener('ended', () => { if (this.stream === opened) this.onlost(); });
      this.video.srcObject = opened;
      await this.video.play();
    } catch (error) {
      this.close();
      this.waitingFor = error.name;
      throw error;
    }
  }

  get track() { return this.stream && this.stream.getVideoTracks()[0]; }

  close() {
    if (this.stream) this.stream.getTracks().forEach(track => track.stop());
    this.stream = null;
    this.video.srcObject = null;
  }

  // Whoever plugs a camera in, or allows it, after having pressed the button need not press it again.
  watch(onfound) {
    const found = error => {
      if (this.waitingFor !== error || this.stream) return;
      this.waitingFor = null;
      onfound();
    };
    if (navigator.mediaDevices) navigator.mediaDevices.addEventListener('devicechange', () => found('NotFoundError'));
    if (navigator.permissions) navigator.permissions.query({name: 'camera'}).then(permission => {
      permission.addEventListener('change', () => { if (permission.state === 'granted') found('NotAllowedError'); });
    }).catch(() => {});  // a browser that does not know the question
  }
}
