// A view with filters above a list, page by page.
import { button, el, valuesOf } from './dom.js';
import { live } from './live.js';
import { problemBox } from './problem.js';

/**
 * Fills `place`; gives the function that ends the view.
 *
 * `fields` are those of the filters, `buttons(refresh)` stand beside the title, and `load(filters, cursor, refresh)` gives
 * the `content`, a `total` in words, and where the `next` page starts.
 */
export function listing(place, { title, fields, buttons = () => [], load }) {
  // The cursors of the pages so far; the last is this page's own.
  let cursors = [undefined];
  let asked = 0;
  const filters = el('form', { class: 'filters', role: 'search', 'aria-label': `Filter: ${title}` },
    fields, fields.length > 0 && el('button', { type: 'submit' }, 'Filter'));
  const list = el('section', { 'aria-label': title, 'aria-busy': 'true' });
  const total = el('p', { class: 'total', role: 'status' });

  async function refresh() {
    asked += 1;
    const mine = asked;
    list.setAttribute('aria-busy', 'true');
    let found;
    try {
      found = await load(valuesOf(filters), cursors.at(-1), refresh);
    } catch (problem) {
      found = { content: problemBox(problem), total: '' };
    }
    // An answer that came late must not hide a newer one.
    if (mine !== asked) return;
    total.textContent = found.total;
    keepFocus(list, () => list.replaceChildren(found.content, pages(found.next)));
    list.setAttribute('aria-busy', 'false');
  }

  function pages(next) {
    const turn = (change) => () => {
      change();
      refresh().then(() => list.scrollIntoView({ block: 'start' }));
    };
    return el('div', { class: 'pages' },
      cursors.length > 1 && button('← Back', turn(() => cursors.pop())),
      next && button('Next page →', turn(() => cursors.push(next))));
  }

  filters.addEventListener('submit', (event) => {
    event.preventDefault();
    cursors = [undefined];
    refresh();
  });
  filters.addEventListener('change', (event) => event.target.matches('select') && filters.requestSubmit());
  place.replaceChildren(
    el('div', { class: 'view-head' }, el('h1', {}, title), total, button('Refresh', refresh), buttons(refresh)),
    ...(fields.length ? [filters] : []), list);
  refresh();
  // What somebody reads or is about to use stays where it is.
  return live(() => list.contains(document.activeElement) || list.querySelector('details[open]') || refresh());
}

/** Changes the list; the focus stays on the control of the same name. */
function keepFocus(list, change) {
  const name = list.contains(document.activeElement) && document.activeElement.getAttribute('aria-label');
  change();
  if (name) [...list.querySelectorAll('[aria-label]')].find((control) => control.getAttribute('aria-label') === name)?.focus();
}

/** `1 runner`, `2 runners`. */
export const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
