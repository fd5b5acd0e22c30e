// The camera: its stream in the video element.

export const SUPERSEDED = 'Superseded';  // the name of the error where a camera was closed, or another asked for, meanwhile
const WANTED = {width: {ideal: 640}, height: {ideal: 480}, frameRate: {ideal: 30}};

export class Camera {
  // `onlost` is called when an open camera goes away; `onmuted` when it gives no pictures for a while, and when it does
  // again; `onfound` when one that was missing, or blocked, can be had.
  constructor(video, onlost, onmuted, onfound) {
    Object.assign(this, {video, onlost, onmuted});
    this.stream = null;
    this.waitingFor = null;  // name of the error of the last attempt
    this.turn = 0;           // counts up with each opening and closing
    this.opened = -1;        // the turn whose camera runs
    this.watch(onfound);
  }

  // `which`: constraints that choose a camera. One that is open already gives way to it.
  async open(which) {
    const before = this.stream, turn = ++this.turn;
    this.stream = this.waitingFor = null;  // that it ends is no loss
    end(before);
    let opened = null;
    try {
      if (!window.isSecureContext || !navigator.mediaDevices) throw {name: 'Insecure'};
      opened = await navigator.mediaDevices.getUserMedia({video: {...WANTED, ...which}, audio: false});
      if (turn === this.turn) {
        this.stream = opened;
        const {track} = this, hear = (event, call) => {
          track.addEventListener(event, () => { if (this.stream === opened) call(); });
        };
        hear('ended', this.onlost);
        for (const event of ['mute', 'unmute']) hear(event, this.onmuted);
        this.video.srcObject = opened;
        await this.video.play();
      }
      this.require(turn);
      this.opened = turn;
    } catch (error) {
      if (turn !== this.turn) { end(opened); throw {name: SUPERSEDED}; }
      this.close();
      this.waitingFor = error.name;
      throw error;
    }
  }

  // Throws where a camera was closed, or another asked for, since that turn.
  require(turn) { if (turn !== this.turn) throw {name: SUPERSEDED}; }

  // Whether its video runs, or stands still for a pause.
  get playing() { return Boolean(this.stream && this.opened === this.turn); }

  get track() { return this.stream && this.stream.getVideoTracks()[0]; }

  // Whether it shows nothing for a while, as a call, another app or a switch has turned it off.
  get muted() { return Boolean(this.track?.muted); }

  close() {
    this.turn++;
    end(this.stream);
    this.stream = null;
    this.video.srcObject = null;
  }

  // Whoever plugs a camera in, or allows it, after having pressed the button need not press it again.
  watch(onfound) {
    const found = error => {
      if (this.waitingFor !== error || this.stream || this.video.closest('.live').offsetParent === null) return;
      this.waitingFor = null;
      onfound();
    };
    if (navigator.mediaDevices) navigator.mediaDevices.addEventListener('devicechange', () => found('NotFoundError'));
    if (navigator.permissions) navigator.permissions.query({name: 'camera'}).then(permission => {
      permission.addEventListener('change', () => { if (permission.state === 'granted') found('NotAllowedError'); });
    }).catch(() => {});  // a browser that does not know the question
  }
}

function end(stream) { stream?.getTracks().forEach(track => track.stop()); }
