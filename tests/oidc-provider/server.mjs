// An OpenID-certified issuer (npm oidc-provider) on a free port: the judge of the whole-system tests that this
// project did not write. It gives JWT access tokens (RFC 9068) for the client-credentials grant:
//
//   POST /token  grant_type=client_credentials&resource=urn:sign:ES256   (client id and secret by HTTP Basic)
//
// The resource picks how the token is signed. People sign in with any password to the public client PAGE_CLIENT_ID
// (authorization code with PKCE), whose page is at /ui of any port of this machine; those whose name begins with `admin`
// are in the group `runner-admins`.
//
// From the environment: PORT (default: a free one), CLIENT_ID, CLIENT_SECRET, PAGE_CLIENT_ID, AUDIENCE. It prints
// `READY <issuer>` when it can be asked.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const { PORT = '0', CLIENT_ID, CLIENT_SECRET, PAGE_CLIENT_ID, AUDIENCE } = process.env;
if (!CLIENT_ID || !CLIENT_SECRET || !PAGE_CLIENT_ID || !AUDIENCE) {
  throw new Error('CLIENT_ID, CLIENT_SECRET, PAGE_CLIENT_ID and AUDIENCE are required');
}

const pairs = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};
const keys = Object.entries(pairs).map(([alg, make]) => (
  { ...make().privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `certified-${alg}` }));

const server = createServer();
await new Promise((listening) => server.listen(Number(PORT), '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  jwks: { keys },
  clients: [{
    client_id: CLIENT_ID, client_secret: CLIENT_SECRET, grant_types: ['client_credentials'],
    redirect_uris: [], response_types: [],
  }, {
    // A native client's redirect to this machine may name any port (RFC 8252 section 7.3).
    client_id: PAGE_CLIENT_ID, token_endpoint_auth_method: 'none', application_type: 'native',
    grant_types: ['authorization_code'], response_types: ['code'], redirect_uris: ['http://127.0.0.1/ui'],
  }],
  clientBasedCORS: (_context, origin, client) => (
    client.clientId === PAGE_CLIENT_ID && new URL(origin).hostname === '127.0.0.1'),
  findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  extraTokenClaims: (_context, { accountId }) => (accountId && {
    preferred_username: accountId, groups: accountId.startsWith('admin') ? ['runner-admins'] : ['staff'],
  }),
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:sign:RS256',
      getResourceServerInfo: (_context, resource) => ({
        scope: '', audience: AUDIENCE, accessTokenFormat: 'jwt', accessTokenTTL: 300,
        jwt: { sign: { alg: resource.replace('urn:sign:', '') } },
      }),
    },
  },
});
server.on('request', provider.callback());
console.log(`READY ${issuer}`);

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
