// ---- console: lines become entries of the job's log ----

const MAX_LOGS = 1000;
const MAX_LOG_LENGTH = 8192;
const LEVELS = { log: 'info', info: 'info', debug: 'debug', trace: 'debug', warn: 'warn', error: 'error', dir: 'info', table: 'info' };

let logs = 0;
function log(level, args) {
    if (logs++ >= MAX_LOGS) return;
    let message;
    try {
        message = util.format(...args);
    } catch (e) {
        message = `(can not be shown: ${e?.message})`;
    }
    send({ t: 'log', level, message: message.slice(0, MAX_LOG_LENGTH) });
}

function makeConsole() {
    const made = {};
    for (const [name, level] of Object.entries(LEVELS)) made[name] = (...args) => log(level, args);
    made.dir = (value) => log('info', [value]);
    made.assert = (ok, ...args) => void (ok || log('error', ['Assertion failed', ...args]));
    const started = new Map();
    made.time = (label = 'default') => void started.set(label, performance.now());
    made.timeEnd = made.timeLog = (label = 'default') => log('info', [`${label}: ${(performance.now() - (started.get(label) ?? NaN)).toFixed(3)}ms`]);
    const counts = new Map();
    made.count = (label = 'default') => {
        counts.set(label, (counts.get(label) ?? 0) + 1);
        log('info', [`${label}: ${counts.get(label)}`]);
    };
    made.countReset = (label = 'default') => void counts.delete(label);
    made.group = made.groupCollapsed = (...args) => args.length && log('info', args);
    for (const name of ['groupEnd', 'clear', 'profile', 'profileEnd', 'timeStamp']) made[name] = () => {};
    return made;
}
