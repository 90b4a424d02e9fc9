// The little of a browser that the clients' connect() needs: forms that are submitted into
// popups and frames, messages between windows, event streams. Pages of the server run
// their own script.
import vm from 'node:vm';

// channel: the one way in which results arrive, 'window' or 'stream'. visit(url): the
// person at another site; gives the address it leads back to. isOurs(url): the server's.
export function installBrowser({ channel, visit, isOurs }) {
    const names = ['window', 'document', 'screen', 'EventSource'];
    const before = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name));
    const listeners = new Set();
    const problems = [];
    const popups = new Map();

    async function load(answer, target) {
        while (answer.status === 302) {
            let url = answer.headers.get('location');
            if (!isOurs(url)) url = await visit(url);
            answer = await fetch(url, { redirect: 'manual' });
        }
        const script = /<script nonce="[^"]+">([\s\S]*?)<\/script>/.exec(await answer.text())[1];
        const host = {
            postMessage: (message) => {
                const data = JSON.parse(JSON.stringify(message));
                if (channel === 'window') for (const listener of [...listeners]) listener({ data });
            },
        };
        const popup = popups.get(target);
        const window = popup ? { opener: host, close: () => (popup.closed = true) } : { parent: host };
        if (popup) window.parent = window;
        // A closed popup must not win the race against the stream.
        vm.runInNewContext(script, { window, setTimeout: channel === 'window' ? setTimeout : () => {} });
    }
    const element = (tag) => ({
        tag,
        style: {},
        fields: [],
        appendChild(child) {
            this.fields.push([child.name, child.value]);
        },
        submit() {
            const answer = fetch(this.action, {
                method: this.method,
                redirect: 'manual',
                body: new URLSearchParams(this.fields),
            });
            answer.then((a) => load(a, this.target)).catch((error) => problems.push(error));
        },
    });
    class Stream {
        constructor(url) {
            if (channel !== 'stream') return;
            this.abort = new AbortController();
            this.read(url).catch((error) => this.abort.signal.aborted || problems.push(error));
        }
        async read(url) {
            const answer = await fetch(url, { signal: this.abort.signal });
            let text = '';
            for await (const chunk of answer.body) {
                text += Buffer.from(chunk).toString();
                for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
                    const event = text.slice(0, end);
                    if (event.startsWith('data: ')) this.onmessage({ data: event.slice(6) });
                }
            }
        }
        close() {
            this.abort?.abort();
        }
    }
    Object.assign(globalThis, {
        window: {
            atob,
            addEventListener: (type, listener) => type === 'message' && listeners.add(listener),
            removeEventListener: (type, listener) => listeners.delete(listener),
            open: (url, name) => {
                const popup = { closed: false };
                popups.set(name, popup);
                return popup;
            },
        },
        document: {
            createElement: element,
            body: { appendChild: () => {}, removeChild: () => {} },
        },
        screen: { width: 1600, height: 1000 },
        EventSource: Stream,
    });
    return {
        problems,
        uninstall: () =>
            names.forEach((name, i) => {
                delete globalThis[name];
                if (before[i]) Object.defineProperty(globalThis, name, before[i]);
            }),
    };
}
