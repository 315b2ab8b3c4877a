// Asks for one thing in a dialog, and does it.
import { button, el, openDialog } from './dom.js';
import { problemBox } from './problem.js';

/**
 * Opens the dialog. `act(form)` does what `verb` says and may give what is to be done once the dialog has closed; why
 * it could not be done is shown in the dialog, which stays.
 */
export function ask(title, parts, verb, act, { refuse = 'Cancel', kind = 'danger primary' } = {}) {
  const why = el('div');
  const confirm = el('button', { type: 'submit', class: kind }, verb);
  const form = el('form', {}, parts, why,
    el('div', { class: 'buttons' }, button(refuse, () => dialog.close()), confirm));
  const dialog = openDialog(title, form);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    try {
      const then = await act(form);
      dialog.close();
      then?.();
    } catch (problem) {
      why.replaceChildren(problemBox(problem));
      why.scrollIntoView({ block: 'nearest' });
      confirm.disabled = false;
    }
  });
  return form;
}
