// Signs people in with the organisation's issuer: authorization code with PKCE. The token is in this module's memory
// alone; a reload forgets it. What must outlive the way to the issuer and back (no token) is in the session's storage.
import * as oauth from './vendor/oauth4webapi/index.js';

const UNDER_WAY = 'sign-in';
const redirectUri = `${location.origin}/ui`;

let config;
let token;
let ended = () => {};
let endTimer;

/** Reads how people sign in. */
export async function configure(onEnded) {
  ended = onEnded;
  const answer = await fetch('/ui/config.json');
  if (!answer.ok) throw new Error('This page is not set up: its configuration could not be read.');
  config = await answer.json();
}

/** Where people sign in, for people. */
export const issuerHost = () => new URL(config.issuer).host;

/** The header that says who calls; none before anybody has signed in. */
export const authorization = () => (token ? { authorization: `Bearer ${token}` } : {});

/** Whether somebody has signed in. */
export const signedIn = () => token !== undefined;

/** Forgets the token. */
export function forget() {
  clearTimeout(endTimer);
  token = undefined;
}

/** The session is over: the token is forgotten, and the page asks to sign in again. */
export function end() {
  if (!signedIn()) return;
  forget();
  ended();
}

// An issuer on this machine may be asked without TLS; the service allows no other.
const options = () => ({ [oauth.allowInsecureRequests]: config.issuer.startsWith('http://') });

async function issuer() {
  const identifier = new URL(config.issuer);
  const answer = await oauth.discoveryRequest(identifier, { algorithm: 'oidc', ...options() });
  return oauth.processDiscoveryResponse(identifier, answer);
}

/** Leaves for the issuer. */
export async function signIn() {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const { authorization_endpoint: endpoint } = await issuer();
  if (!endpoint) throw new Error('The issuer names no place to sign in.');
  const target = new URL(endpoint);
  const parameters = {
    client_id: config.client_id,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: config.scope,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    ...(config.resource && { resource: config.resource }),
  };
  for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value);
  sessionStorage.setItem(UNDER_WAY, JSON.stringify({ verifier, state, view: location.hash }));
  location.assign(target);
}

/** Back from the issuer: takes its answer out of the address and asks for the token. True if there was an answer. */
export async function finishSignIn() {
  const url = new URL(location.href);
  const underWay = sessionStorage.getItem(UNDER_WAY);
  sessionStorage.removeItem(UNDER_WAY);
  if (!url.searchParams.has('code') && !url.searchParams.has('error')) return false;
  const { verifier, state, view } = JSON.parse(underWay ?? '{}');
  history.replaceState(null, '', `/ui${view ?? ''}`);
  if (!verifier) throw new Error('This sign-in was not begun here. Begin again.');
  const server = await issuer();
  const client = { client_id: config.client_id };
  const answer = oauth.validateAuthResponse(server, client, url, state);
  const additionalParameters = config.resource ? { resource: config.resource } : {};
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, oauth.None(), answer, redirectUri, verifier, { additionalParameters, ...options() });
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, response);
  token = tokens.access_token;
  if (tokens.expires_in) endTimer = setTimeout(end, Math.min(tokens.expires_in, 86_400) * 1000);
  return true;
}

/** What an issuer's refusal says to people. */
export function refusal(error) {
  if (error instanceof oauth.AuthorizationResponseError || error instanceof oauth.ResponseBodyError) {
    return `The issuer refused: ${error.error_description ?? error.error}`;
  }
  return error.message;
}
