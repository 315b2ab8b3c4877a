// The page: signs in, then shows a view, which the address names after `#`.
import { button, el, part } from './dom.js';
import { get } from './api.js';
import { problemBox } from './problem.js';
import { configure, end, finishSignIn, forget, issuerHost, refusal, signIn, signedIn } from './session.js';
import { myRunners } from './runners.js';
import { audit } from './admin/audit.js';
import { overTime } from './admin/history.js';
import { policy } from './admin/policy.js';
import { principals } from './admin/principals.js';
import { allRunners, unmanagedRunners } from './admin/runners.js';
import { status } from './admin/status.js';

const VIEWS = [
  { hash: '#/runners', title: 'My runners', show: myRunners },
  { hash: '#/status', title: 'Status', show: status, admin: true },
  { hash: '#/history', title: 'History', show: overTime, admin: true },
  { hash: '#/all', title: 'All runners', show: allRunners, admin: true },
  { hash: '#/unmanaged', title: 'Unmanaged', show: unmanagedRunners, admin: true },
  { hash: '#/principals', title: 'Principals', show: principals, admin: true },
  { hash: '#/policy', title: 'Policy', show: policy, admin: true },
  { hash: '#/audit', title: 'Audit log', show: audit, admin: true },
];

const GREETING = 'Your runners, on your machines';

let me;
let leave = () => {};

/** Asks to sign in; `box` says what went wrong before. */
function welcome(text, box) {
  leave();
  leave = () => {};
  part('nav').replaceChildren();
  part('who').replaceChildren();
  const enter = button(`Sign in with ${issuerHost()}`, () => signIn().catch((error) => welcome(text, notSignedIn(error))), { class: 'primary' });
  part('main').replaceChildren(el('section', { class: 'welcome' },
    el('h1', {}, text),
    el('p', {}, 'Register machines of your own as GitHub Actions runners, see how they do, and take them away again.'),
    box, enter));
  enter.focus();
}

const notSignedIn = (error) => problemBox({ title: 'Signing in did not work', message: refusal(error) });

function showNav(views, shown) {
  part('nav').replaceChildren(...(views.length > 1 ? views : []).map((view) => el('a', {
    href: view.hash, 'aria-current': view === shown && 'page',
  }, view.title)));
}

/** Shows the view that the address names; what it begins with may follow, as a query. */
function showView() {
  if (!signedIn() || (location.hash && !location.hash.startsWith('#/'))) return;
  const views = VIEWS.filter((view) => !view.admin || me.admin);
  const [name, query] = location.hash.split('?');
  const view = views.find(({ hash }) => hash === name) ?? views[0];
  if (name !== view.hash) history.replaceState(null, '', view.hash);
  leave();
  showNav(views, view);
  document.title = `${view.title} · Runners`;
  const place = el('div', { class: 'view' });
  part('main').replaceChildren(place);
  leave = view.show(place, me, new URLSearchParams(query)) ?? (() => {});
}

async function start() {
  await configure(() => welcome('Your session has ended'));
  try {
    if (!await finishSignIn()) return welcome(GREETING);
  } catch (error) {
    return welcome(GREETING, notSignedIn(error));
  }
  try {
    me = await get('/me');
  } catch (problem) {
    forget();
    return welcome('You are not let in', problemBox(problem));
  }
  part('who').replaceChildren(
    el('span', { class: 'name', title: `${me.subject} at ${me.issuer}` }, me.name),
    button('Sign out', () => {
      forget();
      welcome('You have signed out');
    }));
  showView();
}

addEventListener('hashchange', () => {
  showView();
  // Whoever listens to the page is told that it has changed.
  part('main').focus({ preventScroll: true });
});
// A page that comes back from the browser's cache would still have the token of whoever used it.
addEventListener('pagehide', end);
start().catch((error) => part('main').replaceChildren(problemBox(error)));
