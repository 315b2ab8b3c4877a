// Who has runners, who is revoked, and the kill switch.
import { button, el, field, notice, select, textInput, valuesOf } from '../dom.js';
import { get, post } from '../api.js';
import { ask } from '../ask.js';
import { counted, listing } from '../listing.js';
import { nothing, table } from '../table.js';
import { ago } from '../time.js';

const count = (name) => ({ title: name[0].toUpperCase() + name.slice(1), cell: (who) => String(who[name]), kind: 'narrow' });
const person = ({ name, subject, issuer }) => [
  el('span', { class: 'runner-name' }, name), el('span', { class: 'hint' }, `${subject} at ${issuer}`)];

const principalColumns = (refresh) => [
  { title: 'Principal', cell: person },
  count('pending'), count('active'), count('offline'), count('draining'),
  { title: 'Last registered', cell: ({ last_provisioned_at: last }) => ago(last), kind: 'narrow' },
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
  { title: 'Since', cell: ({ revoked_at: at }) => ago(at), kind: 'narrow' },
  { title: 'Actions', cell: (revocation) => button('Restore', () => openRestore(revocation, refresh)), kind: 'actions' },
];

/** Who has runners, and who is revoked. */
export const principals = (place) => listing(place, {
  title: 'Principals',
  fields: [],
  buttons: (refresh) => button('Revoke somebody', () => openRevokeSomebody(refresh), { class: 'danger' }),
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

/** What a revocation would do, in the service's own figures. */
function foretold(who, prospect) {
  const { runners, pending, active, offline, draining, busy, under_way: asked, policy_rules: rules } = prospect;
  return [
    el('p', {}, el('strong', {}, whom(who)), prospect.already_revoked ? ' is revoked already.' : ' is refused at once on all replicas.'),
    el('p', {}, el('strong', {}, counted(runners, 'runner')), ` (${pending} pending, ${active} active, ${offline} off line; `,
      `${draining} draining already) will be deleted, ${busy} of them when their job has ended. Restoring brings none of them back.`),
    asked > 0 && el('p', {}, `For ${asked} of them GitHub is being asked for a secret at this moment: nobody will get it.`),
    el('p', { class: 'hint' }, rules.length ? `Rules of the policy about their issuer: ${rules.join(', ')}.` : 'No rule of the policy is about their issuer.'),
  ].filter(Boolean);
}

/** Asks once more, knowing what it would do. */
async function confirmRevoke(who, title, done) {
  const prospect = await post('/admin/principals/revoke', { ...who, dry_run: true });
  return () => ask(title, [...foretold(who, prospect), field('Reason', textInput('reason', { maxlength: 500 }), 'For whoever reads the audit log.')],
    'Revoke', async (form) => {
      const { runners } = await post('/admin/principals/revoke', { ...who, ...valuesOf(form) });
      notice(`Revoked; ${counted(runners, 'runner')} will go.`);
      done();
    });
}

async function openRevoke({ issuer, subject, name }, done) {
  try {
    (await confirmRevoke({ issuer, subject }, `Revoke ${name}?`, done))();
  } catch (problem) {
    notice(problem.message);
  }
}

function openRevokeSomebody(done) {
  ask('Revoke somebody', [
    field('Issuer', textInput('issuer', { required: true }), 'Its URL, as `iss` has it.'),
    field('Who', select('kind', [['subject', 'One subject'], ['claim', 'Everybody with a claim'], ['whole', 'Everybody of the issuer']])),
    field('Subject', textInput('subject'), 'For one subject.'),
    field('Claim', textInput('claim'), 'For everybody with a claim: its name.'),
    field('Value', textInput('value'), 'And its value.'),
  ], 'See what it would do', (form) => confirmRevoke(meant(valuesOf(form)), 'Revoke them?', done), { kind: 'primary' });
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
