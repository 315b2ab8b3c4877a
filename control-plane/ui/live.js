// Keeps a view fresh while somebody looks at it. Each look leaves an entry in the audit log, so it is not often.

const EVERY = 60_000;

/** Calls `refresh` each minute while the page is visible. Gives the function that ends it. */
export function live(refresh) {
  let last = Date.now();
  const look = () => {
    if (document.visibilityState !== 'visible' || Date.now() - last < EVERY) return;
    last = Date.now();
    refresh();
  };
  const timer = setInterval(look, 5_000);
  document.addEventListener('visibilitychange', look);
  return () => {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', look);
  };
}
