// How it went: registrations, denials, and runners over time.
import { el, field, select } from '../dom.js';
import { get, withQuery } from '../api.js';
import { chart, sum } from '../chart.js';
import { count } from '../format.js';
import { counted, listing } from '../listing.js';
import { nothing, table } from '../table.js';

const WINDOWS = [['24', '24 hours'], ['168', '7 days'], ['720', '30 days']];

const DENIALS = [
  ['provision', 'Registration denied', 'p1'],
  ['unauthenticated', 'Nobody verified', 'p2'],
  ['revoked', 'Revoked', 'p3'],
  ['rate_limited', 'Too many requests', 'p4'],
  ['admin', 'No administrator', 'p5'],
  ['other', 'Other', 'p6'],
];
const STATES = [
  ['active', 'Active', 'good'], ['pending', 'Pending', 'p1'], ['draining', 'Draining', 'p4'], ['offline', 'Off line', 'bad'],
];

const REASONS = [
  { title: 'Reason', cell: ({ reason }) => el('span', { class: 'name-of' }, reason), kind: 'wide' },
  { title: 'Event', cell: ({ event }) => el('span', { class: 'name-of' }, event) },
  { title: 'How often', cell: (one) => count(one.count), kind: 'narrow' },
];

const all = (values) => count(sum(values));
const newest = (values) => count(values.findLast((value) => value !== null) ?? 0);

/** How times are written: the day where the window is longer than one. */
function clock(hours, width) {
  const [time, day] = [{ hour: '2-digit', minute: '2-digit' }, { day: 'numeric', month: 'short' }];
  const text = (date, options) => date.toLocaleString(undefined, options);
  return {
    label: (start) => text(new Date(start), hours > 24 ? day : time),
    stretch: (start) => {
      const [from, to] = [new Date(start), new Date(Date.parse(start) + width * 1000)];
      return `${text(from, { ...day, ...time })} to ${text(to, time)}`;
    },
  };
}

function charts({ hours, bucket_seconds: width, buckets, reasons }) {
  const times = buckets.map(({ starts_at: start }) => start);
  const shared = { times, ...clock(hours, width), hint: 'Point at a column, or walk with the arrow keys.' };
  const series = (member, parts) => parts.map(([name, title, kind]) => (
    { name: title, kind, values: buckets.map((bucket) => bucket[member]?.[name] ?? null) }));
  const issued = [{ name: 'Registered', kind: 'p1', values: buckets.map(({ provisions }) => provisions) }];
  return [
    chart('Registrations', { ...shared, series: issued, total: all }),
    chart('Denials', { ...shared, series: series('denials', DENIALS), total: all }),
    el('section', { class: 'stack', 'aria-label': 'Why' }, el('h2', {}, 'Why it was denied'),
      reasons.length
        ? table('The most frequent reasons of denials', REASONS, reasons)
        : nothing('Nothing was denied', 'In all of this time.')),
    chart('Runners', { ...shared, series: series('runners', STATES), total: newest }),
  ];
}

/** Shows it in `place`; gives the function that ends the view. */
export const overTime = (place) => listing(place, {
  title: 'History',
  fields: [field('Time', select('hours', WINDOWS))],
  async load({ hours }) {
    const told = await get(withQuery('/admin/history', { hours }));
    const registered = sum(told.buckets.map(({ provisions }) => provisions));
    return { content: el('div', { class: 'stack wide-apart' }, charts(told)), total: `${counted(registered, 'runner')} registered in this time` };
  },
});
