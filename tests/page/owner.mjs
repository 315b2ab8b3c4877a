// What an owner does with the page.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessible, again, github, inBrowser, row, signIn, until } from './world.mjs';

/** Registers a runner by the form; gives the command. */
async function register(page, { name, labels = '', mode }) {
  await page.getByRole('button', { name: 'Register a runner' }).click();
  const dialog = page.getByRole('dialog', { name: 'Register a runner' });
  await dialog.getByLabel('Name').fill(name);
  await dialog.getByLabel('Labels').fill(labels);
  if (mode) await dialog.getByLabel('How it is registered').selectOption(mode);
  await dialog.getByRole('button', { name: 'Register' }).click();
  const issued = page.getByRole('dialog', { name: `${name} is registered` });
  await issued.waitFor();
  return issued;
}

test('a runner is registered, comes on line, is drained and goes', () => inBrowser(async (page) => {
  await signIn(page, 'team-indigo');
  await accessible(page, 'an empty list');
  const issued = await register(page, { name: 'blue-1', labels: 'Linux, gpu' });
  await accessible(page, 'the command');
  const command = await issued.getByLabel('Command').textContent();
  assert.match(command, /config\.sh .*--name blue-1/);
  await issued.getByRole('button', { name: 'Copy' }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), command);
  await issued.getByRole('button', { name: 'Done' }).click();
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.ok(!(await page.content()).includes(command.match(/--token (\S+)/)[1]), 'the secret is shown once');

  const runner = row(page, 'blue-1');
  await runner.getByText('Pending').waitFor();
  await runner.getByText(/Run the command on its machine within/).waitFor();
  const { runner: machine } = await github('machines', { command });
  await runner.getByRole('button', { name: 'Check blue-1 with GitHub' }).click();
  await runner.getByText('Active', { exact: true }).waitFor();
  await accessible(page, 'a list with a runner');

  await github(`runners/${machine.id}/job-start`);
  await runner.getByRole('button', { name: 'Check blue-1 with GitHub' }).click();
  await runner.getByText('Running a job').waitFor();
  await runner.getByRole('button', { name: 'Drain blue-1' }).click();
  const dialog = page.getByRole('dialog', { name: 'Delete blue-1?' });
  await accessible(page, 'the question');
  await dialog.getByLabel('Let a running job end first').uncheck();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await dialog.getByRole('alert').getByText('The runner is running a job.').waitFor();
  await dialog.getByLabel('Let a running job end first').check();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await runner.getByText('Draining').waitFor();

  await github(`runners/${machine.id}/job-finish`);
  await page.getByLabel('State').selectOption('deleted');
  await until(page, 'it never went', () => runner.count());
  await runner.getByText('Deleted', { exact: true }).waitFor();
}, { permissions: ['clipboard-read', 'clipboard-write'] }));

test('a refusal is shown with its reason', () => inBrowser(async (page) => {
  await signIn(page, 'team-red');
  await page.getByRole('button', { name: 'Register a runner' }).click();
  const dialog = page.getByRole('dialog', { name: 'Register a runner' });
  await accessible(page, 'the form');
  await dialog.getByLabel('Name').fill('red-1');
  await dialog.getByLabel('Labels').fill('mainframe');
  await dialog.getByRole('button', { name: 'Register' }).click();
  const alert = dialog.getByRole('alert');
  await alert.getByText('Denied by policy').waitFor();
  assert.match(await alert.textContent(), /label mainframe is not granted/);
  await accessible(page, 'a refusal');
  // The form is as it was: the mistake can be mended.
  await dialog.getByLabel('Labels').fill('gpu');
  await dialog.getByLabel('How it is registered').selectOption('jit');
  await dialog.getByRole('button', { name: 'Register' }).click();
  const issued = page.getByRole('dialog', { name: 'red-1 is registered' });
  assert.match(await issued.getByLabel('Command').textContent(), /run\.sh --jitconfig/);
}));

test('a session that has ended asks to sign in again, and a reload forgets the token', () => inBrowser(async (page) => {
  await page.clock.install();
  await signIn(page, 'team-violet');
  await page.getByText('No runners yet').waitFor();
  await accessible(page, 'the view');
  const kept = await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie]));
  assert.doesNotMatch(kept, /eyJ/, 'no token outside of memory');
  await page.clock.fastForward('06:00');
  await page.getByRole('heading', { name: 'Your session has ended' }).waitFor();
  assert.equal(await page.getByText('No runners yet').count(), 0);
  await accessible(page, 'the end of a session');
  await again(page, 'team-violet');
  await page.getByText('No runners yet').waitFor();
  await page.reload();
  await page.getByRole('button', { name: /^Sign in with/ }).waitFor();
}));

test('an issuer that refuses is quoted, and an answer that nobody asked for is none', () => inBrowser(async (page) => {
  await page.goto(`${process.env.EDGE_URL}/ui?error=access_denied&state=x`);
  await page.getByRole('alert').getByText('This sign-in was not begun here.').waitFor();
  assert.equal(new URL(page.url()).search, '');
  await page.goto(`${process.env.EDGE_URL}/ui?code=stolen&state=x`);
  await page.getByRole('alert').getByText('This sign-in was not begun here.').waitFor();
}));
