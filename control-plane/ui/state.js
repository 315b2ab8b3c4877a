// What a runner's state means, and what comes next.
import { since, until } from './format.js';

const REASONS = {
  deprovisioned: 'Deleted on request.',
  'provision-refused': 'GitHub refused to register it.',
  'provision-interrupted': 'Registering it was interrupted; nothing was handed out.',
  'never-registered': 'No machine came on line while its command was valid.',
  'gone-from-github': 'Gone from GitHub: its job is done, or somebody deleted it there.',
  stale: 'Off line for too long.',
};

/** The states that a list can be narrowed to. */
export const STATES = [
  ['', 'Live'], ['pending', 'Pending'], ['active', 'Active'], ['offline', 'Off line'], ['deleted', 'Deleted'],
];

export const draining = (runner) => runner.drain && runner.status !== 'deleted';

/** The name of the state, as people read it and as the style sheet knows it. */
export function state(runner) {
  if (draining(runner)) return ['draining', 'Draining'];
  if (runner.status === 'active') return runner.busy ? ['busy', 'Running a job'] : ['active', 'Active'];
  return { pending: ['pending', 'Pending'], offline: ['offline', 'Off line'], deleted: ['deleted', 'Deleted'] }[runner.status]
    ?? ['deleted', runner.status];
}

/** What happens next, or what its owner should do. */
export function nextStep(runner) {
  if (runner.status === 'deleted') return REASONS[runner.deleted_reason] ?? runner.deleted_reason ?? '';
  if (draining(runner)) return `Goes when its job has ended${because(runner.drain.waits_because)}.`;
  if (runner.status === 'pending') return waiting(runner);
  if (runner.status === 'offline') {
    return `Start it again on its machine.${runner.offline_since ? ` Off line for ${since(runner.offline_since)}.` : ''}`;
  }
  return runner.busy ? 'Nothing to do: it works.' : 'Ready for a job.';
}

function waiting(runner) {
  const left = runner.expires_at && until(runner.expires_at);
  if (left) return `Run the command on its machine within ${left}.`;
  return runner.expires_at ? 'Its command has expired. Delete it and register another.' : 'Being registered.';
}

const because = (reason) => (reason ? ` (last try: ${reason})` : '');

/** How it differs from what was asked for, if it does. */
export function drift({ drift: found }) {
  if (!found) return undefined;
  const parts = [
    found.missing_labels.length && `without ${found.missing_labels.join(', ')}`,
    found.added_labels.length && `with ${found.added_labels.join(', ')} added`,
    found.runner_group_id && `in group ${found.runner_group_id}`,
  ];
  return `Changed on GitHub: ${parts.filter(Boolean).join('; ')}.`;
}
