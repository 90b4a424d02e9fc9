// A real OpenID provider (oidc-provider) for tests, driven like a browser by fetch.
//
//     const provider = await startProvider({ redirectUri });
//     const back = await provider.consent(authorizeUrl, 'ada');   // the app's way back
//     await provider.stop();
import http from 'node:http';

import Provider from 'oidc-provider';

const clientOf = (id, redirectUri, extra) => ({
    client_id: id,
    client_secret: 'a secret/with+signs and a space',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    ...extra,
});

// account(sub) gives more claims of a person, such as their address.
export async function startProvider({ redirectUri, ttlSeconds = 3600, account = () => ({}) }) {
    const listener = http.createServer();
    await new Promise((done) => listener.listen(0, '127.0.0.1', done));
    const uri = `http://127.0.0.1:${listener.address().port}`;
    const oidc = new Provider(uri, {
        clients: [
            clientOf('header client', redirectUri, { token_endpoint_auth_method: 'client_secret_basic' }),
            clientOf('body-client', redirectUri, { token_endpoint_auth_method: 'client_secret_post' }),
        ],
        pkce: { required: () => true },
        scopes: ['openid', 'offline_access', 'profile', 'email'],
        claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
        conformIdTokenClaims: false, // a console reads them from the identity token
        rotateRefreshToken: () => true,
        issueRefreshToken: async () => true,
        ttl: { AccessToken: ttlSeconds, RefreshToken: 86_400, Grant: 86_400, Session: 3600, Interaction: 600 },
        findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...account(sub) }) }),
        features: { devInteractions: { enabled: true }, revocation: { enabled: true } },
    });
    const seen = []; // what the token endpoint was asked and answered
    oidc.on('grant.success', (ctx) => seen.push({ params: ctx.oidc.params, headers: ctx.headers, body: ctx.body }));
    oidc.on('grant.error', (ctx, error) => seen.push({ params: ctx.oidc?.params, error }));
    listener.on('request', oidc.callback());
    return {
        uri,
        seen,
        stop: () => (listener.close(), listener.closeAllConnections()),
        consent: (url, login, deny = false) => consent(uri, url, login, deny),
    };
}

// Follows redirects with cookies, fills in the login form, and consents (or not). Gives the
// first address outside of the provider: where it sends the browser back to.
async function consent(origin, url, login, deny) {
    const cookies = new Map();
    let form;
    for (let step = 0; step < 15; step++) {
        const answer = await fetch(url, {
            method: form ? 'POST' : 'GET',
            body: form,
            redirect: 'manual',
            headers: { cookie: [...cookies].map(([k, v]) => `${k}=${v}`).join('; ') },
        });
        for (const cookie of answer.headers.getSetCookie()) {
            const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
            cookies.set(name, value);
        }
        const location = answer.headers.get('location');
        form = undefined;
        if (location) {
            url = new URL(location, url).href;
            if (!url.startsWith(origin)) return url;
            continue;
        }
        const page = await answer.text();
        const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1];
        const abort = /<a href="([^"]+\/abort)"/.exec(page)?.[1];
        if (!action || answer.status !== 200) throw new Error(`${answer.status} ${url}: ${page}`);
        const prompt = /name="prompt" value="([^"]+)"/.exec(page)[1];
        if (deny) {
            url = new URL(abort, url).href;
            continue;
        }
        form = new URLSearchParams({ prompt, ...(prompt === 'login' && { login, password: 'any' }) });
        url = new URL(action, url).href;
    }
    throw new Error('the provider goes round in circles');
}
