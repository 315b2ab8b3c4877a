// Tables that become cards on a narrow screen. The roles are spelled out, for a card would not be read as a row.
import { el } from './dom.js';

/**
 * A table. `columns`: `{ title, cell(row), kind }`; `cell` gives nodes or text.
 */
export function table(caption, columns, rows) {
  const head = columns.map(({ title, kind }) => el('th', { role: 'columnheader', scope: 'col', class: kind }, title));
  const cells = (row) => columns.map(({ title, cell, kind }, index) => el(index ? 'td' : 'th', {
    role: index ? 'cell' : 'rowheader', scope: index ? null : 'row', class: kind, 'data-title': title,
  }, el('div', {}, cell(row))));
  return el('table', { role: 'table' },
    el('caption', { class: 'unseen' }, caption),
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, head)),
    el('tbody', { role: 'rowgroup' }, rows.map((row) => el('tr', { role: 'row' }, cells(row)))));
}

/** What stands where a table would have no rows. */
export const nothing = (title, text) => el('div', { class: 'nothing' }, el('p', { class: 'nothing-title' }, title), el('p', {}, text));
