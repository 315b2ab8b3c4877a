// Registers a runner: the form, and the command, which is shown once.
import { button, checkbox, el, field, notice, openDialog, select, textInput, valuesOf } from './dom.js';
import { post } from './api.js';
import { ask } from './ask.js';
import { until } from './format.js';

const MODES = [
  ['registration-token', 'Token: the machine configures itself'],
  ['jit', 'Just in time: configured here, for one job'],
];

/** Opens the form. `done` is called when a runner is registered. */
export function openProvision(me, done) {
  // A repeat of the same wish, such as after a lost answer, is about the same runner.
  let key;
  const form = ask('Register a runner', fields(me), 'Register', async () => {
    key ??= crypto.randomUUID();
    const issued = await post('/runners/provision', wish(form), { 'idempotency-key': key });
    return () => {
      showCommand(issued);
      done();
    };
  }, { kind: 'primary' });
  form.addEventListener('input', () => { key = undefined; });
}

function fields(me) {
  return [
    field('Name', textInput('name', { required: true, maxlength: 64 }), 'As it will be on GitHub. End it with * to have the rest made up.'),
    field('Labels', textInput('labels'), 'Separated by commas; workflows choose runners by them.'),
    field('How it is registered', select('mode', MODES)),
    checkbox('ephemeral', 'Ends after one job', 'Recommended: each job gets a clean machine.'),
    el('details', {}, el('summary', {}, 'More'),
      field('Runner group', textInput('group', { inputmode: 'numeric', pattern: '[0-9]*', placeholder: String(me.default_runner_group_id) }), 'Its number on GitHub.'),
      field('Where', textInput('target', { placeholder: me.default_target }), 'org:NAME, repo:OWNER/NAME or enterprise:SLUG.'),
      checkbox('disable_update', 'The runner does not update itself', 'For machines whose image is updated instead.', false)),
  ];
}

/** What the form asks for, as the API takes it. */
function wish(form) {
  const { name, labels, mode, group, target } = valuesOf(form);
  return {
    ...(name.endsWith('*') ? { runner_name_prefix: name.slice(0, -1) } : { runner_name: name }),
    labels: labels.split(',').map((label) => label.trim()).filter(Boolean),
    mode,
    ephemeral: form.elements.ephemeral.checked,
    ...(form.elements.disable_update.checked && { disable_update: true }),
    ...(group && { runner_group_id: Number(group) }),
    ...(target && { target }),
  };
}

/** The command holds a secret: it is in this dialog alone, and gone when that closes. */
function showCommand(issued) {
  const command = el('pre', { class: 'command', tabindex: '0', 'aria-label': 'Command' }, issued.configuration_command);
  const copy = button('Copy', async () => {
    try {
      await navigator.clipboard.writeText(issued.configuration_command);
      copy.textContent = 'Copied';
      notice('The command is in the clipboard.');
    } catch {
      getSelection().selectAllChildren(command);
      notice('Copying is not allowed here; the command is selected.');
    }
  }, { class: 'primary' });
  const left = until(issued.expires_at);
  const dialog = openDialog(`${issued.runner_name} is registered`, el('div', { class: 'stack' },
    el('p', {}, `Run this ${left ? `within ${left} ` : ''}on the machine, in the folder of the runner software. `,
      el('strong', {}, 'It is shown this once: it holds a secret that is stored nowhere.')),
    command,
    el('div', { class: 'buttons' }, button('Done', () => dialog.close()), copy)),
  () => command.replaceChildren());
  copy.focus();
}
