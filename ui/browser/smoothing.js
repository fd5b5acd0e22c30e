// The emotions of one face over time, made steady, as emotion_model.timelines.tracking.EmotionSmoother explains it.
// `rules`: the settings and constants of that module, under its names.

const leaderOf = values => values.indexOf(Math.max(...values));
const moved = (from, to, share) => from.map((value, i) => value + share * (to[i] - value));

export class EmotionSmoother {
  constructor(rules) {
    this.rules = rules;
    this.shown = null;  // probabilities
    this.label = 0;
  }

  // Takes in the probabilities of one frame at a time in seconds; returns what is shown.
  update(raw, time, smoothing) {
    const {rules} = this;
    if (this.shown === null || !smoothing) {
      this.quick = this.slow = this.shown = raw;
      this.label = leaderOf(raw);
      this.forget();
      this.time = time;
      this.age ??= rules.QUICK_SECONDS;
      this.restless ??= 0;
      return raw;
    }
    const elapsed = time - this.time;
    this.time = time;
    this.moveMeans(raw, elapsed, smoothing);
    this.restless *= Math.exp(-elapsed / rules.RESTLESS_SECONDS);
    this.weigh(elapsed);
    return this.shown;
  }

  moveMeans(raw, elapsed, smoothing) {
    const quick = Math.min(this.rules.QUICK_SECONDS, smoothing);
    this.quick = moved(this.quick, raw, 1 - Math.exp(-elapsed / quick));
    this.age += elapsed;
    this.slow = moved(this.slow, raw, this.age < smoothing ? elapsed / this.age : 1 - Math.exp(-elapsed / smoothing));
  }

  weigh(elapsed) {
    const {rules} = this, needed = rules.label_lead * (1 + this.restless), labelled = this.quick[this.label];
    this.evidence = this.evidence.map((sum, i) => {
      const lead = this.quick[i] - labelled - needed;
      return Math.max(sum + lead * Math.abs(lead) * Math.min(elapsed, rules.EVIDENCE_STEP), 0);
    });
    const quickest = leaderOf(this.quick);
    if (quickest !== this.label && this.evidence[quickest] > rules.label_evidence) {
      this.slow = this.quick;
      this.age = rules.QUICK_SECONDS;
      this.change(quickest);
    }
    const leader = leaderOf(this.slow), held = this.slow[this.label], step = Math.min(elapsed, rules.DRIFT_STEP);
    this.drift = this.drift.map((sum, i) => Math.max(sum + (this.slow[i] - held) * step, 0));
    if (this.drift[leader] > rules.DRIFT * (1 + this.restless)) this.change(leader);
    this.shown = this.slow;
    if (leader !== this.label) {  // by too little, or for too short a time: shown as a tie
      const tied = this.slow.slice();
      tied[this.label] = this.slow[leader] + rules.HAIR;
      const sum = tied.reduce((total, value) => total + value, 0);
      this.shown = tied.map(value => value / sum);
    }
  }

  change(label) {
    this.label = label;
    this.forget();
    this.restless += this.rules.RESTLESS_STEP;
  }

  forget() { this.evidence = this.quick.map(() => 0); this.drift = this.quick.map(() => 0); }
}
