// In the place of the guest: locks itself like it, then tries to get out with everything
// that Node has, which code of a job never sees. Sends {layers, reached: [...], tried: n}.
'use strict';
const fs = require('fs'), net = require('net'), dgram = require('dgram'), dns = require('dns');
const childProcess = require('child_process'), os = require('os');
const isZygote = process.argv[3] === 'zygote';
if (isZygote) native.send(Buffer.from('{"t":"ready"}'));
const layers = isZygote ? native.serve(Number(process.argv[1])) : native.lock(Number(process.argv[1]), Number(process.argv[2]));
native.limit(256, 20);
const reached = [];
let tried = 0;
function attempt(name, fn) {
    tried++;
    try {
        const result = fn();
        if (result !== undefined && result !== false) reached.push(`${name}: ${String(result).slice(0, 80)}`);
    } catch {}
}
for (const path of ['/etc/passwd', '/proc/self/environ', '/proc/self/maps', '/proc/1/environ', `/proc/${process.ppid}/mem`, '/proc/self/fd/3', '/dev/null', '/sys/kernel', process.execPath])
    attempt(`read ${path}`, () => fs.readFileSync(path));
for (const path of ['/', '/proc', '/tmp', '/home', '/proc/self/fd']) attempt(`list ${path}`, () => fs.readdirSync(path));
for (const path of ['/etc/passwd', process.execPath]) attempt(`stat ${path}`, () => fs.statSync(path));
for (const path of ['/tmp/x', '/x', '/dev/shm/x', '/proc/x']) attempt(`write ${path}`, () => (fs.writeFileSync(path, 'x'), true));
attempt('symlink', () => (fs.symlinkSync('/etc/passwd', '/tmp/membrane-escape-link'), true));
attempt('mkdir', () => (fs.mkdirSync('/tmp/membrane-escape-dir'), true));
attempt('chdir', () => (process.chdir('/tmp'), true));
attempt('spawn', () => !childProcess.spawnSync('/bin/true').error);
attempt('fork', () => !childProcess.spawnSync(process.execPath, ['-e', '0']).error);
for (const pid of [1, process.ppid, -1, process.pid + 1]) attempt(`signal ${pid}`, () => (process.kill(pid, 0), true));
attempt('setuid', () => (process.setuid(0), true));
attempt('priority', () => (os.setPriority(1, 0), true));
attempt('environment', () => Object.keys(process.env).filter((n) => n !== 'TZ').length > 0);
// Descriptors that are open: nothing but what Node and the socket need.
for (let fd = 0; fd < 64; fd++)
    attempt(`descriptor ${fd}`, () => {
        const s = fs.fstatSync(fd);
        return s.isDirectory() || s.isFile() || (s.isSocket() && fd !== 3) || (s.isCharacterDevice() && fd > 1 && s.rdev !== fs.fstatSync(0).rdev);
    });
attempt('interfaces', () => Object.keys(os.networkInterfaces()).length > 0);
const sockets = [['127.0.0.1', 22], ['169.254.169.254', 80], ['::1', 80], ['10.0.0.1', 80], ['8.8.8.8', 53]].map(([host, port]) => new Promise((done) => {
    tried++;
    try {
        net.connect({ host, port }).on('connect', () => (reached.push(`connect ${host}`), done())).on('error', done);
    } catch {
        done();
    }
}));
sockets.push(new Promise((done) => {
    tried++;
    try {
        const s = dgram.createSocket('udp4');
        s.on('error', done);
        s.send('x', 53, '127.0.0.1', (error) => (error || reached.push('udp'), done()));
    } catch {
        done();
    }
}));
sockets.push(new Promise((done) => (tried++, net.createServer().on('error', done).listen(0, () => (reached.push('listen'), done())))));
sockets.push(new Promise((done) => (tried++, net.connect('/run/docker.sock').on('connect', () => (reached.push('unix socket'), done())).on('error', done))));
sockets.push(new Promise((done) => (tried++, dns.lookup('localhost.example', (error) => (error || reached.push('dns'), done())))));
setTimeout(() => {}, 10);
Promise.all(sockets).then(() => {
    native.send(Buffer.from(JSON.stringify({ layers, reached, tried })));
    native.exit();
});
