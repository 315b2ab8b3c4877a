// Shows why something did not work.
import { el } from './dom.js';

/** The problem for people, with the id under which the service's log has the cause. */
export function problemBox(problem) {
  return el('div', { class: 'problem', role: 'alert' },
    el('strong', {}, problem.title ?? 'It did not work'),
    el('p', {}, problem.message),
    problem.requestId && el('p', { class: 'hint' }, 'Request ', el('code', {}, problem.requestId)));
}
