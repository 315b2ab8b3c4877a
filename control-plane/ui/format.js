// Times and texts for people.

const UNITS = [['day', 86_400], ['hour', 3_600], ['minute', 60]];

const plural = (count, unit) => `${count} ${unit}${count === 1 ? '' : 's'}`;

/** A stretch of time, such as `3 hours`. */
export function span(seconds) {
  for (const [unit, length] of UNITS) {
    if (seconds >= length) return plural(Math.floor(seconds / length), unit);
  }
  return 'under a minute';
}

/** The same to the second below a minute. */
export const stretch = (seconds) => (seconds < 60 ? plural(Math.round(seconds), 'second') : span(seconds));

/** How long ago a time was, such as `3 hours`. */
export const since = (time) => span(Math.max(0, (Date.now() - Date.parse(time)) / 1000));

/** How long it is until a time; none if it is over. */
export function until(time) {
  const seconds = (Date.parse(time) - Date.now()) / 1000;
  return seconds > 0 ? span(seconds) : undefined;
}

/** A number with its thousands apart. */
export const count = (number) => number.toLocaleString();

/** A time in full, in the reader's own zone. */
export const full = (time) => new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
