// The pictures of docs/ui.md and of the README, in both themes and two widths: a scene that is made by the API and by
// machines at GitHub. They are written to the folder PICTURES_DIR, if it is given; the scene is played in any case.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { api, inBrowser, launch, row, signIn, tokenOf, until } from './world.mjs';

const { PICTURES_DIR } = process.env;
const SIZES = [['wide', { width: 1280, height: 800 }], ['phone', { width: 390, height: 844 }]];

const RUNNERS = [
  { runner_name: 'build-01', labels: ['linux'], ephemeral: false, then: ['offline'] },
  { runner_name: 'build-02', labels: ['linux'], ephemeral: false, then: [] },
  { runner_name: 'gpu-7f3a', labels: ['linux', 'gpu'], mode: 'jit', then: ['job-start'] },
  { runner_name: 'gpu-91c4', labels: ['linux', 'gpu'], mode: 'jit', then: ['job-start'], drain: true },
  { runner_name: 'gpu-c20e', labels: ['linux', 'gpu'], mode: 'jit' },
];

async function scene(token) {
  for (const { then, drain, ...wish } of RUNNERS) {
    if (!then) {
      assert.equal((await api(token, 'POST', '/runners/provision', wish)).status, 201);
      continue;
    }
    const id = await launch(token, wish, then);
    if (drain) assert.equal((await api(token, 'DELETE', `/runners/${id}?drain=true`)).status, 202);
  }
}

async function picture(page, name, options = {}) {
  const image = await page.screenshot({ ...options, ...(PICTURES_DIR && { path: join(PICTURES_DIR, `${name}.png`) }) });
  assert.ok(image.length > 10_000, name);
}

test('the page in both themes and two widths', async () => {
  await inBrowser(async (page) => scene(await tokenOf(page, 'team-blue')));
  for (const colorScheme of ['light', 'dark']) {
    for (const [size, viewport] of SIZES) {
      await inBrowser(async (page) => {
        await signIn(page, 'team-blue');
        await row(page, 'gpu-c20e').waitFor();
        await row(page, 'gpu-91c4').getByText('Draining').waitFor();
        await picture(page, `ui-${size}-${colorScheme}`);
      }, { colorScheme, viewport, locale: 'en-GB', timezoneId: 'UTC' });
    }
  }
});

test('what administrators see, in both themes and two widths', async () => {
  for (const colorScheme of ['light', 'dark']) {
    for (const [size, viewport] of SIZES) {
      await inBrowser(async (page) => {
        await signIn(page, 'admin-one');
        await page.getByRole('link', { name: 'Status' }).click();
        await until(page, 'no checkpoint was made', () => page.getByRole('table', { name: 'The newest checkpoints' }).count());
        await picture(page, `ui-status-${size}-${colorScheme}`, { fullPage: true });
        await page.getByRole('link', { name: 'History' }).click();
        await page.getByRole('figure').nth(2).locator('svg').waitFor();
        await picture(page, `ui-history-${size}-${colorScheme}`, { fullPage: true });
      }, { colorScheme, viewport, locale: 'en-GB', timezoneId: 'UTC' });
    }
  }
});
