// A stand-in for Singpass on this machine, for `make demo` and the tests: an independent FAPI 2.0 server (oidc-provider).
// Its settings come as JSON in SINGPASS_COUNTERPART, see __init__.py. Several issuers may live in it, each by its path.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import Provider, { errors } from 'oidc-provider'
import { chooser } from './chooser.mjs'

const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const LOA = 'urn:singpass:authentication:loa:'
const ES = ['ES256', 'ES384', 'ES512']
const KEY_WRAPS = ['ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW']
const ENCRYPTIONS = ['A256CBC-HS512', 'A256GCM']
const start = JSON.parse(process.env.SINGPASS_COUNTERPART)
const issuers = new Map()
const now = Date.now
let secondsAhead = 0
Date.now = () => now() + secondsAhead * 1000

function signingKey(kid) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' }
}

function proof(persona) {
  return { acr: persona.acr ?? `${LOA}2`, amr: persona.amr ?? ['pwd', 'swk'] }
}

function claimsOf(persona, scope) {
  const asked = scope.split(' ')
  const attributes = {}
  if (asked.includes('user.identity')) {
    attributes.account_type = persona.foreign ? 'foreign' : 'standard'
    attributes.identity_number = persona.identity_number
    attributes.identity_coi = persona.foreign ? 'MY' : 'SG'
  }
  for (const each of ['name', 'email', 'mobileno']) {
    if (asked.includes(each) && persona[each]) attributes[each] = persona[each]
  }
  return {
    sub: persona.sub,
    sub_type: persona.sub_type ?? 'user',
    ...proof(persona),
    ...(Object.keys(attributes).length ? { sub_attributes: attributes } : {}),
  }
}

function requireStrictAssertion(ctx, claims, header) {
  const wrong = header.typ !== 'JWT' || claims.aud !== ctx.oidc.issuer || !(claims.exp - claims.iat <= 120)
  if (wrong || ctx.oidc.params.client_assertion_type !== ASSERTION) {
    throw new errors.InvalidClientAuth('the assertion is not what Singpass accepts')
  }
}

function requireContext(ctx, value) {
  if (value !== 'APP_AUTHENTICATION_DEFAULT') throw new errors.InvalidRequest('authentication_context_type')
}

function checkMessage(ctx, value) {
  if (value && !/^[A-Za-z0-9 .,\-@'!()]{1,100}$/.test(value)) {
    throw new errors.InvalidRequest('authentication_context_message')
  }
}

function configuration(settings, personas) {
  return {
    clients: [{
      client_id: settings.client_id,
      redirect_uris: [settings.redirect_uri],
      response_types: ['code'],
      grant_types: ['authorization_code'],
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      id_token_signed_response_alg: 'ES256',
      id_token_encrypted_response_alg: settings.wrap ?? 'ECDH-ES+A256KW',
      id_token_encrypted_response_enc: settings.encryption ?? 'A256CBC-HS512',
      require_pushed_authorization_requests: true,
      dpop_bound_access_tokens: true,
      jwks: settings.jwks,
    }],
    jwks: { keys: [signingKey(settings.kid ?? 'counterpart/1')] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    routes: {
      authorization: '/auth', token: '/token', userinfo: '/userinfo', jwks: '/.well-known/keys',
      pushed_authorization_request: '/par',
    },
    clientAuthMethods: ['private_key_jwt'],
    responseTypes: ['code'],
    pkce: { required: () => true },
    enabledJWA: {
      clientAuthSigningAlgValues: ES, dPoPSigningAlgValues: ES, idTokenSigningAlgValues: ['ES256'],
      idTokenEncryptionAlgValues: KEY_WRAPS, idTokenEncryptionEncValues: ENCRYPTIONS,
    },
    features: {
      devInteractions: { enabled: false },
      fapi: { enabled: true, profile: '2.0' },
      encryption: { enabled: true },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
      dPoP: {
        enabled: true,
        ...(settings.dpop_nonce ? { nonceSecret: randomBytes(32), requireNonce: () => true } : {}),
      },
      rpInitiatedLogout: { enabled: false },
    },
    scopes: ['openid', 'user.identity', 'name', 'email', 'mobileno'],
    claims: { openid: ['sub', 'sub_type', 'sub_attributes', 'acr', 'amr'] },
    acrValues: [1, 2, 3].map(level => `${LOA}${level}`),
    conformIdTokenClaims: false, // else the attributes go to userinfo only
    expiresWithSession: async () => false, // else a login in a second tab ends the code of the first
    ttl: {
      AuthorizationCode: settings.code_seconds ?? 60, IdToken: 600, AccessToken: 1800,
      Interaction: 600, Session: 600, Grant: 1800,
    },
    extraParams: {
      authentication_context_type: requireContext, authentication_context_message: checkMessage,
    },
    assertJwtClientAuthClaimsAndHeader: requireStrictAssertion,
    async findAccount(ctx, sub) {
      const persona = personas.get(sub)
      return persona && { accountId: sub, claims: (use, scope) => claimsOf(persona, scope) }
    },
    async loadExistingGrant(ctx) {
      const { client, session, params } = ctx.oidc
      const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId })
      grant.addOIDCScope(params.scope)
      await grant.save()
      return grant
    },
    interactions: { url: (ctx, interaction) => `/${settings.path}/interaction/${interaction.uid}` },
    renderError(ctx, out) {
      ctx.type = 'html'
      ctx.body = '<!doctype html><html lang="en"><title>Error</title><h1>This login cannot be continued</h1>'
        + '<p>Please go back to the clinic and start again.</p></html>'
    },
  }
}

function open(settings) {
  const personas = new Map((settings.personas ?? start.personas).map(each => [each.sub, { ...each }]))
  const provider = new Provider(`http://127.0.0.1:${start.port}/${settings.path}`, configuration(settings, personas))
  provider.on('server_error', (ctx, error) => console.error(error))
  issuers.set(settings.path, {
    settings, personas, provider, callback: provider.callback(), failures: { ...settings.failures }, requests: {},
  })
}

async function body(request) {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}

async function interact(issuer, request, response) {
  const { prompt } = await issuer.provider.interactionDetails(request, response)
  if (request.method === 'GET') {
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' })
    return response.end(chooser([...issuer.personas.values()]))
  }
  const form = new URLSearchParams(await body(request))
  const persona = issuer.personas.get(form.get('persona'))
  if (persona && start.control && form.get('acr')) persona.acr = form.get('acr')
  const error = (start.control && form.get('error')) || 'access_denied'
  const result = persona && prompt.name === 'login'
    ? { login: { accountId: persona.sub, remember: false, ...proof(persona) } }
    : { error }
  return issuer.provider.interactionFinished(request, response, result)
}

async function control(request, response) {
  if (request.method === 'POST') {
    const wanted = JSON.parse(await body(request))
    secondsAhead = wanted.seconds_ahead ?? 0
    if (wanted.path) open(wanted)
  }
  const name = new URL(request.url, 'http://127.0.0.1').searchParams.get('path')
  response.writeHead(200, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify(issuers.get(name)?.requests ?? {}))
}

async function answer(request, response) {
  if (start.control && request.url.startsWith('/__control')) return control(request, response)
  if (request.url === '/favicon.ico') {
    response.writeHead(204)
    return response.end()
  }
  const [, path] = request.url.split('?')[0].split('/')
  const issuer = issuers.get(path)
  if (!issuer) {
    response.writeHead(404)
    return response.end()
  }
  const rest = request.url.slice(path.length + 1) || '/'
  const route = rest.split('?')[0]
  issuer.requests[route] = (issuer.requests[route] ?? 0) + 1
  const failure = issuer.failures[route]
  if (failure && failure.times-- > 0) {
    response.writeHead(failure.status, { 'Content-Type': 'application/json' })
    return response.end(JSON.stringify(failure.body ?? {}))
  }
  request.originalUrl = request.url
  if (route.startsWith('/interaction/')) return interact(issuer, request, response)
  request.url = rest
  return issuer.callback(request, response)
}

const server = createServer((request, response) => {
  answer(request, response).catch(error => {
    console.error(error)
    if (!response.headersSent) response.writeHead(400)
    response.end()
  })
})
for (const settings of start.issuers) open(settings)
server.listen(start.port, '127.0.0.1', () => process.stdout.write('ready\n'))
