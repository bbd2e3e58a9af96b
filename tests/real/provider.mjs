// A certified OpenID provider on loopback, for tests. It says its address on the first line of
// stdout, and ends when its stdin does, so that no test leaves one behind.
//
// Its first argument is a JSON object: `seconds`, how long each kind of token lives, by its name
// in oidc-provider, and `refresh`, whether it gives refresh tokens at all.

import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const wishes = JSON.parse(process.argv[2] ?? '{}');

const client = {
  client_id: 'brokerctl',
  application_type: 'native', // any port on loopback (RFC 8252, section 7.3)
  token_endpoint_auth_method: 'none',
  redirect_uris: ['http://127.0.0.1/callback'],
  response_types: ['code'],
  grant_types: [
    'authorization_code',
    ...(wishes.refresh === false ? [] : ['refresh_token']),
    'urn:ietf:params:oauth:grant-type:device_code',
  ],
};

// A Vault, which people log in to here: its secret is its own, the way back is its client's.
const vault = {
  client_id: 'vault',
  client_secret: 'of the tests',
  application_type: 'native',
  redirect_uris: ['http://localhost/oidc/callback'],
  response_types: ['code'],
  grant_types: ['authorization_code'],
};

const configuration = {
  clients: [client, vault],
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  conformIdTokenClaims: false, // the email stands in the ID token, as most providers have it
  cookies: { keys: ['only for tests'] },
  features: {
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // RFC 9068: the access token for a resource is a JWT that names it.
      getResourceServerInfo: (_context, resource) => ({
        scope: 'openid',
        audience: resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 300,
      }),
    },
    revocation: { enabled: true },
  },
  // Whoever logs in exists.
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true }),
  }),
  pkce: { required: () => true },
  ttl: { AccessToken: 300, DeviceCode: 60, IdToken: 300, RefreshToken: 86400, ...wishes.seconds },
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  server.on('request', new Provider(issuer, configuration).callback());
  console.log(issuer);
});

process.stdin.on('end', () => process.exit(0)).resume();
