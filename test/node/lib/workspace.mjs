// Tokens and plain requests for tests that speak to the API without a client.
//
//     const workspace = { key: server.workspaceKey, secret: server.workspaceSecret };
//     const call = caller(server.apiUri, adminToken(workspace));
//     const { status, body } = await call('GET', '/actions');
import { createHmac } from 'node:crypto';

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

// A token signed with the workspace's secret, good for an hour.
export function signToken(workspace, claims) {
    const exp = Math.floor(Date.now() / 1000) + 3600;
    const all = { workspaceKey: workspace.key, exp, ...claims };
    const text = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url(all)}`;
    const mac = createHmac('sha256', workspace.secret).update(text).digest('base64url');
    return `${text}.${mac}`;
}
export const adminToken = (workspace) => signToken(workspace, { isAdmin: true });
export const customerToken = (workspace, id) => signToken(workspace, { id, name: id });

export const workspaceOf = (server) => ({
    key: server.workspaceKey,
    secret: server.workspaceSecret,
});

// Gives call(method, path, body?) -> {status, body, text}; body: parsed JSON, or undefined.
export function caller(apiUri, token) {
    return async function call(method, path, body, headers = {}) {
        const answer = await fetch(apiUri + path, {
            method,
            headers: {
                ...(token && { authorization: `Bearer ${token}` }),
                ...(body !== undefined && { 'content-type': 'application/json' }),
                ...headers,
            },
            body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
        });
        const text = await answer.text();
        let json;
        try {
            json = JSON.parse(text);
        } catch {
            json = undefined;
        }
        return { status: answer.status, body: json, text };
    };
}

// What a failed answer of the contract looks like (ErrorData); gives what is wrong with it.
export function errorDataProblem(body) {
    if (typeof body !== 'object' || body === null) return 'not an object';
    if (typeof body.message !== 'string' || !body.message) return 'no message';
    if (typeof body.type !== 'string') return 'no type';
    if ('key' in body && typeof body.key !== 'string') return 'key is not text';
    return undefined;
}

// A second workspace beside the one of `membrane up`.
export async function createWorkspace(server, name) {
    const link = new URL(server.adminUri).searchParams.get('token');
    const anonymous = caller(server.apiUri);
    server.session ??= (await anonymous('POST', '/auth/link', { token: link })).body.token;
    const call = caller(server.apiUri, server.session);
    const orgs = (await call('GET', '/orgs')).body;
    const { status, body, text } = await call('POST', '/org-workspaces', {
        name,
        orgId: orgs[0].id,
    });
    if (status >= 300) throw new Error(text);
    return { key: body.key, secret: body.secret, id: body.id };
}
