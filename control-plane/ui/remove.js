// Takes a runner away: at once, or when its job has ended.
import { button, checkbox, el, notice, openDialog } from './dom.js';
import { call } from './api.js';
import { problemBox } from './problem.js';

/** Asks whether a runner is to go. `done` is called when it goes. */
export function openRemove(runner, done) {
  const why = el('div');
  const drain = checkbox('drain', 'Let a running job end first', 'Otherwise a busy runner is left alone, and you are told so.');
  const confirm = el('button', { type: 'submit', class: 'danger primary' }, 'Delete');
  const form = el('form', {},
    el('p', {}, 'GitHub forgets ', el('strong', {}, runner.runner_name), ' and gives it no further job. Its machine stays; the runner on it stops.'),
    drain, why,
    el('div', { class: 'buttons' }, button('Keep it', () => dialog.close()), confirm));
  const dialog = openDialog(`Delete ${runner.runner_name}?`, form);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    try {
      const query = form.elements.drain.checked ? '?drain=true' : '';
      const after = await call('DELETE', `/runners/${runner.runner_id}${query}`);
      notice(after.status === 'deleted' ? `${runner.runner_name} is deleted.` : `${runner.runner_name} goes when its job has ended.`);
      dialog.close();
      done();
    } catch (problem) {
      why.replaceChildren(problemBox(problem));
      confirm.disabled = false;
    }
  });
}
