// The sealed audit log, and its export.
import { button, el, field, notice } from '../dom.js';
import { get, withQuery } from '../api.js';
import { full } from '../format.js';
import { counted, listing } from '../listing.js';
import { nothing, table } from '../table.js';

const PAGE = 100;
const MOST_AT_ONCE = 1000;

const entry = ({ occurred_at: at, position }) => [
  el('time', { datetime: at }, full(at)), el('span', { class: 'hint' }, `sealed as ${position}`)];

const details = (record) => el('details', { class: 'plain' }, el('summary', {}, 'All of it'),
  el('pre', { class: 'record', tabindex: '0' }, JSON.stringify(record, null, 2)));

const COLUMNS = [
  { title: 'When', cell: entry },
  {
    title: 'Event',
    cell: ({ event, outcome }) => [el('span', { class: 'name-of' }, event), ' ',
      el('span', { class: `badge ${outcome === 'success' ? 'good' : 'bad'}` }, outcome)],
  },
  {
    title: 'Who',
    cell: (record) => [record.display_name ?? record.principal_subject ?? record.actor,
      record.client_ip && el('span', { class: 'hint' }, record.client_ip)],
  },
  { title: 'Runner', cell: ({ runner_name: name }) => name ?? '–' },
  { title: 'Why', cell: (record) => [record.reasons.join('; '), details(record)], kind: 'wide' },
];

const search = (name, properties) => el('input', { name, type: 'search', autocomplete: 'off', ...properties });

/** As a field for dates and times has it, in the reader's own zone. */
function local(time) {
  const shifted = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

const instant = (text) => (text ? new Date(text).toISOString() : '');
const selection = ({ since, until, ...others }) => ({ ...others, since: instant(since), until: instant(until) });

/** Entries from a day ago on, the oldest first, as they are sealed. */
export function audit(place) {
  let chosen = {};
  return listing(place, {
    title: 'Audit log',
    fields: [
      field('From', el('input', { name: 'since', type: 'datetime-local', value: local(new Date(Date.now() - 86_400_000)) })),
      field('Until', el('input', { name: 'until', type: 'datetime-local' })),
      field('Event', search('event_type', { placeholder: 'provision' })),
      field('Who', search('user')),
      field('Runner', search('runner')),
    ],
    buttons: () => button('Export', (event) => save(chosen, event.target)),
    async load(filters, cursor) {
      chosen = selection(filters);
      const page = await get(withQuery('/admin/audit-log', { ...chosen, cursor, limit: PAGE }));
      const content = page.entries.length
        ? table('Entries of the audit log', COLUMNS, page.entries)
        : nothing('No entries', 'Choose another time or filter. An entry appears when it is sealed, seconds after it was made.');
      const more = page.entries.length === PAGE && page.next_cursor;
      return { content, total: counted(page.entries.length, 'entry', 'entries'), next: more };
    },
  });
}

/** Saves every entry that fits, as JSON lines. */
async function save(chosen, trigger) {
  trigger.disabled = true;
  const lines = [];
  try {
    for (let cursor = 0, more = true; more;) {
      const page = await get(withQuery('/admin/audit-log', { ...chosen, cursor, limit: MOST_AT_ONCE }));
      lines.push(...page.entries.map((record) => `${JSON.stringify(record)}\n`));
      more = page.entries.length === MOST_AT_ONCE;
      cursor = page.next_cursor;
    }
    const url = URL.createObjectURL(new Blob(lines, { type: 'application/jsonl' }));
    el('a', { href: url, download: 'audit-log.jsonl' }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    notice(`${lines.length} entries exported.`);
  } catch (problem) {
    notice(`${problem.title}: ${problem.message}`);
  }
  trigger.disabled = false;
}
