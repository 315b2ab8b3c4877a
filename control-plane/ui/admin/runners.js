// Everybody's runners, and those that this service did not register.
import { el, field, select } from '../dom.js';
import { get, withQuery } from '../api.js';
import { counted, listing } from '../listing.js';
import { runnerColumns } from '../runner-columns.js';
import { STATES } from '../state.js';
import { nothing, table } from '../table.js';
import { age } from '../time.js';

const PAGE = 50;

/** Whose a runner is. */
export const owner = ({ owner: { issuer, subject }, provisioned_by: name }) => [
  el('span', { class: 'name-of' }, name),
  el('span', { class: 'hint' }, issuer ? [name !== subject && `${subject} at `, issuer] : `for ${subject}`),
];

const search = (name, properties) => el('input', { name, type: 'search', autocomplete: 'off', ...properties });

/** Those that have been draining for too long are a state of their own for people. */
const STUCK = 'stuck';

function stateField(chosen) {
  const field = select('status', [...STATES, [STUCK, 'Stuck drains']]);
  if (chosen) field.value = chosen;
  return field;
}

const wanted = ({ status, ...others }) => (status === STUCK ? { ...others, stuck: true } : { ...others, status });

/** All runners, the oldest first. */
export const allRunners = (place, _me, query) => listing(place, {
  title: 'All runners',
  fields: [
    field('State', stateField(query.get('status'))),
    field('Label', search('label')),
    field('Owner', search('user')),
  ],
  async load(filters, cursor) {
    const page = await get(withQuery('/admin/runners', { ...wanted(filters), limit: PAGE, cursor }));
    const columns = [...runnerColumns, { title: 'Owner', cell: owner, kind: 'broad' }];
    const content = page.runners.length
      ? table('All runners', columns, page.runners)
      : nothing('No runner fits', 'Nobody has such a runner.');
    return { content, total: `${counted(page.runners.length, 'runner')} on this page, the oldest first`, next: page.next_cursor };
  },
});

const UNMANAGED = [
  { title: 'Runner', cell: (runner) => [el('span', { class: 'runner-name' }, runner.name), el('span', { class: 'hint' }, runner.target)] },
  {
    title: 'State',
    cell: ({ status, busy }) => el('span', { class: `badge ${busy ? 'busy' : status === 'online' ? 'active' : 'offline'}` },
      busy ? 'Running a job' : status),
  },
  { title: 'Labels', cell: ({ labels }) => labels.join(', ') || '–' },
  { title: 'Id on GitHub', cell: (runner) => String(runner.github_runner_id), kind: 'narrow' },
  { title: 'Known for', cell: ({ first_seen_at: seen }) => age(seen), kind: 'narrow' },
];

/** Runners on GitHub that this service did not register. */
export const unmanagedRunners = (place) => listing(place, {
  title: 'Unmanaged runners',
  fields: [],
  async load() {
    const { runners, total } = await get('/admin/unmanaged-runners');
    const content = runners.length
      ? table('Runners that this service did not register', UNMANAGED, runners)
      : nothing('No unmanaged runners', 'Every runner on GitHub was registered by this service.');
    return { content, total: counted(total, 'runner') };
  },
});
