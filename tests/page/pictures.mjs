// The pictures of docs/ui.md and of the README, in both themes and two widths: a scene that is made by the API and by
// machines at GitHub. They are written to the folder PICTURES_DIR, if it is given; the scene is played in any case.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { api, github, inBrowser, row, signIn, tokenOf } from './world.mjs';

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
  const call = async (method, path, body) => {
    const answer = await api(token, method, path, body);
    assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
    return answer.json();
  };
  for (const { then, drain, ...wish } of RUNNERS) {
    const issued = await call('POST', '/runners/provision', wish);
    if (!then) continue;
    const { runner } = await github('machines', { command: issued.configuration_command });
    for (const event of then) await github(`runners/${runner.id}/${event}`);
    await call('POST', `/runners/${issued.runner_id}/refresh`);
    if (drain) await call('DELETE', `/runners/${issued.runner_id}?drain=true`);
  }
}

async function picture(page, name) {
  const image = await page.screenshot(PICTURES_DIR ? { path: join(PICTURES_DIR, `${name}.png`) } : {});
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
