// The caller's runners.
import { button, el, field, notice, select } from './dom.js';
import { get, post, withQuery } from './api.js';
import { counted, listing } from './listing.js';
import { openProvision } from './provision.js';
import { openRemove } from './remove.js';
import { runnerColumns } from './runner-columns.js';
import { STATES, draining } from './state.js';
import { nothing, table } from './table.js';

const PAGE = 50;

/** Shows them in `place`; gives the function that ends the view. */
export const myRunners = (place, me) => listing(place, {
  title: 'My runners',
  fields: [
    field('State', select('status', STATES)),
    field('Label', el('input', { name: 'label', type: 'search', autocomplete: 'off', maxlength: 100 })),
  ],
  buttons: (refresh) => button('Register a runner', () => openProvision(me, refresh), { class: 'primary' }),
  async load({ status, label }, cursor, refresh) {
    const page = await get(withQuery('/runners', { status, label, limit: PAGE, cursor }));
    const actions = { title: 'Actions', cell: (runner) => actionsOf(runner, refresh), kind: 'actions' };
    const content = page.runners.length
      ? table('Your runners', [...runnerColumns, actions], page.runners)
      : none(status || label);
    return { content, total: counted(page.total, 'runner'), next: page.next_cursor };
  },
});

const none = (narrowed) => (narrowed
  ? nothing('No runner fits', 'Choose another state or label.')
  : nothing('No runners yet', 'Register one: you get a command to run on your machine.'));

function actionsOf(runner, refresh) {
  if (runner.status === 'deleted') return '';
  const name = runner.runner_name;
  const check = async () => {
    try {
      await post(`/runners/${runner.runner_id}/refresh`);
      notice(`${name} is as GitHub has it now.`);
      await refresh();
    } catch (problem) {
      notice(`${problem.title}: ${problem.message}`);
    }
  };
  const way = runner.busy ? 'Drain' : 'Delete';
  return el('div', { class: 'actions' },
    button('Check', check, { 'aria-label': `Check ${name} with GitHub` }),
    !draining(runner) && button(way, () => openRemove(runner, refresh), { class: 'danger', 'aria-label': `${way} ${name}` }));
}
