// How a runner is shown in a table.
import { el } from './dom.js';
import { drift, nextStep, state } from './state.js';
import { age } from './time.js';

const badge = (runner) => {
  const [kind, text] = state(runner);
  return el('span', { class: `badge ${kind}` }, text);
};

const name = (runner) => [
  el('span', { class: 'runner-name' }, runner.runner_name),
  el('span', { class: 'hint' }, `${runner.target}${runner.ephemeral ? '' : ' · stays after a job'}`),
];

const labels = (runner) => (runner.labels.length
  ? el('ul', { class: 'labels', 'aria-label': 'Labels' }, runner.labels.map((label) => el('li', {}, label)))
  : '–');

const next = (runner) => {
  const found = drift(runner);
  return [nextStep(runner), found && el('span', { class: 'warning' }, found)];
};

/** What every list of runners has. */
export const runnerColumns = [
  { title: 'Runner', cell: name },
  { title: 'State', cell: badge },
  { title: 'Next step', cell: next, kind: 'wide' },
  { title: 'Labels', cell: labels },
  { title: 'Group', cell: (runner) => String(runner.runner_group_id), kind: 'narrow' },
  { title: 'Age', cell: (runner) => age(runner.created_at), kind: 'narrow' },
];
