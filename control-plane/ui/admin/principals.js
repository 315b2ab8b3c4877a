// Who has runners, who is revoked, and the kill switch.
import { button, el, field, notice, select, textInput, valuesOf } from '../dom.js';
import { get, post } from '../api.js';
import { ask } from '../ask.js';
import { full, since } from '../format.js';
import { counted, listing } from '../listing.js';
import { nothing, table } from '../table.js';

const count = (name) => ({ title: name[0].toUpperCase() + name.slice(1), cell: (who) => String(who[name]), kind: 'narrow' });
const person = ({ name, subject, issuer }) => [
  el('span', { class: 'runner-name' }, name), el('span', { class: 'hint' }, `${subject} at ${issuer}`)];

const principalColumns = (refresh) => [
  { title: 'Principal', cell: person },
  count('pending'), count('active'), count('offline'), count('draining'),
  {
    title: 'Last registered',
    cell: ({ last_provisioned_at: last }) => el('time', { datetime: last, title: full(last) }, `${since(last)} ago`),
    kind: 'narrow',
  },
  {
    title: 'Actions',
    cell: (who) => button('Revoke', () => openRevoke(who, refresh), { class: 'danger', 'aria-label': `Revoke ${who.name}` }),
    kind: 'actions',
  },
];

/** Whom a revocation is about, in words. */
const whom = ({ issuer, subject, claim, whole_issuer: whole }) => {
  if (whole) return `Everybody at ${issuer}`;
  return claim ? `Everybody at ${issuer} whose ${claim.name} is ${claim.value}` : `${subject} at ${issuer}`;
};

const revocationColumns = (refresh) => [
  { title: 'Revoked', cell: (revocation) => el('span', { class: 'runner-name' }, whom(revocation)) },
  { title: 'Reason', cell: ({ reason }) => reason || '–', kind: 'wide' },
  { title: 'By', cell: ({ revoked_by: by }) => by },
  { title: 'Since', cell: ({ revoked_at: at }) => el('time', { datetime: at, title: full(at) }, `${since(at)} ago`), kind: 'narrow' },
  { title: 'Actions', cell: (revocation) => button('Restore', () => openRestore(revocation, refresh)), kind: 'actions' },
];

/** Who has runners, and who is revoked. */
export const principals = (place) => listing(place, {
  title: 'Principals',
  fields: [],
  buttons: (refresh) => button('Revoke somebody', () => openRevoke(undefined, refresh), { class: 'danger' }),
  async load(_filters, cursor, refresh) {
    const offset = cursor ?? 0;
    const found = await get(`/admin/principals?limit=50&offset=${offset}`);
    const content = el('div', { class: 'stack' },
      found.principals.length
        ? table('Who has runners', principalColumns(refresh), found.principals)
        : nothing('Nobody has runners', 'Whoever registers one is listed here.'),
      el('h2', {}, 'Revoked'),
      found.revocations.length
        ? table('Who is revoked', revocationColumns(refresh), found.revocations)
        : nothing('Nobody is revoked', 'Whoever is revoked is refused at once, everywhere.'));
    return { content, total: counted(found.principals.length, 'principal'), next: found.principals.length === 50 && offset + 50 };
  },
});

/** What a revocation would do to a principal whose runners are known. */
function foretold(who) {
  const total = who.pending + who.active + who.offline + who.draining;
  return el('p', {}, el('strong', {}, who.name), ' is refused at once on all replicas. ',
    el('strong', {}, counted(total, 'runner')), ` (${who.pending} pending, ${who.active} active, ${who.offline} off line, `,
    `${who.draining} draining) will be deleted, busy ones when their job has ended. Restoring brings none of them back.`);
}

function openRevoke(who, done) {
  const parts = who ? [foretold(who)] : [
    el('p', {}, 'They are refused at once on all replicas, and their runners are deleted, busy ones when their job has ended.'),
    field('Issuer', textInput('issuer', { required: true }), 'Its URL, as `iss` has it.'),
    field('Who', select('kind', [['subject', 'One subject'], ['claim', 'Everybody with a claim'], ['whole', 'Everybody of the issuer']])),
    field('Subject', textInput('subject'), 'For one subject.'),
    field('Claim', textInput('claim'), 'For everybody with a claim: its name.'),
    field('Value', textInput('value'), 'And its value.'),
  ];
  ask(who ? `Revoke ${who.name}?` : 'Revoke somebody', [...parts, field('Reason', textInput('reason', { maxlength: 500 }), 'For whoever reads the audit log.')],
    'Revoke', async (form) => {
      const { reason, ...fields } = valuesOf(form);
      const { runners } = await post('/admin/principals/revoke', { ...(who ? { issuer: who.issuer, subject: who.subject } : meant(fields)), reason });
      notice(`Revoked; ${counted(runners, 'runner')} will go.`);
      done();
    });
}

function meant({ issuer, kind, subject, claim, value }) {
  if (kind === 'whole') return { issuer, whole_issuer: true };
  return kind === 'claim' ? { issuer, claim: { name: claim, value } } : { issuer, subject };
}

function openRestore(revocation, done) {
  const { issuer, subject, claim, whole_issuer: whole } = revocation;
  ask('Restore?', [el('p', {}, el('strong', {}, whom(revocation)), ' may call this service again. Runners that are going still go.')],
    'Restore', async () => {
      await post('/admin/principals/restore', {
        issuer, ...(subject && { subject }), ...(claim && { claim }), ...(whole && { whole_issuer: true }),
      });
      notice('Restored.');
      done();
    });
}
