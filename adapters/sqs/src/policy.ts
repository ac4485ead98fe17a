import { WaybillError } from '@waybill/core/adapter';

type Statement = Readonly<Record<string, unknown>>;

/** Whether this policy of a queue lets SNS send for this topic. */
export function allows(policy: string, topic: string): boolean {
  return statementsOf(policy).some(
    ({ Effect, Principal, Action, Condition }) =>
      Effect === 'Allow' &&
      (Principal === '*' || ['*', 'sns.amazonaws.com'].some((who) => values(Principal).includes(who))) &&
      texts(Action).some((action) => /^(?:\*|sqs:\*|sqs:sendmessage)$/i.test(action)) &&
      (Condition === undefined || values(Condition).includes(topic)),
  );
}

/** The policy with one statement more, and all that it had. @throws WaybillError `invalid` when it can't be read */
export function allowing(name: string, policy: string, { topic, queue }: { topic: string; queue: string }): string {
  const before = parsed(policy);
  if (policy !== '' && before === null)
    throw new WaybillError(
      'invalid',
      `sqs: the policy of the queue '${name}' can't be read, so nothing is added to it`,
    );
  const statement = {
    Effect: 'Allow',
    Principal: { Service: 'sns.amazonaws.com' },
    Action: 'sqs:SendMessage',
    Resource: queue,
    Condition: { ArnEquals: { 'aws:SourceArn': topic } },
  };
  return JSON.stringify({ Version: '2012-10-17', ...before, Statement: [...statementsOf(policy), statement] });
}

function statementsOf(policy: string): Statement[] {
  const found = parsed(policy)?.['Statement'];
  return (Array.isArray(found) ? found : found === undefined ? [] : [found]) as Statement[];
}

function parsed(policy: string): Statement | null {
  try {
    const found: unknown = JSON.parse(policy);
    return typeof found === 'object' && found !== null ? (found as Statement) : null;
  } catch {
    return null;
  }
}

const texts = (one: unknown): string[] => (Array.isArray(one) ? one.map(String) : [String(one)]);

/** All texts in a tree of objects and lists. */
function values(tree: unknown): string[] {
  if (typeof tree !== 'object' || tree === null) return [String(tree)];
  return Object.values(tree).flatMap(values);
}
