// Makes elements. Text is text: nothing here reads markup.

/** An element with properties (`class`, `onclick`, attributes) and children: nodes, texts, or nothing. */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** The element of the page with this id. */
export const part = (id) => document.getElementById(id);

/** A button. */
export const button = (text, onclick, properties = {}) => el('button', { type: 'button', onclick, ...properties }, text);

/** A field of a form with its label and, below it, a hint. */
export function field(label, input, hint) {
  input.id ||= `field-${input.name}`;
  if (hint) input.setAttribute('aria-describedby', `${input.id}-hint`);
  return el('div', { class: 'field' },
    el('label', { for: input.id }, label),
    input,
    hint && el('span', { class: 'hint', id: `${input.id}-hint` }, hint));
}

/** A line of text to fill in, which is no prose. */
export const textInput = (name, properties = {}) => el('input', { name, autocomplete: 'off', spellcheck: 'false', ...properties });

/** What a form's fields hold, without the spaces around it. */
export const valuesOf = (form) => Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));

/** A choice that is on or off. */
export function checkbox(name, label, hint, checked = true) {
  const input = el('input', { type: 'checkbox', name, id: `field-${name}`, checked });
  return el('label', { class: 'check' }, input,
    el('span', {}, label, hint && el('span', { class: 'hint' }, hint)));
}

/** A list to choose from: pairs of value and text. */
export const select = (name, options, properties = {}) => el('select', { name, ...properties },
  options.map(([value, text]) => el('option', { value }, text)));

/** Says something in passing; screen readers read it. */
export function notice(text) {
  const shown = el('p', {}, text);
  part('notices').replaceChildren(shown);
  setTimeout(() => shown.remove(), 8000);
}

/** Opens a dialog that is taken away when it closes. `onclose` is called then. */
export function openDialog(title, content, onclose = () => {}) {
  const close = button('✕', () => dialog.close(), { class: 'close', 'aria-label': 'Close' });
  const dialog = el('dialog', { 'aria-labelledby': 'dialog-title' },
    el('div', { class: 'dialog-head' }, el('h2', { id: 'dialog-title' }, title), close),
    content);
  dialog.addEventListener('close', () => {
    dialog.remove();
    onclose();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
