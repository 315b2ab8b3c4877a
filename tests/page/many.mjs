// The page with ten thousand runners of one owner, `team-red`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessible, inBrowser, row, signIn } from './world.mjs';

const PAGE = 50;

/** How long what somebody did took until the list was there again. */
async function timed(page, act) {
  const begun = performance.now();
  await act();
  await page.locator('section[aria-busy=false]').waitFor();
  return performance.now() - begun;
}

const rows = (page) => page.locator('tbody tr').count();

/** Goes through the pages, narrows the list and asks again; says what each took. */
async function through(page, { list, first, second }) {
  await row(page, first).waitFor();
  assert.equal(await rows(page), PAGE);
  const next = await timed(page, () => page.getByRole('button', { name: 'Next page' }).click());
  await row(page, second).waitFor();
  assert.equal(await rows(page), PAGE);
  assert.equal(await row(page, first).count(), 0);
  const back = await timed(page, () => page.getByRole('button', { name: 'Back' }).click());
  await row(page, first).waitFor();
  const narrowed = await timed(page, () => page.getByLabel('State').selectOption('active'));
  assert.equal(await page.locator('tbody tr').filter({ hasText: 'Active' }).count(), PAGE);
  const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
  console.log(JSON.stringify({ list, next, back, narrowed, nodes }, (_, each) => (typeof each === 'number' ? Math.round(each) : each)));
}

test('an owner with ten thousand runners sees a page of them', () => inBrowser(async (page) => {
  await signIn(page, 'team-red');
  await page.getByText('10000 runners', { exact: true }).waitFor();
  await through(page, { list: 'mine', first: 'old-10000', second: 'old-9950' });
  await accessible(page, 'a page of many');
}));

test('so does an administrator, and what is as it was is not sent again', () => inBrowser(async (page) => {
  await signIn(page, 'admin-many');
  await page.getByRole('link', { name: 'All runners' }).click();
  await through(page, { list: 'all', first: 'old-1', second: 'old-51' });
  const again = page.waitForResponse((response) => response.url().includes('/admin/runners'));
  await timed(page, () => page.getByRole('button', { name: 'Refresh' }).click());
  assert.equal((await again).status(), 304);
  assert.equal(await rows(page), PAGE);
}));

test('what it would do to revoke somebody is shown before anything is done', () => inBrowser(async (page) => {
  await signIn(page, 'admin-many');
  await page.getByRole('link', { name: 'Principals' }).click();
  await page.getByRole('button', { name: 'Revoke somebody' }).click();
  const form = page.getByRole('dialog', { name: 'Revoke somebody' });
  await form.getByLabel('Issuer').fill('https://idp.example.com');
  await form.getByLabel('Who').selectOption('whole');
  await form.getByRole('button', { name: 'See what it would do' }).click();
  const question = page.getByRole('dialog', { name: 'Revoke them?' });
  await question.getByText('10000 runners', { exact: true }).waitFor();
  await question.getByText('No rule of the policy is about their issuer.').waitFor();
  await accessible(page, 'what it would do');
  await question.getByRole('button', { name: 'Cancel' }).click();
  await page.getByText('Nobody is revoked').waitFor();
}));
