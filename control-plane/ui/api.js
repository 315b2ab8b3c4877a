// Calls the API as any client does.
import { authorization, end } from './session.js';

/** Why a call was not served: the service's own words (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The service answered ${status}.`);
    this.status = status;
    this.title = body.title ?? 'It did not work';
    this.kind = (body.type ?? '').replace('/problems/', '');
    this.requestId = body.request_id;
  }
}

/** The path with those parameters that have a value. */
export function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== '') query.set(name, value);
  }
  return query.size ? `${path}?${query}` : path;
}

// Of what was read, the newest answers with their tags: one that is as it was is not sent again.
const KNOWN = 20;
const known = new Map();

function remember(path, tag, content) {
  known.delete(path);
  if (tag) known.set(path, { tag, content });
  if (known.size > KNOWN) known.delete(known.keys().next().value);
}

/** Calls the API; gives the answer's JSON or throws a `Problem`. */
export async function call(method, path, { body, headers = {} } = {}) {
  const init = { method, headers: { ...authorization(), ...headers } };
  if (body !== undefined) {
    init.headers['content-type'] = 'application/json';
    init.body = JSON.stringify(body);
  }
  const last = method === 'GET' && known.get(path);
  if (last) init.headers['if-none-match'] = last.tag;
  let answer;
  try {
    answer = await fetch(`/api/v1${path}`, init);
  } catch {
    throw new Problem(0, { title: 'No answer', detail: 'The service could not be reached. Check the network and try again.' });
  }
  if (last && answer.status === 304) return last.content;
  const content = await answer.json().catch(() => ({}));
  if (method === 'GET' && answer.ok) remember(path, answer.headers.get('etag'), content);
  if (answer.ok) return content;
  if (answer.status === 401) {
    known.clear();
    end();
  }
  throw new Problem(answer.status, content);
}

export const get = (path) => call('GET', path);
export const post = (path, body, headers) => call('POST', path, { body, headers });
