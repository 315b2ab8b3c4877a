// A browser at the page, and the machines at GitHub. From the environment: EDGE_URL, GITHUB_URL, CHROMIUM_BIN.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const { EDGE_URL, GITHUB_URL, CHROMIUM_BIN } = process.env;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// Nothing is asked of the browser's maker, and a container's small /dev/shm is enough.
const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-dev-shm-usage'];

/** Runs a story with a browser of its own; whatever the page's policy had to stop fails it. */
export async function inBrowser(story, options = {}) {
  const browser = await chromium.launch({ executablePath: CHROMIUM_BIN, args: ARGUMENTS });
  try {
    const page = await (await browser.newContext(options)).newPage();
    const complaints = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (/content security policy|trusted ?type/i.test(message.text())) complaints.push(message.text());
    });
    await story(page);
    assert.deepEqual(complaints, []);
  } finally {
    await browser.close();
  }
}

/** Opens the page and signs in at the issuer, as a person would. */
export async function signIn(page, name) {
  await page.goto(`${EDGE_URL}/ui`);
  await again(page, name);
}

/** Signs in from the page that asks for it. An issuer that remembers a person asks for no password. */
export async function again(page, name) {
  await page.getByRole('button', { name: /^Sign in with/ }).click();
  const login = page.getByPlaceholder('Enter any login');
  const agree = page.getByRole('button', { name: 'Continue' });
  await login.or(agree).waitFor();
  if (await login.isVisible()) {
    await login.fill(name);
    await page.getByPlaceholder('and password').fill('any');
    await page.getByRole('button', { name: 'Sign-in' }).click();
  }
  await agree.click();
  const who = page.locator('#who .name');
  await who.waitFor();
  assert.equal(await who.textContent(), name);
}

/** Signs in, and gives the token that the page sends. */
export async function tokenOf(page, name) {
  const sent = page.waitForRequest((request) => request.url().endsWith('/api/v1/me'));
  await signIn(page, name);
  return (await (await sent).allHeaders()).authorization.replace('Bearer ', '');
}

/** Calls the API beside the page, with this token. */
export const api = (token, method, path, body) => fetch(`${EDGE_URL}/api/v1${path}`, {
  method,
  headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
  body: body && JSON.stringify(body),
});

/** Has a machine at GitHub do something: `machines`, or `runners/ID/job-start`. */
export async function github(path, body) {
  const answer = await fetch(`${GITHUB_URL}/fake/${path}`, { method: 'POST', body: JSON.stringify(body ?? {}) });
  const content = await answer.json();
  assert.ok(answer.ok, `${path}: ${JSON.stringify(content)}`);
  return content;
}

/** Registers a runner and starts a machine with it, to which these things happen at GitHub; gives its id here. */
export async function launch(token, wish, events) {
  const issued = await (await api(token, 'POST', '/runners/provision', wish)).json();
  const { runner } = await github('machines', { command: issued.configuration_command });
  for (const event of events) await github(`runners/${runner.id}/${event}`);
  const seen = await api(token, 'POST', `/runners/${issued.runner_id}/refresh`);
  assert.ok(seen.ok, `${wish.runner_name}: ${seen.status}`);
  return issued.runner_id;
}

/** Has the page ask again until it shows something; fails with these words if it never does. */
export async function until(page, words, shown) {
  for (let tries = 0; tries < 60; tries += 1) {
    await page.getByRole('button', { name: 'Refresh' }).click();
    await page.locator('section[aria-busy=false]').waitFor();
    if (await shown()) return;
    await page.waitForTimeout(500);
  }
  assert.fail(words);
}

/** The row of a runner. */
export const row = (page, name) => page.getByRole('row').filter({ has: page.getByText(name, { exact: true }) });

/** Nothing that axe calls serious or critical may be on the page. */
export async function accessible(page, where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
  assert.deepEqual(told, [], where);
}
