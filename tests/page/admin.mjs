// What an administrator does with the page, and what it keeps from everybody else.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { accessible, api, inBrowser, launch, row, signIn, tokenOf, until } from './world.mjs';

const ADMIN_VIEWS = ['Status', 'History', 'All runners', 'Unmanaged', 'Principals', 'Policy', 'Audit log'];

async function open(page, view) {
  await page.getByRole('link', { name: view }).click();
  await page.locator('section[aria-busy=false]').waitFor();
}

const provision = (token, name) => api(token, 'POST', '/runners/provision', { runner_name: name, labels: ['gpu'] });

test('an owner has no admin views, and the API refuses what they would ask', () => inBrowser(async (page) => {
  const token = await tokenOf(page, 'team-green');
  await page.getByText('No runners yet').waitFor();
  for (const view of ADMIN_VIEWS) assert.equal(await page.getByRole('link', { name: view }).count(), 0, view);
  await page.evaluate(() => { location.hash = '#/audit'; });
  await page.waitForURL(/#\/runners$/);
  assert.equal(await page.getByRole('heading', { name: 'Audit log' }).count(), 0);
  for (const path of ['status', 'history', 'runners', 'unmanaged-runners', 'principals', 'audit-log']) {
    const answer = await api(token, 'GET', `/admin/${path}`);
    assert.deepEqual([answer.status, (await answer.json()).type], [403, '/problems/denied-by-policy'], path);
  }
}));

test('the status tells what GitHub leaves, how the jobs do, how far the log is sealed, and which drain is stuck', () => inBrowser((page) => inBrowser(async (owners) => {
  const token = await tokenOf(owners, 'team-teal');
  await launch(token, { runner_name: 'teal-1', labels: ['gpu'], mode: 'jit' }, ['job-start']);
  const drained = await api(token, 'DELETE', '/runners/teal-1?drain=true');
  assert.equal(drained.status, 202);
  assert.equal((await provision(token, 'teal-2')).status, 201);
  const asAdmin = await tokenOf(page, 'admin-four');
  await open(page, 'Status');
  await until(page, 'it was never stuck', () => page.getByRole('list', { name: 'What needs a look' }).getByText(/runner\(s\) have been draining/).count());
  await accessible(page, 'the status');

  const meter = page.getByRole('meter', { name: 'Calls left for acme-partners' });
  assert.equal(await meter.getAttribute('max'), '5000');
  const left = Number(await meter.getAttribute('value'));
  assert.ok(left > 0 && left < 5000, `${left} are left`);
  await until(page, 'a job was never done', async () => await page.getByRole('row').getByText('Done', { exact: true }).count() >= 1);
  for (const job of ['upkeep', 'drains', 'audit']) assert.match(await row(page, job).textContent(), /:\d+/, job);
  await until(page, 'no checkpoint was made', () => page.getByRole('table', { name: 'The newest checkpoints' }).count());
  const [checkpoint] = (await (await api(asAdmin, 'GET', '/admin/status')).json()).audit.checkpoints;
  await page.getByRole('row').getByTitle(checkpoint.seal).first().waitFor();

  const stuck = page.getByRole('table', { name: 'Stuck drains' });
  await stuck.getByRole('row').filter({ hasText: 'teal-1' }).getByText(/the runner is running a job/).waitFor();
  assert.equal(await stuck.getByText('teal-2').count(), 0);
  await page.getByRole('link', { name: 'All that are stuck' }).click();
  await row(page, 'teal-1').getByText('Draining').waitFor();
  assert.equal(await page.getByLabel('State').inputValue(), 'stuck');
  assert.equal(await page.getByText('teal-2', { exact: true }).count(), 0);
  await page.getByLabel('State').selectOption('');
  await row(page, 'teal-2').waitFor();
})));

test('registrations, denials and runners are charted, and told to whoever can not see a chart', () => inBrowser((page) => inBrowser(async (owners) => {
  const token = await tokenOf(owners, 'team-olive');
  await signIn(page, 'admin-five');
  await open(page, 'History');
  const inAll = async (chart, name) => Number(await page.getByRole('list', { name: `${chart} in all` })
    .getByRole('listitem').filter({ hasText: name }).locator('strong').textContent());
  const [registered, denied] = [await inAll('Registrations', 'Registered'), await inAll('Denials', 'Registration denied')];
  assert.equal((await provision(token, 'olive-1')).status, 201);
  assert.equal((await api(token, 'POST', '/runners/provision', { runner_name: 'olive-2', labels: ['quantum'] })).status, 403);
  await until(page, 'runners were never counted', async () => await inAll('Runners', 'Pending') >= 1);
  assert.equal(await inAll('Registrations', 'Registered'), registered + 1);
  assert.equal(await inAll('Denials', 'Registration denied'), denied + 1);
  await page.getByRole('row').getByText(/label quantum is not granted/).waitFor();
  await accessible(page, 'the history');

  // The columns, by eye, by key, and as figures.
  const chart = page.getByRole('figure').filter({ has: page.getByRole('heading', { name: 'Registrations' }) });
  assert.ok(await chart.locator('svg rect.p1').count() >= 1, 'nothing is drawn');
  const walk = chart.getByRole('slider', { name: 'Registrations over time' });
  await walk.press('Home');
  assert.match(await walk.getAttribute('aria-valuetext'), / to .*: Registered 0$/);
  await walk.press('End');
  const told = [];
  for (let steps = 0; steps < 3; steps += 1) {
    told.push(Number((await walk.getAttribute('aria-valuetext')).match(/: Registered (\d+)$/)[1]));
    await walk.press('ArrowLeft');
  }
  assert.equal(told.reduce((all, one) => all + one), registered + 1, `${told}`);
  await chart.getByText('Figures of registrations').press('Enter');
  await chart.getByRole('table', { name: 'Registrations over time' }).getByRole('row').nth(1).waitFor();
  await accessible(page, 'the figures');
  await page.getByLabel('Time', { exact: true }).selectOption('168');
  await page.locator('section[aria-busy=false]').waitFor();
  assert.equal(await page.getByRole('figure').first().locator('.column').count(), 42);
})));

test('a principal is revoked, refused at once, and restored', () => inBrowser((page) => inBrowser(async (owners) => {
  const token = await tokenOf(owners, 'team-amber');
  assert.equal((await provision(token, 'amber-1')).status, 201);
  await signIn(page, 'admin-one');
  await open(page, 'All runners');
  await row(page, 'amber-1').getByText('Pending').waitFor();
  await accessible(page, 'all runners');

  await open(page, 'Principals');
  await page.getByRole('button', { name: 'Revoke team-amber' }).click();
  const dialog = page.getByRole('dialog', { name: 'Revoke team-amber?' });
  await dialog.getByText('1 runner', { exact: true }).waitFor();
  await accessible(page, 'the question');
  await dialog.getByLabel('Reason').fill('a laptop is lost');
  await dialog.getByRole('button', { name: 'Revoke' }).click();
  await row(page, 'a laptop is lost').getByText(/^team-amber at /).waitFor();
  await accessible(page, 'principals');
  await owners.getByRole('button', { name: 'Refresh' }).click();
  await owners.getByRole('alert').getByText('Principal revoked').waitFor();
  assert.equal((await provision(token, 'amber-2')).status, 403);

  await row(page, 'a laptop is lost').getByRole('button', { name: 'Restore' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Restore' }).click();
  await page.getByText('Nobody is revoked').waitFor();
  assert.equal((await provision(token, 'amber-2')).status, 201);
})));

test('the policy explains itself, and the audit log is read and exported', () => inBrowser(async (page) => {
  await signIn(page, 'admin-two');
  await page.getByRole('link', { name: 'Policy' }).click();
  const claims = JSON.parse(await page.getByLabel('Claims of the token').inputValue());
  await page.getByLabel('Claims of the token').fill(JSON.stringify({ ...claims, sub: 'team-grey', groups: ['staff'] }));
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
  const explained = page.getByRole('row').filter({ hasText: 'policy.explained' }).filter({ hasText: 'admin-two' });
  await page.getByRole('button', { name: 'Filter' }).click();
  await until(page, 'the entry was never sealed', () => explained.count());
  await accessible(page, 'the audit log');
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export' }).click();
  const lines = readFileSync(await (await saved).path(), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  assert.ok(lines.length >= 1 && lines.every(({ event, seal }) => event === 'policy.explained' && /^[0-9a-f]{64}$/.test(seal)));
}));

test('every view fits a phone, in the dark too', () => inBrowser(async (page) => {
  await signIn(page, 'admin-three');
  for (const view of ['My runners', ...ADMIN_VIEWS]) {
    await page.getByRole('link', { name: view }).click();
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.locator('section[aria-busy=true]').waitFor({ state: 'detached' });
    const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= room, `${view} is ${wide} wide on ${room}`);
    await accessible(page, view);
  }
}, { viewport: { width: 390, height: 844 }, colorScheme: 'dark' }));
