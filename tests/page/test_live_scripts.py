"""The parts of the Live tab's scripts that need no page, in Node."""

import json
import re

import pytest

from emotion_model.labels import LABELS
from ui.browser.networks import Networks
from ui.live.markup import page_html
from ui.live.tab import SCRIPT
from ui.scripts import bundle

COLUMNS = ["time", "frame", "face_id", "emotion"]


def test_rows_are_numbered_kept_and_come_back(node):
    text = f"""
    import {{Record}} from './live/record.js';
    const record = new Record({json.dumps(COLUMNS)});
    record.add([[0.5, 0, 1, 'happy'], [0.5, 0, 2, 'sad']], 'first');
    record.add([[1.5, 0, null, null]], 'first');
    record.add([[2.5, 0, 1, 'a "b", c']], 'second');  // whoever reads began anew: its face 1 is another one
    const [from, csv, json] = [record.indexOf(1), record.toCsv(), JSON.parse(record.toJson())];
    const said = record.describe(0, 3, 1.5), kept = record.clear(), empty = record.rows.length;
    record.restore(kept);
    console.log(JSON.stringify({{from, csv, json, said, empty, back: record.rows.length, last: record.last}}));
    """
    told = node(text)
    assert told["csv"].splitlines() == [
        ",".join(COLUMNS), "0.5,0,1,happy", "0.5,0,2,sad", "1.5,1,,", '2.5,2,3,"a ""b"", c"'
    ]  # fmt: skip
    assert told["json"][3] == {"time": 2.5, "frame": 2, "face_id": 3, "emotion": 'a "b", c'}
    assert (told["from"], told["empty"], told["back"], told["last"]) == (2, 0, 4, 2.5)
    assert told["said"].startswith("Timeline of the last 3 seconds, 3 faces: happy 40%, sad 40%")


def test_the_timeline_is_described_by_time_and_not_by_how_often_frames_were_read(node):
    text = """
    import {Record} from './live/record.js';
    const record = new Record(['time', 'frame', 'face_id', 'emotion']), told = [];
    const add = (time, emotion) => record.add([[time, 0, emotion && 1, emotion]], 'one');
    add(0, 'sad');
    told.push(record.describe(0, 0, 7.5));
    for (let i = 1; i < 300; i++) add(i / 10, i < 200 ? 'sad' : 'happy');
    for (let time = 30; time < 60; time += 3) add(time, 'happy');
    told.push(record.describe(0, 60, 7.5));
    add(60, null);
    told.push(record.describe(0, 1000, 7.5));  // in a pause nobody knows
    console.log(JSON.stringify(told.map(one => one.split(': ')[1])));
    """
    assert node(text) == ["sad 100%", "happy 67%, sad 33%", "happy 67%, sad 33%"]


def test_of_a_timeline_as_many_of_the_newest_rows_are_kept_as_the_browser_takes(node):
    text = """
    let room = 0, stored = null;
    globalThis.sessionStorage = {
      getItem: () => stored, removeItem() { stored = null; },
      setItem(_, text) { if (text.length > room) throw new Error('QuotaExceededError'); stored = text; },
    };
    const {keepRows, keptRows} = await import('./live/remembered.js');
    const columns = ['time', 'frame', 'face_id'];
    const rows = Array.from({length: 1000}, (_, i) => [i, i, i < 900 ? 7 : null]);
    const told = [1e6, 8000, 10].map(size => {
      room = size;
      keepRows(columns, rows);
      const kept = keptRows(columns);
      return [kept.rows.map(row => row[0]), kept.whole];
    });
    room = 1e6;
    keepRows(columns, rows);
    const others = keptRows(['time', 'frame', 'face_id', 'contempt']);
    const {Record} = await import('./live/record.js');
    const record = new Record(columns);
    record.goOn(keptRows(columns).rows);
    record.add([[1000, 0, 1]], 'anew');
    keepRows(columns, []);
    console.log(JSON.stringify([...told, others.rows, record.rows.length, record.rows.at(-1), keptRows(columns).rows]));
    """
    everything, much, nothing, others, length, newest, gone = node(text)
    assert everything == [list(range(1000)), True] and much == [list(range(500, 1000)), False]
    assert nothing == [[], True] and others == gone == []
    assert length == 1001 and newest == [1000, 1000, 8], "frames and faces are counted on"


def test_very_long_sessions_lose_their_oldest_rows_and_that_can_be_told_before(node):
    text = """
    import {MAX_ROWS, Record} from './live/record.js';
    const record = new Record(['time', 'frame', 'face_id']);
    const add = (from, to) => { for (let i = from; i < to; i++) record.add([[i, 0, 1]], 'one'); };
    add(0, 0.7 * MAX_ROWS);
    const early = record.nearlyFull;
    add(0.7 * MAX_ROWS, 0.9 * MAX_ROWS);
    const {nearlyFull: late, dropped: none} = record;
    add(0.9 * MAX_ROWS, MAX_ROWS + 1);
    console.log(JSON.stringify([early, late, none, record.dropped, record.first, record.last - MAX_ROWS]));
    """
    assert node(text) == [False, True, 0, 20_000, 20_000, 0]


def test_an_empty_room_fills_no_record(node):
    text = """
    import {Record} from './live/record.js';
    const record = new Record(['time', 'frame', 'face_id']);
    const add = (from, to, face) => { for (let i = from; i < to; i++) record.add([[i / 10, 0, face]], 'one'); };
    add(0, 5, 1); add(5, 10000, null);
    const {length} = record.rows, {last} = record;
    add(10000, 10005, 1);
    console.log(JSON.stringify([length, last, record.rows.slice(-6)]));
    """
    length, last, rows = node(text)
    assert 1000 <= length < 1200 and last == 999.9
    assert rows == [[999.9, 9999, None], *[[1000 + i / 10, 10000 + i, 1] for i in range(5)]]


def test_frames_are_sent_as_fast_as_replies_come(node):
    text = """
    import {Pace} from './live/pace.js';
    const pace = new Pace(), told = {};
    told.first = pace.wait(0, 0, 3) <= 0;
    pace.sent(0);
    told.next = pace.wait(0, 0, 3);
    told.slow = pace.wait(0, 2, 3);
    pace.sent(40); pace.sent(80);
    told.full = pace.wait(200, 0, 3) === Infinity;
    pace.underWay = 0;
    pace.refused(200, true);
    told.busy = pace.wait(200, 0, 3);
    pace.lost(200); pace.lost(200);
    told.lost = pace.wait(200, 0, 3);
    pace.restart();
    for (let i = 0; i < 30; i++) pace.received(1000, 0, 500);
    pace.sent(0);
    told.far = pace.wait(1000, 0, 3) === Infinity;
    console.log(JSON.stringify(told));
    """
    assert node(text) == {
        "first": True, "next": 40, "slow": 2000, "full": True, "busy": 3000, "lost": 2000, "far": True
    }  # fmt: skip


def test_a_frame_that_slept_with_the_page_does_not_hold_up_the_next(node):
    text = """
    import {Pace} from './live/pace.js';
    const pace = new Pace(), hour = 3600000;
    pace.sent(0);
    pace.received(hour, 0, hour);
    const slept = pace.between(0);
    pace.underWay = 0;
    pace.restart();
    console.log(JSON.stringify([slept < 500, pace.between(0), pace.wait(hour, 0, 3) <= 0]));
    """
    assert node(text) == [True, 40, True]


def test_a_face_that_one_frame_misses_stays_hidden_however_rarely_frames_are_read(node):
    script = """
    import {Still} from './live/still.js';
    const still = new Still({face_id: 0, w: 1});
    const kept = [];
    for (const [time, rows] of [[1000, [[1, 9], [2, 9]]], [4000, [[1, 9]]], [7000, [[1, 9]]]]) {
      performance.now = () => time;
      still.take({}, {rows});
      kept.push([...still.faces.keys()]);
    }
    console.log(JSON.stringify(kept));
    """
    assert node(script) == [[1, 2], [1, 2], [1]]


def test_numbers_for_people(node):
    text = """
    import * as numbers from './live/numbers.js';
    const {word, percent, megabytes, signed} = numbers;
    console.log(JSON.stringify([word('happy'), percent(0.126), megabytes(14.6e6), signed(-0.5), signed(0.25),
      numbers.clockTime(7), numbers.clockTime(65), numbers.axisStep(20), numbers.axisStep(0.001)]));
    """
    assert node(text) == ["Happy", "13%", "15 MB", "\u22120.50", "+0.25", "7 s", "1:05", 5, 7200]


def test_what_stands_on_a_translated_page_is_not_written_anew_with_each_frame(node):
    text = """
    const {put} = await import('./live/numbers.js');
    const told = [], element = {get textContent() { return 'Glücklich'; }, set textContent(text) { told.push(text); }};
    for (const text of ['Happy', 'Happy', 'Sad', 'Happy']) put(element, text);
    console.log(JSON.stringify(told));
    """
    assert node(text) == ["Happy", "Sad", "Happy"]


def test_the_modules_make_one_script(node):
    text = bundle(SCRIPT)
    assert "\nimport " not in text and "\nexport " not in text
    assert text.index("class Record") < text.index("class Live"), "what is imported stands first"
    node(
        f"new Function('element', 'server', 'worker', {json.dumps(text)}); console.log('true');"
    )  # no name is used twice


def test_the_timeline_is_described_for_screen_readers_as_it_is_when_it_stands_still(node):
    text = """
    globalThis.window = {devicePixelRatio: 1};
    globalThis.document = {body: {className: ''}};
    const {Chart} = await import('./live/chart.js');
    const context = {setTransform() {}, clearRect() {}};
    const canvas = {clientWidth: 300, clientHeight: 100, dataset: {}, told: [],
      getContext: () => context, setAttribute(name, value) { this.told.push(value); }};
    const control = {view: {value: 'all'}, chosen: {value: ''}}, rows = [];
    const record = {rows, describe: () => `${rows.length} rows`};
    const chart = new Chart({$: () => canvas, control, settings: {seconds: 60}}, record);
    let drawn = 0;
    chart.timeline = {shownEmotions: () => [], draw() { drawn++; }};
    for (const now of [6000, 7000]) { rows.push(now); chart.draw(now, now / 1000, {}); }
    for (let now = 8000; now < 30000; now += 1000) chart.draw(now, 7, {});
    console.log(JSON.stringify([drawn, canvas.told]));
    """
    assert node(text) == [2, ["1 rows", "2 rows"]]


def test_the_legend_of_a_saved_picture_has_unclear_where_a_lane_shows_it(node):
    text = """
    globalThis.getComputedStyle = () => ({getPropertyValue: () => '', fontFamily: 'sans'});
    const texts = [], context = new Proxy({measureText: text => ({width: 6 * text.length}),
      fillText(text) { texts.push(String(text)); }}, {get: (one, name) => one[name] ?? (() => {})});
    globalThis.document = {createElement: () => ({getContext: () => context})};
    const {Record} = await import('./live/record.js');
    const {Chart} = await import('./live/chart.js');
    const record = new Record(['time', 'frame', 'face_id', 'emotion', 'clear', 'valence']);
    const labels = {happy: {colour: '#b78300'}, unclear: {colour: '#888'}}, control = {view: {}, chosen: {value: ''}};
    const root = {querySelectorAll: () => [{checked: true, value: 'happy'}]};
    const tab = {$: () => ({}), at: record.at, root, control, labels, settings: {unclear: {name: 'unclear'}},
      pictures: {}, wordOf: row => row[4] ? 'happy' : 'unclear', faceColour: () => '#222'};
    const chart = new Chart(tab, record);
    function legend(view) {
      control.view.value = view;
      texts.length = 0;
      chart.pictureOf({gone: 1.5});
      return texts.filter(one => one === 'Happy' || one === 'Unclear');
    }
    record.add([[0, 0, 1, 'happy', true, 0.5]], 1);
    record.add([[1, 0, null, null, null, null]], 1);
    const clear = legend('faces');
    record.add([[2, 0, 1, 'happy', false, 0.5]], 1);
    console.log(JSON.stringify([clear, legend('faces'), legend('face')]));
    """
    assert node(text) == [["Happy"], ["Happy", "Unclear"], ["Happy"]]


def test_the_valence_lines_of_several_faces_are_told_apart_without_their_colours(node):
    text = """
    globalThis.getComputedStyle = () => ({getPropertyValue: () => '', fontFamily: 'sans'});
    const texts = [], context = new Proxy({measureText: text => ({width: 6 * String(text).length}),
      fillText(text, x, y) { texts.push([String(text), x, y]); }},
      {get: (one, name) => one[name] ?? (() => {})});
    const {Record} = await import('./live/record.js');
    const {Timeline} = await import('./live/timeline.js');
    const columns = ['time', 'frame', 'face_id', 'emotion', 'clear', 'valence'], record = new Record(columns);
    const add = (time, ...faces) => record.add(faces.map(([id, valence]) => [time, 0, id, 'happy', true, valence]), 1);
    add(0, [1, 0.5], [2, 0.5], [3, -1], [4, 0]);
    add(5, [1, 0.5], [2, 0.5], [3, -1]);
    add(20, [1, 0.5], [2, 0.5], [3, -1]);
    const tab = {at: record.at, root: {querySelectorAll: () => []}, control: {view: {value: 'faces'}, chosen: {}},
      labels: {happy: {colour: '#b78300'}}, pictures: {}, wordOf: row => row[3], faceColour: () => '#2490fc'};
    new Timeline(tab, record).draw(context, 400, 200, {from: 10, to: 20, gone: 20});
    console.log(JSON.stringify(texts));
    """
    places = {word: place for word, *place in node(text)}
    highest, lowest, right = places["+1"][1] - 3, places["−1"][1] + 3, 400 - 18 + 4
    half = highest + (lowest - highest) / 4
    assert (places["1"], places["2"], places["3"]) == ([right, half], [right, half + 10], [right, lowest])
    assert "4" not in places, "it has left the timeline"


def test_curves_that_end_high_have_their_names_there_none_over_another(node):
    text = """
    globalThis.getComputedStyle = () => ({getPropertyValue: () => '', fontFamily: 'sans'});
    const texts = [], context = new Proxy({measureText: text => ({width: 6 * String(text).length}),
      fillText(text, x, y) { texts.push([String(text), x, y]); }},
      {get: (one, name) => one[name] ?? (() => {})});
    const {Record} = await import('./live/record.js');
    const {Timeline} = await import('./live/timeline.js');
    const names = ['happy', 'sad', 'fear', 'angry'];
    const record = new Record(['time', 'frame', 'face_id', 'emotion', 'clear', 'valence', ...names]);
    record.add([[0, 0, 1, 'sad', true, 0, 0, 1, 0, 0]], 1);
    record.add([[10, 1, 1, 'happy', true, 0, 0.6, 0.18, 0.17, 0.05]], 1);
    const tab = {at: record.at, root: {querySelectorAll: () => names.map(value => ({checked: true, value}))},
      control: {view: {value: 'face'}, chosen: {value: ''}}, faceColour: () => '#2490fc',
      labels: Object.fromEntries(names.map(name => [name, {colour: '#b78300'}]))};
    new Timeline(tab, record).draw(context, 400, 200, {from: 0, to: 10, gone: 20});
    console.log(JSON.stringify(texts.filter(([text]) => names.includes(text))));
    """
    (happy, right, high), (sad, _, low) = node(text)
    assert (happy, sad, right) == ("happy", "sad", 400 - 18 - 4) and high < low, "fear's would lie over sad's"


def test_who_does_not_see_it_is_told_that_the_chosen_face_has_left(node):
    text = """
    const {Reading} = await import('./live/reading.js');
    const part = () => new Proxy({dataset: {}, style: {}, classList: {toggle() {}}, querySelector: part, animate() {}},
      {get: (one, name) => one[name] ?? ''});
    globalThis.matchMedia = () => ({matches: true});
    const parts = {}, $ = name => parts[name] ??= part();
    const at = {face_id: 0, emotion: 1, clear: 2, confidence: 3, happy: 3, intensity: 3, valence: 3, arousal: 3};
    const tab = {$, at, emotions: ['happy'], labels: {happy: {}}, wordOf: row => row[1],
      root: {querySelectorAll: () => [part()]}};
    const reading = new Reading(tab), said = [];
    $('.chosen').value = '2';
    const other = [1, 'happy', true, 0.9], chosen = [2, 'happy', true, 0.9];
    const both = [other, chosen];
    const frames = [[both, 0, 1000], [both, 4000, 1000], [[other], 4100, 1000], [both, 4200, 1000],
      [[other], 5000, 1000],
      [[other], 7000, 5000], [[]], [[other], 7100, 1000]];
    for (const [rows, now = 7050, patience] of frames) {
      reading.show(rows, now, patience);
      said.push($('.announcer').textContent);
    }
    console.log(JSON.stringify(said));
    """
    assert node(text) == ["Face 2: happy"] * 7 + ["Face 2: not in the picture"], (
        "of frames that come seldom one is not enough"
    )


# `draw` gives what a timeline 500 wide writes, and when each stretch of its valence begins and ends.
DRAWN = """
    globalThis.getComputedStyle = () => ({getPropertyValue: () => '', fontFamily: 'sans'});
    const {Record} = await import('./live/record.js');
    const {Timeline} = await import('./live/timeline.js');
    const columns = ['time', 'frame', 'face_id', 'emotion', 'clear', 'valence'], record = new Record(columns);
    const add = (time, ...ids) => record.add(ids.map(id => [time, 0, id, 'happy', true, 0.5]), 1);
    function draw(view, chosen, from, to, {gone = 1.5, height = 200} = {}) {
      const tab = {at: record.at, root: {querySelectorAll: () => []},
        control: {view: {value: view}, chosen: {value: chosen}}, labels: {happy: {colour: '#b78300'}},
        pictures: {}, wordOf: row => row[3], faceColour: () => '#222'};
      const texts = [], stretches = [], time = x => Math.round(from + (to - from) * (x - 62) / 420);
      let path = [];
      const context = new Proxy({
        measureText: text => ({width: 6 * text.length}), fillText(text) { texts.push(String(text)); },
        beginPath() { path = []; }, moveTo(x) { path.push([time(x)]); }, lineTo(x) { path.at(-1)[1] = time(x); },
        stroke() { if (this.strokeStyle === '#222') stretches.push(...path); },
      }, {get: (one, name) => one[name] ?? (() => {})});
      const timeline = new Timeline(tab, record);
      timeline.draw(context, 500, height || timeline.heightOfAll, {from, to, gone});
      return {texts, stretches, faces: texts.filter(text => /face|more/i.test(text))};
    }
"""


def test_where_nobody_is_chosen_the_curves_are_those_of_each_frames_main_face(node):
    text = f"""{DRAWN}
    for (let time = 0; time < 10; time++) add(time, ...time < 5 ? [1, 2] : [2, 1]);
    console.log(JSON.stringify([draw('face', '', 0, 10), draw('face', '1', 0, 10)]));
    """
    main, chosen = node(text)
    assert (main["faces"], main["stretches"]) == (["Main face"], [[0, 4], [5, 9]])
    assert (chosen["faces"], chosen["stretches"]) == (["Face 1"], [[0, 9]])


def test_of_more_faces_than_there_are_lanes_those_seen_most_are_drawn_and_a_saved_picture_is_as_tall_as_it_needs(node):
    text = f"""{DRAWN}
    for (let time = 0; time < 9; time++) add(time, 1, 2, 3);
    for (let id = 4; id < 30; id++) add(5 + id, id);
    console.log(JSON.stringify([draw('faces', '', 0, 40), draw('faces', '', 0, 40, {{height: 0}})]));
    """
    shown, saved = node(text)
    assert shown["faces"] == [*(f"Face {number}" for number in (1, 2, 3, 4, 5)), "and 24 more"]
    assert saved["faces"] == [f"Face {number}" for number in range(1, 30)]


def test_a_line_goes_on_as_it_was_read_whatever_comes_after(node):
    """`gone`: that of frames which were once read every three seconds."""
    text = f"""{DRAWN}
    for (let time = 0; time <= 12; time += 3) add(time, 1);
    for (let time = 13; time <= 20; time++) add(time, ...time < 15 || time > 18 ? [1, 2] : [2]);
    console.log(JSON.stringify([draw('face', '1', 0, 20, {{gone: 7.5}}), draw('face', '1', 0, 20)]));
    """
    seldom, never = node(text)
    assert seldom["stretches"] == [[0, 14], [19, 20]], "who is in none of many frames was not there"
    assert never["stretches"][:2] == [[0, 0], [3, 3]]


def test_the_server_stands_in_for_the_browser_but_not_against_the_visitors_choice(node):
    """`kept`: what was chosen on an earlier visit; `able`: whether the browser has what reading takes."""
    text = """
    let kept = null;
    globalThis.localStorage = {getItem: () => JSON.stringify(kept), setItem() {}};
    Object.assign(globalThis, {window: globalThis, Worker: class {}, OffscreenCanvas: class {}});
    globalThis.createImageBitmap = () => {};
    Object.defineProperty(globalThis, 'navigator', {value: {}});
    console.warn = () => {};
    const {Readers} = await import('./live/readers.js');
    async function visit(choice, {able = true, fails = true, later = null, again = false, chip = false} = {}) {
      kept = choice;
      const select = {value: '', addEventListener(_, heard) { this.heard = heard; }, querySelector: () => ({})};
      const note = {dataset: {}}, tab = {control: {reader: select}, $: () => note,
        settings: {browser: {how: able ? {} : null, why_not: 'Not here.'}}};
      const readers = new Readers(tab, {leave() {}}, '', () => {});
      const load = async () => { if (fails) throw new Error('offline'); };
      if (able) readers.all.processor = {name: 'here', load, close() {}, leave() {}};
      if (chip) {
        readers.all.graphics = {...readers.all.processor, name: 'chip'};
        readers.all.processor.load = async () => {};
        readers.turnTo('graphics');
      }
      await readers.prepare(() => {});
      if (again) { fails = false; readers.startAnew(); await readers.prepare(() => {}); }
      if (later) { select.value = later; select.heard(); await readers.prepare(() => {}); }
      const {current, distant, advice} = readers;
      return [current === distant ? 'server' : current?.name ?? null, note.textContent, advice];
    }
    console.log(JSON.stringify({
      nothing: await visit(null), unable: await visit(null, {able: false}),
      works: await visit('processor', {fails: false}),
      fails: await visit('processor'), never: await visit('processor', {able: false}),
      now: await visit(null, {later: 'processor'}), server: await visit('processor', {later: 'server'}),
      anew: await visit(null, {again: true}), there: await visit('server', {again: true}),
      chip: await visit('graphics', {chip: true}), chipAnew: await visit('graphics', {chip: true, again: true}),
    }));
    """
    told = node(text)
    assert told.pop("anew") == ["here", told["works"][1], ""] and told.pop("there")[0] == "server"
    chip, note, _ = told.pop("chip")
    assert chip == "here" and note.startswith("The graphics chip could not (offline).")
    assert told.pop("chipAnew") == ["chip", told["works"][1], ""]
    assert {case: told[case][0] for case in told} == {
        "nothing": "server", "unable": "server", "works": "here", "fails": None, "never": None, "now": None,
        "server": "server",
    }  # fmt: skip
    for case in ("nothing", "unable", "server"):
        assert "go to the server" in told[case][1] and told[case][2] == ""
    for case in ("fails", "never", "now"):
        assert "nothing is sent" in told[case][1] and "on the server" in told[case][2]
    assert "offline" in told["fails"][1] and "try again" in told["fails"][2]


def test_nobody_reads_between_stop_and_whoever_is_ready_after_the_next_start(node):
    """The page says "Private" from Start on; the server has stood in before, or is about to as the camera stops."""
    text = """
    globalThis.localStorage = {getItem: () => null, setItem() {}};
    Object.assign(globalThis, {window: globalThis, Worker: class {}, OffscreenCanvas: class {}});
    globalThis.createImageBitmap = () => {};
    Object.defineProperty(globalThis, 'navigator', {value: {}});
    console.warn = () => {};
    const {Readers} = await import('./live/readers.js');
    async function visit(stopsEarly) {
      const select = {addEventListener() {}, querySelector: () => ({})}, note = {dataset: {}};
      const tab = {control: {reader: select}, $: () => note, settings: {browser: {how: {}}}};
      const readers = new Readers(tab, {leave() {}}, '', () => {}), told = [];
      const tell = () => told.push(readers.current && (readers.current === readers.distant ? 'server' : 'here'));
      let answer;
      const load = () => new Promise((come, fail) => { answer = {come, fail: () => fail(new Error('offline'))}; });
      readers.all.processor = {load, close() {}, leave() {}};
      const first = readers.prepare(() => {});
      if (stopsEarly) readers.leave();
      answer.fail();
      await first;
      tell();
      if (!stopsEarly) readers.leave();
      readers.startAnew();
      const second = readers.prepare(() => {});
      tell();
      answer.come();
      await second;
      tell();
      return [...told, note.textContent.split(':')[0]];
    }
    console.log(JSON.stringify([await visit(false), await visit(true)]));
    """
    assert node(text) == [["server", None, "here", "Private"], [None, None, "here", "Private"]]


def test_a_graphics_chip_can_be_chosen_only_where_webgpu_has_one(node):
    """`adapter`: what WebGPU has; null: the browser has no WebGPU."""
    settings = page_html(LABELS, Networks({}, ""), None, "model")
    select = settings[settings.index('class="reader"') : settings.index('class="camera"')]
    text = f"""
    globalThis.localStorage = {{getItem: () => null, setItem() {{}}}};
    Object.assign(globalThis, {{window: globalThis, Worker: class {{}}, OffscreenCanvas: class {{}}}});
    Object.defineProperty(globalThis, 'navigator', {{value: {{}}, configurable: true}});
    globalThis.createImageBitmap = () => {{}};
    globalThis.Option = class {{ constructor(text, value) {{ Object.assign(this, {{text, value}}); }} }};
    const {{Readers}} = await import('./live/readers.js');
    async function offered(adapter) {{
      const gpu = adapter && {{requestAdapter: async () => adapter}};
      Object.defineProperty(globalThis, 'navigator', {{value: {{gpu}}, configurable: true}});
      const values = {json.dumps(re.findall('<option value="([^"]+)"', select))};
      const option = value => ({{after(one) {{ values.splice(values.indexOf(value) + 1, 0, one.value); }}}});
      const reader = {{querySelector: name => option(name.slice('[value='.length, -1)), addEventListener() {{}}}};
      const tab = {{control: {{reader}}, $: () => ({{dataset: {{}}}}), settings: {{browser: {{how: {{}}}}}}}};
      new Readers(tab, {{}}, '', () => {{}});
      await new Promise(resolve => setTimeout(resolve, 1));
      return values;
    }}
    console.log(JSON.stringify([
      await offered(null), await offered({{isFallbackAdapter: true}}), await offered({{info: {{}}}}),
    ]));
    """
    without = ["processor", "server"]
    assert node(text) == [without, without, ["processor", "graphics", "server"]]


def test_a_number_of_faces_is_told_when_it_has_held_for_a_while(node):
    text = """
    let now = 0;
    performance.now = () => now;
    const parts = {strong: {textContent: ''}, span: {textContent: ''}};
    const status = {querySelector: name => parts[name], setAttribute() {}};
    const {Panel} = await import('./live/panel.js');
    const panel = new Panel({$: () => status}, {dropped: 0}), told = [];
    function see(frames) {
      const said = new Set();
      for (const faces of frames) { panel.tell(faces, now += 100); said.add(parts.strong.textContent); }
      return [...said];
    }
    const flicker = Array.from({length: 40}, (_, i) => 1 + i % 2);
    panel.say('Looking for faces.', '');
    told.push(see([0, 0, 1]), see(flicker), see(Array(20).fill(2)), see([0, 0, 2, 0]), see(Array(20).fill(0)));
    for (const full of ['nearlyFull', 'dropped']) {
      panel.record[full] = 1;
      see([0]);
      told.push(parts.span.textContent);
    }
    panel.say('The connection is lost.', '');
    told.push(see([1]));
    console.log(JSON.stringify(told));
    """
    one, two, nobody = "1 face followed.", "2 faces followed.", "No face in the picture."
    first, flicker, steady, gone, empty, long, full, back = node(text)
    assert (first, flicker, steady) == (["Looking for faces.", one], [one], [one, two])
    assert (gone, empty, back) == ([two], [two, nobody], [one])
    assert "save it before its oldest rows are dropped" in long and "oldest rows have been dropped" in full


def test_what_is_said_for_a_while_only_gives_way_to_how_things_stand_unless_something_else_was_said(node):
    text = """
    const timers = new Set();
    globalThis.setTimeout = action => { timers.add(action); return action; };
    globalThis.clearTimeout = action => timers.delete(action);
    globalThis.document = {};
    globalThis.matchMedia = () => ({matches: true});
    const {Panel} = await import('./live/panel.js');
    const parts = {strong: {textContent: ''}, span: {textContent: ''}};
    const button = new Proxy({}, {get: () => ({matches: () => false})});
    const place = {dataset: {}, querySelector: name => parts[name], setAttribute() {}};
    const record = {rows: [], clear() {}, restore() {}}, told = [];
    const panel = new Panel({$: () => place, button}, record, () => panel.say('Paused.', ''));
    const tell = () => told.push(parts.strong.textContent);
    const lapse = () => { for (const action of timers) { timers.delete(action); action(); } tell(); };
    panel.clear(); tell(); lapse();
    panel.clear(); panel.clear(); tell(); lapse();
    panel.clear(); panel.say('The camera is gone.', ''); lapse();
    console.log(JSON.stringify(told));
    """
    assert node(text) == ["Cleared.", "Paused.", "The timeline is back.", "Paused.", "The camera is gone."]


def test_the_picture_is_mirrored_as_the_visitor_wants_it_for_cameras_that_look_the_same_way(node):
    text = """
    const attributes = {'aria-pressed': 'true'}, element = {
      getAttribute: name => attributes[name], setAttribute(name, value) { attributes[name] = String(value); },
      classList: {toggle() {}},
    };
    const {Overlay} = await import('./live/overlay.js');
    const overlay = new Overlay({root: element, $: () => element}), told = [];
    const look = away => { overlay.look(away); told.push(overlay.mirrored); };
    look(false); look(true);
    overlay.turn();
    look(true); look(false); look(true);
    overlay.turn();
    look(true);
    console.log(JSON.stringify(told));
    """
    assert node(text) == [True, False, True, True, True, False]


def test_a_camera_that_is_plugged_in_while_one_runs_can_be_chosen(node):
    text = """
    let plugged = ['one'], runs = false;
    const devices = Object.assign(new EventTarget(), {
      enumerateDevices: async () => plugged.map(label => ({kind: 'videoinput', label, deviceId: label})),
    });
    Object.defineProperty(globalThis, 'navigator', {value: {mediaDevices: devices}});
    globalThis.localStorage = {getItem: () => null, setItem() {}};
    globalThis.Option = class { constructor(text, value) { Object.assign(this, {text, value}); } };
    const select = {options: [new Option('front', 'user'), new Option('back', 'environment')], value: 'user',
      append(option) {
        option.remove = () => this.options.splice(this.options.indexOf(option), 1);
        this.options.push(option);
      },
      addEventListener() {}};
    const {Cameras} = await import('./live/cameras.js');
    new Cameras(select, () => {}, () => runs);
    const told = [];
    for (const running of [false, true]) {
      plugged.push('another');
      runs = running;
      devices.dispatchEvent(new Event('devicechange'));
      await new Promise(resolve => setTimeout(resolve, 5));
      told.push(select.options.map(option => option.text));
    }
    console.log(JSON.stringify(told));
    """
    assert node(text) == [["front", "back"], ["front", "back", "one", "another", "another"]]


def test_live_takes_the_camera_chosen_last_wherever_and_remembers_none_that_merely_stood_in(node):
    text = """
    let kept = {id: 'one', name: 'camera one'};
    globalThis.localStorage = {
      getItem: () => JSON.stringify(kept), setItem: (_, value) => { kept = JSON.parse(value); },
    };
    Object.defineProperty(globalThis, 'navigator', {value: {}});
    globalThis.Option = class { constructor(text, value) { Object.assign(this, {text, value}); } };
    const select = {options: [new Option('front', 'user'), new Option('back', 'environment')], value: 'user',
      get selectedOptions() { return this.options.filter(one => one.value === this.value); },
      append(option) {
        option.remove = () => this.options.splice(this.options.indexOf(option), 1);
        this.options.push(option);
      },
      addEventListener() {}};
    const {Cameras} = await import('./live/cameras.js');
    const cameras = new Cameras(select, () => {}, () => false), told = [cameras.wanted];
    const gone = cameras.forget();  // it is unplugged
    told.push(cameras.choose(gone), cameras.wanted, kept.id);
    cameras.recall();
    told.push(cameras.wanted);
    kept = {id: 'two', name: 'camera two'};  // chosen in Photo
    cameras.recall();
    told.push(cameras.wanted, select.options.length);
    console.log(JSON.stringify(told));
    """
    one, two = ({"deviceId": {"exact": name}} for name in ("one", "two"))
    assert node(text) == [one, False, {"facingMode": "user"}, "one", one, two, 4]


CAMERAS = """
globalThis.localStorage = {getItem: () => JSON.stringify(kept), setItem: (_, value) => { kept = JSON.parse(value); }};
let kept = null, broken = {}, prompt = null, asked = 0, inSight = 'status';
const cameras = [], running = {*[Symbol.iterator]() {
  for (const track of cameras) if (track.readyState === 'live') yield track.id;
}};
function newPlace() {
  const place = {hidden: false, recording: null, play() {}, closest: () => panel};
  const panel = {get offsetParent() { return place.hidden ? null : {}; }, querySelector: () => place.recording};
  return place;
}
const place = newPlace(), other = newPlace();
const newStatus = text => ({className: 'status quiet', innerHTML: text, get textContent() { return this.innerHTML; },
  replaceChildren(...parts) { this.innerHTML = parts.map(part => part.textContent).join(' '); }});
const status = newStatus('Add a photo.'), statuses = {status, 'video-status': newStatus('Add a clip.')};
globalThis.document = Object.assign(new EventTarget(), {
  querySelectorAll: () => [place, other], createElement: () => ({}),
  getElementById: id => statuses[id] && {
    get offsetParent() { return id === inSight ? {} : null; }, querySelector: () => statuses[id],
  },
});
class Track {
  constructor(id) { Object.assign(this, {id, label: `camera ${id}`, readyState: 'live'}); cameras.push(this); }
  getSettings() { return {deviceId: this.id}; }
  stop() { this.readyState = 'ended'; }
}
class Stream {
  constructor(id) { this.tracks = [new Track(id)]; }
  getTracks() { return [...this.tracks]; }
  getVideoTracks() { return this.getTracks(); }
  removeTrack(one) { this.tracks = this.tracks.filter(track => track !== one); }
  addTrack(one) { this.tracks.push(one); }
}
const devices = {
  enumerateDevices: async () => ['a', 'b'].map(deviceId => ({deviceId, label: `camera ${deviceId}`})),
  getUserMedia: async ({video}) => {
    asked++;
    await prompt;
    const id = video.deviceId?.exact ?? 'b';
    if (broken[id]) throw Object.assign(new Error('no'), {name: broken[id]});
    return new Stream(id);
  },
};
const {keepChoice} = await import('./chooser.js');
keepChoice(devices);
const open = async (video = {}, where = place) => where.srcObject = await devices.getUserMedia({video});
const settled = () => new Promise(resolve => setTimeout(resolve, 5));
function turn(hidden) { place.hidden = hidden; document.dispatchEvent(new Event('tab-changed')); }
let answer;
const ask = () => { prompt = new Promise(resolve => { answer = resolve; }); };
"""


def test_a_camera_that_is_in_use_gives_way_to_another_in_photo_and_video(node):
    text = f"""{CAMERAS}
    kept = {{id: 'a', name: 'camera a'}};
    broken = {{a: 'NotReadableError'}};
    const busy = (await open()).tracks[0].id;
    kept = {{id: 'old', name: 'camera a'}};  // by a new id it is found, but cannot be had either
    broken = {{old: 'OverconstrainedError', a: 'NotReadableError'}};
    const renamed = (await open()).tracks[0];
    console.log(JSON.stringify([busy, renamed.id, renamed.readyState, [...running]]));
    """
    assert node(text) == ["b", "b", "live", ["b"]]


def test_photo_and_video_say_why_no_camera_opens_until_one_does(node):
    text = f"""{CAMERAS}
    const told = [];
    for (const name of ['NotAllowedError', 'NotReadableError', null]) {{
      broken = {{b: name}};
      const failed = await open().then(() => '', error => error.name);
      told.push([failed, status.className, status.innerHTML]);
    }}
    console.log(JSON.stringify(told));
    """
    blocked, busy, well = node(text)
    assert blocked[:2] == ["NotAllowedError", "status problem"]
    assert "The camera is blocked." in blocked[2] and blocked[2].endswith("then try once more.")
    assert busy[0] == "NotReadableError" and "The camera is in use." in busy[2]
    assert well == ["", "status quiet", "Add a photo."]


def test_a_camera_is_off_while_its_tab_is_not_seen_and_while_another_is_wanted(node):
    text = f"""{CAMERAS}
    const stream = await open(), told = [];
    for (const hidden of [true, false]) {{
      turn(hidden);
      await settled();
      told.push([...running]);
    }}
    told.push(place.srcObject === stream, stream.tracks.length);
    await devices.getUserMedia({{video: {{frameRate: 30, deviceId: {{exact: 'a'}}}}}});  // Live's
    console.log(JSON.stringify([...told, [...running]]));
    """
    assert node(text) == [[], ["b"], True, 1, ["a"]]


def test_whoever_comes_and_goes_while_a_camera_comes_back_leaves_none_on(node):
    text = f"""{CAMERAS}
    await open();
    const told = [];
    for (const hidden of [true, false]) {{
      turn(true);
      asked = 0;
      ask();
      turn(false); turn(true); turn(false);
      if (hidden) turn(true);
      answer();
      await settled();
      told.push([asked, [...running], place.srcObject.tracks.map(track => track.readyState)]);
    }}
    console.log(JSON.stringify(told));
    """
    assert node(text) == [[1, [], ["ended"]], [1, ["b"], ["live"]]]


def test_a_camera_that_opens_too_late_to_be_seen_is_turned_off(node):
    text = f"""{CAMERAS}
    const told = [];
    async function answered(meanwhile, where = place) {{
      ask();
      const opened = open({{}}, where);
      meanwhile();
      answer();
      await opened;
      await settled();
      told.push([...running]);
    }}
    await answered(() => {{}}, newPlace());  // an example was chosen meanwhile: Gradio shows no camera any more
    await answered(() => turn(true));
    turn(false);
    await settled();
    told.push([...running]);  // whoever comes back has it
    turn(true);
    ask();
    turn(false);
    place.srcObject = null;  // a file was chosen while it came back
    answer();
    await settled();
    console.log(JSON.stringify([...told, [...running]]));
    """
    assert node(text) == [[], [], ["b"], []]


def test_that_a_camera_is_blocked_is_said_in_the_tab_that_asked_for_it(node):
    text = f"""{CAMERAS}
    broken = {{b: 'NotAllowedError'}};
    ask();
    const failed = open().catch(() => {{}});
    inSight = 'video-status';
    answer();
    await failed;
    console.log(JSON.stringify(Object.values(statuses).map(one => one.innerHTML)));
    """
    photo, video = node(text)
    assert "The camera is blocked." in photo and video == "Add a clip."


def test_each_tab_has_its_own_camera_back_but_no_recording_ends_for_that(node):
    text = f"""{CAMERAS}
    const told = [], live = one => one.srcObject.tracks.map(track => `${{track.id}} ${{track.readyState}}`).join();
    async function turnTo(seen) {{
      for (const one of [place, other]) one.hidden = one !== seen;
      document.dispatchEvent(new Event('tab-changed'));
      await settled();
      told.push([live(place), live(other)]);
    }}
    await open();
    await open({{deviceId: {{exact: 'a'}}}}, other);
    await turnTo(place);
    await turnTo(other);
    other.recording = {{click() {{ throw new Error('ended'); }}}};
    await turnTo(place);
    console.log(JSON.stringify(told));
    """
    first, second = ["a live", "a ended"], ["a ended", "a live"]
    assert node(text) == [first, second, second]


def test_a_recording_goes_on_behind_another_tab_and_is_kept_where_another_camera_is_wanted(node):
    text = f"""{CAMERAS}
    const told = [];
    await open();
    place.recording = {{click() {{ told.push(`kept with ${{[...running]}}`); place.recording = null; }}}};
    turn(true);
    told.push([...running]);
    await devices.getUserMedia({{video: {{frameRate: 30, deviceId: {{exact: 'a'}}}}}});  // Live's
    console.log(JSON.stringify([...told, [...running]]));
    """
    assert node(text) == [["b"], "kept with b", ["a"]]


def test_a_worker_that_says_nothing_is_given_up_but_not_because_the_page_has_slept(node):
    text = """
    let now = 0, due = null, ended = 0;
    performance.now = () => now;
    globalThis.setTimeout = (action, wait) => { due = {action, at: now + wait}; };
    globalThis.clearTimeout = () => { due = null; };
    globalThis.Worker = class { postMessage() {} terminate() { ended++; } };
    const {Hired} = await import('./live/hired.js');
    const after = late => { const {action, at} = due; now = at + late; action(); return ended; };
    const failed = new Hired('', () => {}).ask({frame: 1}).catch(error => error.message);
    const told = [after(3600000), after(10)];
    console.log(JSON.stringify([...told, await failed]));
    """
    assert node(text) == [0, 1, "the networks did not come"]


def test_a_camera_that_the_operating_system_blocks_is_to_be_allowed_there(node):
    text = """
    const {hintFor} = await import('./live/hints.js');
    const messages = ['Permission denied', 'Permission denied by system'];
    console.log(JSON.stringify(messages.map(message => hintFor({name: 'NotAllowedError', message}, 'go on'))));
    """
    (same, page), (blocked, system) = node(text)
    assert same == blocked == "The camera is blocked."
    assert "beside the address" in page and "privacy settings" not in page
    assert "privacy settings" in system and system.endswith("then go on.")


@pytest.mark.parametrize("answer", ["{faces: []}", "{failed: 'no memory'}"])
def test_a_worker_that_is_to_go_ends_with_its_last_answer_and_no_other_for_its_silence(node, answer):
    text = f"""
    let timer = null, ended = 0;
    globalThis.setTimeout = () => {{ timer = 'set'; }};
    globalThis.clearTimeout = () => {{ timer = null; }};
    globalThis.Worker = class {{ postMessage() {{}} terminate() {{ ended++; }} }};
    const {{Hired}} = await import('./live/hired.js');
    const hired = new Hired('', () => {{}}), told = [];
    for (const retires of [false, true]) {{
      const read = hired.ask({{frame: 1}}).catch(() => {{}});
      if (retires) hired.retire();
      told.push(ended);
      hired.worker.onmessage({{data: {answer}}});
      await read;
      told.push(timer, ended);
    }}
    console.log(JSON.stringify(told));
    """
    assert node(text) == [0, None, 0, 0, None, 1]


def test_what_the_networks_take_is_told_while_they_load(node):
    text = """
    Object.assign(globalThis, {window: globalThis, location: {href: 'http://here/'}});
    Object.defineProperty(globalThis, 'navigator', {value: {hardwareConcurrency: 1}});
    globalThis.Worker = class {
      postMessage() { for (const data of [{loaded: 2e6}, {ready: true}]) setTimeout(() => this.onmessage({data}), 1); }
    };
    const {PrivateReader} = await import('./live/private.js');
    const runtimes = {processor: {module: {address: 'm', bytes: 6e6}}}, told = [];
    const files = {faces: {address: 'f', bytes: 2e6}};
    const reader = new PrivateReader('processor', {files, runtimes, emotions: {}, tracking: {}}, '');
    await reader.load((share, bytes) => told.push(share, bytes));
    console.log(JSON.stringify(told));
    process.exit();
    """
    assert node(text) == [0.25, 8e6]


def test_a_worker_that_has_become_slower_is_relieved_but_not_again_in_vain(node):
    """`tired`: what a frame takes the first workers later on; `fresh`: what it takes those that relieve them."""
    text = """
    const hired = [];
    globalThis.window = globalThis;
    globalThis.location = {href: 'http://here/'};
    Object.defineProperty(globalThis, 'navigator', {value: {hardwareConcurrency: 2}});
    globalThis.createImageBitmap = async () => ({});
    globalThis.Worker = class {
      constructor() { Object.assign(this, {number: hired.length, frames: 0, ended: false}); hired.push(this); }
      terminate() { this.ended = true; }
      postMessage({load, anew}) {
        if (load) this.anew = Boolean(anew);
        const milliseconds = this.number > 1 ? fresh : this.frames++ < 80 ? 20 : tired;
        const answer = load ? {ready: true} : {faces: [], width: 4, height: 3, milliseconds};
        setTimeout(() => this.onmessage({data: answer}), 1);
      }
    };
    let tired, fresh, now = 0;
    performance.now = () => now;
    const {PrivateReader} = await import('./live/private.js');
    async function session(frames) {
      hired.length = 0;
      const how = {files: {}, runtimes: {processor: {}, graphics: {}}, emotions: []};
      const reader = new PrivateReader('processor', how, '');
      reader.leave = () => Object.assign(reader, {rows: {of: () => []}, started: 1, before: Promise.resolve()});
      reader.leave();
      await reader.load(() => {});
      await new Promise(resolve => setTimeout(resolve, 5));
      for (let i = 0; i < frames; i++) { now += 33; await reader.read({}, {}); }
      return hired.map(({anew, ended}) => [anew, ended]);
    }
    const told = {};
    [tired, fresh] = [20, 20]; told.steady = await session(400);
    [tired, fresh] = [60, 20]; told.relieved = await session(600);
    [tired, fresh] = [60, 60]; told.busy = await session(1200);
    console.log(JSON.stringify(told));
    process.exit();
    """
    told = node(text)
    assert told["steady"] == [[False, False], [False, False]]
    assert told["relieved"] == [[False, True], [False, True], [True, False], [True, False]]
    assert told["busy"].count([True, False]) == 1, "all is slow, so that another worker would not help"


WORKERS = """
globalThis.window = globalThis;
globalThis.location = {href: 'http://here/'};
Object.defineProperty(globalThis, 'navigator', {value: {hardwareConcurrency: 2}});
console.warn = () => {};
const hired = [], settled = () => new Promise(resolve => setTimeout(resolve, 5));
globalThis.createImageBitmap = async video => { if (video.broken) throw new Error('no picture'); return video; };
globalThis.Worker = class {  // answers when it is told to
  constructor() { this.frames = []; hired.push(this); }
  terminate() { this.frames = []; }
  postMessage({load, frame}) { if (load) this.tell({ready: true}); else this.frames.push(frame); }
  tell(data) { setTimeout(() => this.onmessage({data}), 1); }
  answer() { this.tell({faces: [this.frames.shift().number], width: 4, height: 3, milliseconds: 1}); }
};
const {PrivateReader} = await import('./live/private.js');
const reader = new PrivateReader('processor', {files: {}, runtimes: {processor: {}}, tracking: {}}, ''), told = [];
reader.rows = {of: ([number]) => number};
await reader.load(() => {});
await settled();
function read(video) {
  const reply = reader.read(video, {}).then(({rows, error}) => rows ?? error, error => `thrown: ${error.message}`);
  reply.then(one => told.push(one));
  return settled();
}
const end = async worker => { worker.onerror({message: 'out of memory'}); await settled(); };
"""


def test_a_frame_or_a_worker_that_fails_is_passed_over_while_another_worker_is_there(node):
    text = f"""{WORKERS}
    await read({{number: 1}});
    await read({{broken: true}});
    await read({{number: 3}});
    hired[1].answer();
    await settled();
    told.push('and then');
    hired[0].answer();
    await settled();
    await read({{number: 4}});
    await end(hired[0]);  // which has it
    for (const number of [5, 6]) {{ await read({{number}}); hired[1].answer(); await settled(); }}
    await read({{number: 7}});
    await end(hired[1]);
    await read({{number: 8}});
    console.log(JSON.stringify(told));
    process.exit();
    """
    ends = ["failed", 5, 6, "thrown: out of memory", "thrown: the workers ended"]
    assert node(text) == ["and then", 1, "failed", 3, *ends]


def test_frames_that_fail_one_after_the_other_end_the_reading(node):
    text = f"""{WORKERS}
    for (let i = 0; i < 4; i++) await read({{broken: true}});
    await read({{number: 1}});
    for (const worker of hired) if (worker.frames.length) worker.answer();
    await settled();
    for (let i = 0; i < 5; i++) await read({{broken: true}});
    console.log(JSON.stringify(told));
    process.exit();
    """
    assert node(text) == [*["failed"] * 4, 1, *["failed"] * 4, "thrown: no picture"]


def test_of_more_faces_than_the_list_takes_those_with_a_box_stay_when_a_timeline_comes_back(node):
    text = """
    globalThis.Option = class { constructor(text, value) { Object.assign(this, {text, value}); } };
    const {Reading} = await import('./live/reading.js');
    const chosen = {value: 1, options: [new Option('main', '')],
      replaceChildren(...options) { this.options = options; }};
    const ids = Array.from({length: 50}, (_, i) => i + 1);
    Reading.prototype.list.call({chosen}, ids, new Map([[1, {}], [51, {}]]));
    console.log(JSON.stringify([chosen.value, chosen.options.map(({text}) => text)]));
    """
    chosen, listed = node(text)
    assert chosen == 1 and listed == ["main", *(f"face {number}" for number in (1, *range(13, 52)))]


def test_the_rate_of_results_is_shown_however_seldom_frames_are_read_until_none_come(node):
    text = """
    let now = 1000;
    performance.now = () => now;
    const {Meter} = await import('./live/meter.js');
    console.log(JSON.stringify([0.25, 2, 3].map(interval => {
      const element = {}, meter = new Meter(element), hidden = new Set(), every = interval * 8;
      for (let tick = 0; tick <= 10 * every; tick++, now += 125) {
        if (tick % every === 0) meter.add(now - 20, 1);
        meter.show(now, true, interval);
        if (tick >= every) hidden.add(element.hidden);
      }
      const said = element.textContent;
      meter.show(now + 10000, true, interval);
      return [...hidden, said, element.hidden];
    })));
    """
    assert node(text) == [[False, f"{rate} results/s · 20 ms", True] for rate in ("4.0", "0.5", "0.3")]


def test_of_two_faces_that_are_about_as_large_the_main_one_stays(node):
    text = """
    const {Reading} = await import('./live/reading.js');
    const reading = Object.assign(Object.create(Reading.prototype), {tab: {at: {face_id: 0, w: 1, h: 2}}});
    const frames = [
      [[1, 100, 130], [2, 98, 128], [3, 40, 50]], [[2, 101, 131], [1, 99, 128]], [[2, 104, 134], [1, 97, 127]],
      [[2, 140, 180], [1, 97, 127]],  // has come close
      [[1, 101, 131], [2, 100, 130]],
      [[1, 100, 130]],
      [[null, null, null]],
      [[2, 101, 131], [1, 100, 130]],
    ];
    console.log(JSON.stringify(frames.map(rows => reading.mainFirst(rows).map(([id]) => id))));
    """
    assert node(text) == [[1, 2, 3], [1, 2], [1, 2], [2, 1], [2, 1], [1], [None], [2, 1]]


def test_the_emoji_of_a_face_that_changes_moves_for_less_than_five_seconds(node):
    text = """
    globalThis.matchMedia = () => ({matches: false});
    const {Reading} = await import('./live/reading.js');
    const moved = [], emoji = {dataset: {}, animate: (_, how) => moved.push(how.duration * (how.iterations ?? 1))};
    Reading.prototype.change.call({emoji, tab: {labels: {happy: {picture: 'happy.webp'}}}}, 'happy');
    console.log(JSON.stringify([emoji.src, Math.max(...moved)]));
    """
    picture, longest = node(text)
    assert picture == "happy.webp" and 0 < longest < 5000  # ms; WCAG 2.2.2


def test_the_focus_goes_to_start_only_from_what_can_no_longer_be_pressed(node):
    text = """
    globalThis.document = {body: {}};
    const {Panel} = await import('./live/panel.js');
    const thing = name => ({name, dataset: {}, focus() { document.activeElement = this; }, contains: () => false});
    const button = Object.fromEntries(['start', 'stop', 'pause', 'snapshot', 'share'].map(name => [name, thing(name)]));
    const panel = new Panel({$: thing, button}, {rows: []});
    const from = {select: thing('select'), body: document.body, pressed: button.stop};
    console.log(JSON.stringify(Object.entries(from).map(([name, element]) => {
      panel.setState('live');
      document.activeElement = element;
      panel.setState('off');
      return [name, document.activeElement.name];
    })));
    """
    assert node(text) == [["select", "select"], ["body", "start"], ["pressed", "start"]]


def test_undo_waits_under_a_mouse_but_not_for_what_was_touched(node):
    text = """
    let lapse;
    globalThis.document = {body: {}};
    globalThis.setTimeout = action => { lapse = action; };
    globalThis.clearTimeout = () => {};
    const {Panel} = await import('./live/panel.js');
    const thing = () => ({dataset: {}, setAttribute() {}, querySelector: thing, contains: () => false,
      matches: held => held.includes(':hover')});
    const told = [];
    for (const mouse of [true, false]) {
      globalThis.matchMedia = () => ({matches: mouse});
      const button = Object.fromEntries(['csv', 'json', 'picture', 'share', 'clear'].map(name => [name, thing()]));
      const panel = new Panel({$: thing, button}, {rows: [], clear: () => [1]});
      panel.clear();
      lapse();
      told.push(button.clear.textContent);
    }
    console.log(JSON.stringify(told));
    """
    assert node(text) == ["Undo", "Clear"]


def test_the_focus_leaves_undo_before_it_can_no_longer_be_pressed(node):
    text = """
    let lapse;
    globalThis.document = {body: {}};
    globalThis.setTimeout = action => { lapse = action; };
    globalThis.matchMedia = () => ({matches: true});
    const {Panel} = await import('./live/panel.js');
    const {Record} = await import('./live/record.js');
    const thing = name => ({name, dataset: {}, setAttribute() {}, querySelector: thing, contains: () => false,
      matches: () => false, focus() { document.activeElement = this; }});
    const names = ['start', 'stop', 'pause', 'snapshot', 'share', 'csv', 'json', 'picture', 'clear'];
    const button = Object.fromEntries(names.map(name => [name, thing(name)]));
    const record = new Record(['time', 'frame', 'face_id']), panel = new Panel({$: thing, button}, record), told = [];
    for (const state of ['off', 'live']) {
      panel.setState(state);
      document.activeElement = button.clear;
      panel.clear();
      told.push([button.clear.textContent, document.activeElement.name]);
      lapse();
      told.push([button.clear.textContent, document.activeElement.name]);
    }
    console.log(JSON.stringify(told));
    """
    assert node(text) == [["Undo", "clear"], ["Clear", "start"], ["Undo", "clear"], ["Clear", "pause"]]


def test_a_picture_whose_press_no_longer_counts_is_offered_and_not_just_saved(node):
    """`errors`: of the browser's `share`, attempt after attempt."""
    text = """
    let done, errors, button, shown = 0;
    const dialog = {
      querySelector: () => button, addEventListener() {}, append() { shown++; }, remove() { shown--; },
      setAttribute(name, value) { this[name] = value; },
      showModal() { if (this.innerHTML.includes(`<p id="${this['aria-labelledby']}">`)) done.push('offered'); },
    };
    globalThis.matchMedia = () => ({matches: true});
    globalThis.document = {
      createElement: name => name === 'dialog' ? dialog : {click() { done.push('saved'); }},
      querySelector: name => name === '.offer' && !shown ? null : dialog,
    };
    Object.defineProperty(globalThis, 'navigator', {value: {canShare: () => true, share: async ({files}) => {
      const name = errors.shift();
      if (name) throw Object.assign(new Error(), {name});
      done.push(`shared ${await files[0].text()}`);
    }}});
    const {share} = await import('./sharing.js');
    const told = [];
    for (errors of [[], ['AbortError'], ['InvalidStateError'], ['NotAllowedError'],
      ['NotAllowedError', 'NotAllowedError'], ['DataError']]) {
      done = [];
      button = {addEventListener(_, press) { this.press = press; }};
      await share(new Blob(['x']));
      await button.press?.();
      told.push(done);
    }
    console.log(JSON.stringify([...told, shown]));
    process.exit();
    """
    assert node(text) == [["shared x"], [], [], ["offered", "shared x"], ["offered", "saved"], ["saved"], 1]


def test_files_are_named_after_the_visitors_clock(node):
    text = """
    process.env.TZ = 'Asia/Tokyo';
    const names = [], Real = Date;
    globalThis.Date = class extends Real { constructor() { super('2026-02-28T20:05:09Z'); } };
    globalThis.document = {createElement: () => ({click() { names.push(this.download); }})};
    const {save} = await import('./sharing.js');
    save(new Blob(['x']), 'emotions', 'csv');
    console.log(JSON.stringify(names));
    process.exit();
    """
    assert node(text) == ["emotions-2026-03-01-05-05-09.csv"]


def test_tags_lie_on_no_other_and_do_not_jump_to_and_fro(node):
    text = """
    const {placeTags} = await import('./live/tags.js');
    const face = (x, y, place) => ({x, y, w: 70, h: 90, wide: 140, high: 30, place});
    const where = (...faces) => placeTags(faces, 640, 480).map(({place}) => place);
    const low = Array.from({length: 120}, (_, i) => face(300, 37 + 3.5 * Math.sin(i)));
    const told = low.reduce((so, one) => [...so, where({...one, place: so.at(-1)})[0]], []);
    console.log(JSON.stringify([
      where(face(100, 100)), where(face(100, 100), face(190, 105)), where(face(100, 2)), where(face(100, 2, 'below')),
      placeTags([face(0, 100), face(570, 100)], 640, 480).map(({left}) => left),
      where({...face(0, 0), w: 640, h: 480}), where(face(100, 100), face(100, 240), face(200, 110)),
      placeTags([face(100, 100), face(180, 95), face(140, 200), face(140, 0)], 640, 480).map(({free}) => free),
      told.filter((one, i) => i && one !== told[i - 1]).length,
    ]));
    """
    alone, beside, under_edge, still, ends, filled, crowd, free, jumps = node(text)
    assert (alone, beside, under_edge, still) == (["above"], ["above", "below"], ["below"], ["below"])
    assert ends == [0, 500] and filled == ["inside"]
    assert crowd == ["above"] * 3 and free == [False, False, True, True]
    assert jumps == 1, "a tag at the edge jumps with every tremor"


def test_a_network_that_broke_off_is_fetched_again_but_none_that_never_came(node):
    text = """
    const {createHash, webcrypto} = await import('node:crypto');
    globalThis.crypto ??= webcrypto;
    globalThis.setTimeout = goOn => goOn();
    const content = new Uint8Array([1, 2, 3, 4]), sha256 = createHash('sha256').update(content).digest('hex');
    const lost = new TypeError('network error');
    let asked = 0, fails = [];
    const part = end => { const parts = [content.slice(0, 2), ...end];
      return {ok: true, body: {getReader: () => ({read: async () => {
        const value = parts.shift();
        if (value instanceof Error) throw value;
        return {done: !value, value};
      }})}}; };
    globalThis.fetch = async () => {
      const fault = fails[asked++];
      if (fault === 'refused') throw lost;
      return fault === 'broken' ? part([lost]) : part([content.slice(2)]);
    };
    const {fetchAll} = await import('./browser/files.js');
    async function tried(...faults) {
      [asked, fails] = [0, faults];
      const told = [];
      const come = fetchAll([{address: 'a/one.onnx', sha256, bytes: 4}], [], bytes => told.push(bytes));
      return [await come.then(([one]) => [...one], error => error.message), asked, told];
    }
    console.log(JSON.stringify([await tried('broken', 'refused', 'refused'), await tried('refused'),
      await tried(...Array(9).fill('broken'))]));
    """
    came, never, always = node(text)
    assert came == [[1, 2, 3, 4], 4, [2, 2, 4]]
    assert never == ["network error", 1, []], "nobody waits for what something keeps away"
    assert always[:2] == ["network error", 6]
