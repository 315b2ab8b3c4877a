// Draws numbers over time as stacked columns, to be looked at, listened to, or walked through with the arrow keys.
import { el } from './dom.js';
import { count } from './format.js';
import { table } from './table.js';

const HEIGHT = 210;
const MARGIN = { top: 10, right: 4, bottom: 26, left: 44 };
const SPACE = 'http://www.w3.org/2000/svg';

function svg(name, properties, ...children) {
  const element = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** The least round number that is not below, of which half is whole too. */
function round(most) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(most, 4)));
  return [1, 2, 4, 6, 8, 10].map((step) => step * unit).find((bound) => bound >= Math.max(most, 4));
}

/** All of them together. */
export const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);

/**
 * A chart of `series` (`{ name, kind, values }`: one value for each of `times`, or null where nothing is known), with a
 * legend, and the figures as a table. `label(time)` gives a point on the axis, `stretch(time)` the time in words.
 * `total(values)` is what the legend shows of a series.
 */
export function chart(title, { series, times, label, stretch, total, hint }) {
  const told = el('p', { class: 'chart-told', 'aria-hidden': 'true' }, hint);
  const known = (index) => series[0].values[index] !== null;
  const words = (index) => (known(index)
    ? series.map(({ name, values }) => `${name} ${count(values[index])}`).join(', ')
    : 'nothing is known');
  const plot = el('div', {
    class: 'plot', role: 'slider', tabindex: '0', 'aria-label': `${title} over time`, 'aria-orientation': 'horizontal',
    'aria-valuemin': '0', 'aria-valuemax': String(times.length - 1),
  });
  let shown = times.length - 1;
  let drawn = [];

  function show(index) {
    drawn[shown]?.classList.remove('shown');
    shown = Math.min(times.length - 1, Math.max(0, index));
    const text = `${stretch(times[shown])}: ${words(shown)}`;
    plot.setAttribute('aria-valuenow', String(shown));
    plot.setAttribute('aria-valuetext', text);
    return text;
  }
  function point(index) {
    told.textContent = show(index);
    drawn[shown]?.classList.add('shown');
  }
  const keys = { ArrowLeft: () => shown - 1, ArrowRight: () => shown + 1, Home: () => 0, End: () => times.length - 1 };
  plot.addEventListener('keydown', (event) => {
    if (!keys[event.key]) return;
    event.preventDefault();
    point(keys[event.key]());
  });
  plot.addEventListener('focus', () => point(shown));
  const leave = () => {
    drawn[shown]?.classList.remove('shown');
    told.textContent = hint;
  };
  plot.addEventListener('blur', leave);
  plot.addEventListener('pointerleave', () => document.activeElement !== plot && leave());
  plot.addEventListener('pointermove', (event) => {
    const box = plot.getBoundingClientRect();
    const inside = (event.clientX - box.left - MARGIN.left) / (box.width - MARGIN.left - MARGIN.right);
    point(Math.floor(inside * times.length));
  });
  show(shown);

  new ResizeObserver(([{ contentRect: { width } }]) => {
    if (!width) return;
    const picture = draw({ series, times, label }, width);
    drawn = picture.columns;
    plot.replaceChildren(picture.image);
  }).observe(plot);

  return el('figure', { class: 'chart' },
    el('figcaption', {}, el('h2', {}, title), told),
    el('ul', { class: 'legend', 'aria-label': `${title} in all` }, series.map(({ name, kind, values }) => el('li', {},
      el('span', { class: `swatch ${kind}` }), name, ' ', el('strong', {}, total(values))))),
    plot,
    figures(title, { series, times, stretch, known }));
}

function draw({ series, times, label }, width) {
  const [wide, high] = [width - MARGIN.left - MARGIN.right, HEIGHT - MARGIN.top - MARGIN.bottom];
  const most = round(Math.max(...times.map((_, index) => sum(series.map(({ values }) => values[index] ?? 0)))));
  const [step, y] = [wide / times.length, (value) => MARGIN.top + high * (1 - value / most)];
  const x = (index) => MARGIN.left + step * index;
  const gap = Math.min(4, step / 5);
  const grid = [0, most / 2, most].map((value) => svg('g', { class: 'grid' },
    svg('line', { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
    svg('text', { x: MARGIN.left - 8, y: y(value) + 4, 'text-anchor': 'end' }, count(value))));
  // As many points of the axis as have room.
  const every = Math.ceil(times.length / Math.max(2, Math.floor(wide / 90)));
  const axis = times.map((time, index) => [time, index]).filter(([, index]) => index % every === 0).map(([time, index]) => (
    svg('text', { x: x(index), y: HEIGHT - 8, class: 'tick' }, label(time))));
  const columns = times.map((_, index) => {
    let below = 0;
    const parts = series.filter(({ values }) => values[index]).map(({ kind, values }) => {
      const from = below;
      below += values[index];
      return svg('rect', {
        class: kind, x: x(index) + gap / 2, width: step - gap, y: y(below), height: Math.max(1, y(from) - y(below) - (from ? 1 : 0)),
      });
    });
    const ground = svg('rect', { class: 'ground', x: x(index), width: step, y: MARGIN.top, height: high });
    return svg('g', { class: 'column' }, ground, ...parts);
  });
  const image = svg('svg', { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, 'aria-hidden': 'true' }, ...grid, ...columns, ...axis);
  return { image, columns };
}

/** The same as a table: rows in which there is something to read. */
function figures(title, { series, times, stretch, known }) {
  const columns = [
    { title: 'Time', cell: (index) => stretch(times[index]), kind: 'narrow' },
    ...series.map(({ name, values }) => ({ title: name, cell: (index) => count(values[index]), kind: 'narrow' })),
  ];
  const rows = times.map((_, index) => index).filter((index) => known(index) && series.some(({ values }) => values[index] > 0));
  return el('details', { class: 'plain' },
    el('summary', {}, `Figures of ${title.toLowerCase()}`),
    rows.length ? table(`${title} over time`, columns, rows) : el('p', {}, 'All of them are 0.'));
}
