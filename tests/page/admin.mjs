// What an administrator does with the page, and what it keeps from everybody else.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { accessible, api, inBrowser, row, signIn, tokenOf } from './world.mjs';

const ADMIN_VIEWS = ['All runners', 'Unmanaged', 'Principals', 'Policy', 'Audit log'];

async function open(page, view) {
  await page.getByRole('link', { name: view }).click();
  await page.locator('section[aria-busy=false]').waitFor();
}

const provision = (token, name) => api(token, 'POST', '/runners/provision', { runner_name: name, labels: ['gpu'] });

test('an owner has no admin views, and the API refuses what they would ask', () => inBrowser(async (page) => {
  const token = await tokenOf(page, 'otto');
  await page.getByText('No runners yet').waitFor();
  for (const view of ADMIN_VIEWS) assert.equal(await page.getByRole('link', { name: view }).count(), 0, view);
  await page.evaluate(() => { location.hash = '#/audit'; });
  await page.waitForURL(/#\/runners$/);
  assert.equal(await page.getByRole('heading', { name: 'Audit log' }).count(), 0);
  for (const path of ['runners', 'unmanaged-runners', 'principals', 'audit-log']) {
    const answer = await api(token, 'GET', `/admin/${path}`);
    assert.deepEqual([answer.status, (await answer.json()).type], [403, '/problems/denied-by-policy'], path);
  }
}));

test('a principal is revoked, refused at once, and restored', () => inBrowser((page) => inBrowser(async (owners) => {
  const token = await tokenOf(owners, 'paula');
  assert.equal((await provision(token, 'paula-1')).status, 201);
  await signIn(page, 'admin-ada');
  await open(page, 'All runners');
  await row(page, 'paula-1').getByText('Pending').waitFor();
  await accessible(page, 'all runners');

  await open(page, 'Principals');
  await page.getByRole('button', { name: 'Revoke paula' }).click();
  const dialog = page.getByRole('dialog', { name: 'Revoke paula?' });
  await dialog.getByText('1 runner', { exact: true }).waitFor();
  await accessible(page, 'the question');
  await dialog.getByLabel('Reason').fill('her laptop is lost');
  await dialog.getByRole('button', { name: 'Revoke' }).click();
  await row(page, 'her laptop is lost').getByText(/^paula at /).waitFor();
  await accessible(page, 'principals');
  await owners.getByRole('button', { name: 'Refresh' }).click();
  await owners.getByRole('alert').getByText('Principal revoked').waitFor();
  assert.equal((await provision(token, 'paula-2')).status, 403);

  await row(page, 'her laptop is lost').getByRole('button', { name: 'Restore' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Restore' }).click();
  await page.getByText('Nobody is revoked').waitFor();
  assert.equal((await provision(token, 'paula-2')).status, 201);
})));

test('the policy explains itself, and the audit log is read and exported', () => inBrowser(async (page) => {
  await signIn(page, 'admin-ben');
  await page.getByRole('link', { name: 'Policy' }).click();
  const claims = JSON.parse(await page.getByLabel('Claims of the token').inputValue());
  await page.getByLabel('Claims of the token').fill(JSON.stringify({ ...claims, sub: 'quinn', groups: ['staff'] }));
  await page.getByLabel('What they ask for').fill(JSON.stringify({ runner_name: 'a', labels: ['mainframe'] }));
  await page.getByRole('button', { name: 'Explain' }).click();
  await page.getByText('Denied', { exact: true }).waitFor();
  await row(page, 'staff').getByText('label mainframe is not granted').waitFor();
  await accessible(page, 'policy');
  await page.getByLabel('What they ask for').fill('{');
  await page.getByRole('button', { name: 'Explain' }).click();
  await page.getByRole('alert').getByText('this is no JSON').waitFor();

  await open(page, 'Audit log');
  await page.getByLabel('Event').fill('policy.explained');
  const explained = page.getByRole('row').filter({ hasText: 'policy.explained' }).filter({ hasText: 'admin-ben' });
  const look = async () => {
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.locator('section[aria-busy=false]').waitFor();
    return explained.count();
  };
  for (let tries = 0; !await look(); tries += 1) {
    assert.ok(tries < 60, 'the entry was never sealed');
    await page.waitForTimeout(250);
  }
  await accessible(page, 'the audit log');
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export' }).click();
  const lines = readFileSync(await (await saved).path(), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  assert.ok(lines.length >= 1 && lines.every(({ event, seal }) => event === 'policy.explained' && /^[0-9a-f]{64}$/.test(seal)));
}));

test('every view fits a phone, in the dark too', () => inBrowser(async (page) => {
  await signIn(page, 'admin-cy');
  for (const view of ['My runners', ...ADMIN_VIEWS]) {
    await page.getByRole('link', { name: view }).click();
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.locator('section[aria-busy=true]').waitFor({ state: 'detached' });
    const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= room, `${view} is ${wide} wide on ${room}`);
    await accessible(page, view);
  }
}, { viewport: { width: 390, height: 844 }, colorScheme: 'dark' }));
