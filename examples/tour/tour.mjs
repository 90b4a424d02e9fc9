// Five minutes with the public SDK: an integration, a customer, a connection and an action
// against a PocketBase server. README.md says how to start both servers.
import { createHmac } from 'node:crypto';

import { MembraneClient } from '@membranehq/sdk';

const env = process.env;
const apiUri = env.MEMBRANE_API_URI;

// What your backend does: sign a token with the workspace's secret.
function token(claims) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const exp = Math.floor(Date.now() / 1000) + 3600;
    const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ workspaceKey: env.MEMBRANE_WORKSPACE_KEY, exp, ...claims })}`;
    return `${text}.${createHmac('sha256', env.MEMBRANE_WORKSPACE_SECRET).update(text).digest('base64url')}`;
}

// You, the workspace's administrator: what customers may use.
const admin = new MembraneClient({ apiUri, token: token({ isAdmin: true }) });
const integration = await admin.integrations.create({
    key: 'pocketbase',
    name: 'PocketBase',
    connectorKey: 'pocketbase',
});
console.log(`integration "${integration.key}" is ${integration.state}`);
await admin.actions.create({
    key: 'list-users',
    name: 'List users',
    integrationKey: 'pocketbase',
    type: 'connector-operation',
    config: { operationKey: 'list-records', inputMapping: { collection: 'users', filter: { $var: '$.input.filter' } } },
    outputMapping: { count: { $var: '$.output.totalItems' }, users: { $var: '$.output.records' } },
});

// One of your customers, named for the first time: connects the app and runs the action.
const customer = new MembraneClient({ apiUri, token: token({ id: 'customer-1', name: 'Ada' }) });
const connection = await customer.connections.create({
    integrationKey: 'pocketbase',
    input: { url: env.POCKETBASE_URL, identity: env.POCKETBASE_EMAIL, password: env.POCKETBASE_PASSWORD },
});
console.log(`connection "${connection.name}" of ${(await customer.self.get()).name} is ${connection.connected ? 'connected' : 'not connected'}`);
const { output } = await customer.action({ key: 'list-users', integrationKey: 'pocketbase' }).run({});
console.log('the action gave', output);
