// Takes a runner away: at once, or when its job has ended.
import { checkbox, el, notice } from './dom.js';
import { call } from './api.js';
import { ask } from './ask.js';

/** Asks whether a runner is to go. `done` is called when it goes. */
export function openRemove(runner, done) {
  const parts = [
    el('p', {}, 'GitHub forgets ', el('strong', {}, runner.runner_name), ' and gives it no further job. Its machine stays; the runner on it stops.'),
    checkbox('drain', 'Let a running job end first', 'Otherwise a busy runner is left alone, and you are told so.'),
  ];
  ask(`Delete ${runner.runner_name}?`, parts, 'Delete', async (form) => {
    const query = form.elements.drain.checked ? '?drain=true' : '';
    const after = await call('DELETE', `/runners/${runner.runner_id}${query}`);
    notice(after.status === 'deleted' ? `${runner.runner_name} is deleted.` : `${runner.runner_name} goes when its job has ended.`);
    return done;
  }, { refuse: 'Keep it' });
}
