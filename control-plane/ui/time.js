// A time as people think of it; in full where they point at it.
import { el } from './dom.js';
import { full, since } from './format.js';

const told = (time, words) => el('time', { datetime: time, title: full(time) }, words);

/** How long ago a time was: `3 hours`. */
export const age = (time) => told(time, since(time));

/** The same as `3 hours ago`; a dash for none. */
export const ago = (time) => (time ? told(time, `${since(time)} ago`) : '–');
