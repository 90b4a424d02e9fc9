// A strict reader of the text exposition format 0.0.4, and the scaling rules of the shipped
// charts as functions of scrapes.
import assert from 'node:assert/strict';

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\n"])*"';
const SAMPLE = new RegExp(`^(${NAME})(\\{(?:${LABEL}(?:,${LABEL})*)?\\})? ([-+]?(?:\\d+\\.?\\d*(?:e[-+]?\\d+)?|Inf)|NaN)$`);

// Map of "name{labels}" to number. Refuses what Prometheus would refuse, and what it would
// only warn of: a sample without its TYPE, a family in two places, a sample twice.
export function parseMetrics(text) {
    const samples = new Map();
    const types = new Map();
    const closed = new Set();
    let family;
    assert.ok(text === '' || text.endsWith('\n'), 'the last line has no end');
    for (const line of text.split('\n').slice(0, -1)) {
        const comment = line.match(new RegExp(`^# (HELP|TYPE) (${NAME}) (.*)$`));
        if (comment) {
            const [, what, name, rest] = comment;
            if (name !== family) {
                if (family) closed.add(family);
                assert.ok(!closed.has(name), `${name} stands in two places`);
                family = name;
            }
            if (what === 'TYPE') {
                assert.match(rest, /^(counter|gauge|histogram|summary|untyped)$/, line);
                assert.ok(!types.has(name), `${name} has two types`);
                types.set(name, rest);
            }
            continue;
        }
        const sample = line.match(SAMPLE);
        assert.ok(sample, `not a sample: ${line}`);
        const [, name, labels = '', value] = sample;
        const type = types.get(family);
        const own = type === 'histogram' || type === 'summary' ? name.replace(/_(bucket|sum|count)$/, '') : name;
        assert.equal(own, family, `${name} stands under ${family}`);
        assert.ok(type, `${name} has no type`);
        assert.ok(!samples.has(name + labels), `${name}${labels} twice`);
        samples.set(name + labels, Number(value.replace('Inf', 'Infinity')));
    }
    return samples;
}

const clamp = (n, least, most) => Math.min(most, Math.max(least, n));
const max = (scrapes, name) => Math.max(...scrapes.map((s) => s.get(name)));

// max(instant_tasks_jobs_active) + max(instant_tasks_jobs_waiting), threshold 5
export const instantReplicas = (scrapes) =>
    clamp(Math.ceil((max(scrapes, 'instant_tasks_jobs_active') + max(scrapes, 'instant_tasks_jobs_waiting')) / 5), 2, 20);
// max(queued_tasks_workers_required) * 1.3, threshold 1
export const queuedReplicas = (scrapes) =>
    clamp(Math.ceil(max(scrapes, 'queued_tasks_workers_required') * 1.3 - 1e-9), 2, 50);
