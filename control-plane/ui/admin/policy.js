// What the policy would say to somebody's wish, and why.
import { el, field } from '../dom.js';
import { post } from '../api.js';
import { problemBox } from '../problem.js';
import { table } from '../table.js';

const VERDICTS = [
  { title: 'Rule', cell: ({ rule }) => el('span', { class: 'runner-name' }, rule) },
  {
    title: 'Verdict',
    cell: ({ matches, grants }) => {
      const [kind, words] = grants ? ['good', 'Grants it'] : matches ? ['bad', 'Does not grant it'] : ['', 'Is about others'];
      return el('span', { class: `badge ${kind}` }, words);
    },
  },
  { title: 'Why', cell: ({ reasons, enforced }) => [reasons.join('; ') || '–', !enforced && el('span', { class: 'warning' }, 'Only recorded, not enforced.')], kind: 'wide' },
];

const json = (name, value) => el('textarea', { name, rows: 9, spellcheck: 'false', required: true, class: 'code' },
  JSON.stringify(value, null, 2));

function read(form, name, label) {
  try {
    return JSON.parse(form.elements[name].value);
  } catch (error) {
    throw Object.assign(new Error(error.message), { title: `${label}: this is no JSON` });
  }
}

/** Shows the form in `place`. */
export function policy(place, me) {
  const answer = el('section', { 'aria-label': 'What the policy says', 'aria-live': 'polite', class: 'stack' });
  const form = el('form', { class: 'stack' },
    el('div', { class: 'pair' },
      field('Claims of the token', json('claims', { iss: me.issuer, sub: me.subject }), 'iss and sub are needed.'),
      field('What they ask for', json('request', { runner_name: 'build-7', labels: [] }), 'The body of a provision.')),
    el('div', { class: 'buttons' }, el('button', { type: 'submit', class: 'primary' }, 'Explain')));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    try {
      const body = { claims: read(form, 'claims', 'Claims'), request: read(form, 'request', 'What they ask for') };
      answer.replaceChildren(...explained(await post('/admin/policy/explain', body)));
    } catch (problem) {
      answer.replaceChildren(problemBox(problem));
    }
  });
  place.replaceChildren(
    el('div', { class: 'view-head' }, el('h1', {}, 'Policy'), el('p', { class: 'total' }, 'What would it say, and why? Nothing is registered.')),
    form, answer);
}

function explained({ allowed, admin, owner, reasons, rules, policy_sha256: hash }) {
  return [
    el('div', { class: 'verdict' },
      el('span', { class: `badge ${allowed ? 'good' : 'bad'}` }, allowed ? 'Allowed' : 'Denied'),
      admin && el('span', { class: 'badge busy' }, 'Administrator'),
      owner && el('span', {}, `The runner would belong to ${owner.subject}${owner.issuer ? ` at ${owner.issuer}` : ''}.`)),
    el('ul', {}, reasons.map((reason) => el('li', {}, reason))),
    rules.length > 0 && table('What each rule says', VERDICTS, rules),
    el('p', { class: 'hint' }, hash ? ['Policy ', el('code', {}, hash)] : 'There is no policy file.'),
  ].filter(Boolean);
}
