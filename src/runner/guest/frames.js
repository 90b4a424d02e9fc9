// What the process says to the supervisor and hears from it: frames of JSON on descriptor 3.
//
// The files of this folder are one program: they are joined, in the order of meson.build, to
// one function of (native, require, process). Nothing in them is a barrier: the code of the
// job could change every object they touch. The barrier is what native.lock() or serve() took from the
// process, and the supervisor, which believes no frame.
const vm = require('vm');
const util = require('util');
const path = require('path');
const nodeModule = require('module');

const MAX_PARALLEL_CALLS = 10;

const { stringify: toJson, parse: fromJson } = JSON;
const toBuffer = Buffer.from;
const send = (frame) => native.send(toBuffer(toJson(frame)));
let finished = false;

// The last frame; `text` is JSON already.
function finish(text) {
    if (finished) return;
    finished = true;
    native.send(toBuffer(text));
    native.exit();
}

let socket;
let received = [];
let receivedLength = 0;
let nextCall = 1;
const pending = new Map(); // id -> what takes the answer
const waiting = [];

let wanted = 4; // bytes of the next frame, as far as they are known

function onData(part) {
    received.push(part);
    receivedLength += part.length;
    while (receivedLength >= wanted) {
        const all = received.length > 1 ? Buffer.concat(received) : received[0];
        received = [all];
        wanted = 4 + all.readUInt32LE(0);
        if (all.length < wanted) return;
        const frame = fromJson(all.toString('utf8', 4, wanted));
        received = [all.subarray(wanted)];
        receivedLength = all.length - wanted;
        wanted = 4;
        takeAnswer(frame);
    }
}

function takeAnswer(frame) {
    const take = pending.get(frame.id);
    if (!take) return;
    pending.delete(frame.id);
    const next = waiting.shift();
    if (next) next();
    else if (pending.size === 0) socket.unref();
    take(frame);
}

// Made with the first call, so that a forked process makes its own.
function openSocket() {
    socket = new (require('net').Socket)({ fd: 3, readable: true, writable: false });
    socket.on('data', onData);
    socket.on('end', () => native.exit());
    socket.on('error', () => native.exit());
}

// Asks the supervisor: resolves with the whole answer frame.
function call(request) {
    return new Promise((resolve, reject) => {
        const start = () => {
            if (!socket) openSocket();
            const id = nextCall++;
            socket.ref();
            pending.set(id, (frame) => (frame.error ? reject(asError(frame.error)) : resolve(frame)));
            send({ t: 'call', id, ...request });
        };
        if (pending.size >= MAX_PARALLEL_CALLS) waiting.push(start);
        else start();
    });
}
