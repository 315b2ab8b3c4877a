// How the service does: what GitHub leaves it, its jobs, what is stuck, and the seal of the audit log.
import { el } from '../dom.js';
import { get } from '../api.js';
import { count, stretch, until } from '../format.js';
import { counted, listing } from '../listing.js';
import { runnerColumns } from '../runner-columns.js';
import { nothing, table } from '../table.js';
import { age, ago } from '../time.js';
import { owner } from './runners.js';

const JOBS = {
  upkeep: 'Compares the records with GitHub and cleans up.',
  drains: 'Takes away runners that were waited for.',
  audit: 'Seals the audit log and sends it on.',
};

const badge = (kind, words) => el('span', { class: `badge ${kind}` }, words);
const section = (title, ...content) => el('section', { class: 'stack', 'aria-label': title }, el('h2', {}, title), content.flat());

/** What is not as it should be, each with what to do about it. */
function findings(found) {
  const wrong = found.filter(({ level }) => level !== 'ok');
  if (!wrong.length) return el('p', { class: 'all-well' }, badge('good', 'All is well'), 'Nothing needs a look.');
  const item = ({ what, fix }) => el('li', {}, el('strong', {}, what), fix && el('p', {}, `What to do: ${fix}.`));
  return el('ul', { class: 'findings', 'aria-label': 'What needs a look' }, wrong.map(item));
}

function left({ limit, remaining, resets_at: resets, paused_until: paused }) {
  const pause = paused && el('span', { class: 'warning' }, `GitHub asked to be left alone for ${until(paused) ?? 'a moment'}.`);
  if (remaining === null) return [limit === null ? 'GitHub has told nothing yet.' : `${count(limit)} calls an hour; the newest answer is over an hour old.`, pause];
  return [`${count(remaining)} of ${count(limit)} calls are left; all of them are there again in ${until(resets) ?? 'a moment'}.`, pause];
}

/** Below a tenth only requests are served: see docs/operations.md. */
const budget = (one) => el('li', { class: 'card' },
  el('span', { class: 'runner-name' }, one.account),
  one.remaining !== null && el('meter', {
    min: 0, max: one.limit, low: one.limit / 10, optimum: one.limit, value: one.remaining, 'aria-label': `Calls left for ${one.account}`,
  }),
  el('span', { class: 'hint' }, left(one)));

function outcome({ running, last_run_at: last, succeeded, next_run_at: next }) {
  if (running) return badge('busy', 'At work');
  if (succeeded === false) return badge('bad', 'Failed');
  if (next && Date.parse(next) < Date.now() - 60_000) return badge('pending', 'Overdue');
  return last ? badge('good', 'Done') : badge('', 'Not yet');
}

function next({ running, problem, next_run_at: due }) {
  const when = due && until(due);
  const words = running ? 'Is being done.' : `Comes again ${when ? `in ${when}` : 'when the next process looks'}.`;
  return [words, problem && el('span', { class: 'warning' }, `The newest run failed: ${problem}.`)];
}

const JOB_COLUMNS = [
  { title: 'Job', cell: ({ job }) => [el('span', { class: 'runner-name' }, job), el('span', { class: 'hint' }, JOBS[job])] },
  { title: 'Outcome', cell: outcome, kind: 'narrow' },
  { title: 'Next step', cell: next, kind: 'wide' },
  { title: 'Last run', cell: ({ last_run_at: at }) => ago(at), kind: 'narrow' },
  { title: 'Done by', cell: ({ replica }) => el('span', { class: 'name-of' }, replica ?? '–') },
];

function drains({ waiting, oldest_seconds: oldest, stuck_after_seconds: limit, stuck }) {
  const queue = waiting
    ? `${counted(waiting, 'runner')} will go when the job has ended; the first has waited for ${stretch(oldest)}.`
    : 'No runner is waited for.';
  if (!stuck.length) return [el('p', {}, queue, ` None has waited for longer than ${stretch(limit)}.`)];
  return [
    el('p', {}, queue, ` Stuck is who has waited for longer than ${stretch(limit)}. `,
      el('a', { href: '#/all?status=stuck' }, 'All that are stuck')),
    table('Stuck drains', [...runnerColumns.slice(0, 3), {
      title: 'Waits for', cell: ({ drain }) => age(drain.requested_at), kind: 'narrow',
    }, { title: 'Owner', cell: owner, kind: 'broad' }], stuck),
  ];
}

const short = (hex) => el('code', { title: hex }, `${hex.slice(0, 12)}…`);

const CHECKPOINT_COLUMNS = [
  { title: 'Entry', cell: ({ position }) => el('span', { class: 'runner-name' }, count(position)), kind: 'narrow' },
  { title: 'Made', cell: ({ made_at: at }) => ago(at), kind: 'narrow' },
  { title: 'Seal', cell: ({ seal }) => short(seal) },
  { title: 'Signed with', cell: ({ key_id: key }) => (key ? short(key) : badge('pending', 'Not signed')) },
  { title: 'Sent on', cell: ({ published }) => badge(published ? 'good' : 'pending', published ? 'Sent' : 'Not yet') },
];

function seal(audit) {
  const { sealed_position: position, sealed_until: at, unsealed, lag_seconds: lag, waits_for_seconds: waits } = audit;
  const tile = (title, value, hint) => el('div', { class: 'card' }, el('dt', {}, title), el('dd', {}, value), hint && el('dd', { class: 'hint' }, hint));
  return [
    el('dl', { class: 'cards small' },
      tile('Sealed up to entry', position === null ? '–' : count(position), at && ['made ', ago(at)]),
      tile('Without a seal', count(unsealed), unsealed > 0 ? `the oldest for ${stretch(lag)}` : 'each entry has one'),
      tile('Lag', `${count(lag)} s`, waits > 60 ? `waits for a transaction that is open for ${stretch(waits)}` : 'sealing takes seconds')),
    audit.checkpoints.length
      ? table('The newest checkpoints', CHECKPOINT_COLUMNS, audit.checkpoints)
      : nothing('No checkpoint yet', 'One is made when there is something to seal.'),
  ];
}

/** Shows it in `place`; gives the function that ends the view. */
export const status = (place) => listing(place, {
  title: 'Status',
  fields: [],
  async load() {
    const told = await get('/admin/status');
    const content = el('div', { class: 'stack wide-apart' },
      findings(told.findings),
      section('GitHub’s budget', el('ul', { class: 'cards' }, told.github.map(budget))),
      section('Jobs', table('What is done on its own', JOB_COLUMNS, told.jobs)),
      section('Drains', drains(told.drains)),
      section('Seal of the audit log', seal(told.audit)));
    return { content, total: `Told by ${told.replica}, version ${told.version}` };
  },
});
