import { setTimeout as sleep } from 'node:timers/promises';
import { WaybillError } from '@waybill/core/adapter';
import { decodeAssignment, decodeMember, distribute, encodeAssignment, encodeMember, PROTOCOL } from './assignment.ts';
import type { Node } from './client.ts';
import type { Connection } from './connection.ts';
import { classify, typeOf } from './errors.ts';
import type { Identity } from './flexible.ts';

/** Between tries while the coordinator is away or not ready. */
const PAUSE = 100;
/** Least time that the coordinator gives members to join again. */
const REJOIN = 10_000;
/** What a leave may take. */
const LEAVING = 1_000;

/**
 * Members of this process that could not say that they leave, by group: each is waited for until its session ends. Who
 * joins under such an id is taken for it, and nobody waits.
 */
export type LeftBehind = Map<string, string[]>;

export interface MembershipOptions {
  readonly connection: Connection;
  readonly leftBehind: LeftBehind;
  readonly groupId: string;
  /** The topics read, the same for every member. */
  readonly topics: readonly string[];
  /** Session timeout. */
  readonly lease: number;
  /** The topics and their numbers of partitions, as of now. */
  readonly counts: () => Promise<ReadonlyMap<string, number>>;
  /** Partitions that are not let go of yet. */
  readonly claims: () => readonly number[];
  /** These, and no others, are given to this member. */
  readonly onAssignment: (partitions: readonly number[]) => void;
  /** The group has thrown this member out, or may have: others may own its partitions. */
  readonly onLost: () => void;
  /** It can't go on. */
  readonly onFailure: (error: unknown) => void;
}

export interface OffsetCommit {
  readonly topic: string;
  readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
}

/**
 * One member of a consumer group, by the classic protocol: joins, heartbeats on a timer whatever handlers do, joins
 * again when the group changes, commits under its generation, leaves.
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #rebalance: number;
  #memberId = '';
  #generation = -1;
  #node: Node | null = null;
  #timer: NodeJS.Timeout | null = null;
  #beating = false;
  #joining = false;
  #rejoin = false;
  #wake: (() => void) | null = null;
  #settled: (() => void)[] = [];
  /** When the coordinator last showed that it counts on this member. */
  #contact = performance.now();
  #ended = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#memberId = options.leftBehind.get(options.groupId)?.pop() ?? '';
    this.#rebalance = Math.max(options.lease, REJOIN);
  }

  /** Resolves with the first assignment. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#contact = performance.now();
      const every = Math.min(1_000, Math.max(50, Math.floor(this.#options.lease / 5)));
      this.#timer = setInterval(() => void this.#beat(), every);
      void this.#run(resolve, reject);
    });
  }

  /** What is claimed has changed: the group is to know. */
  joinAgain(): void {
    this.#rejoin = true;
    this.#wake?.();
  }

  /**
   * Commits what `gather` names, asked again before each try; absolute offsets under one generation may be repeated.
   * Resolves false when this member is no longer in the group.
   */
  async commit(
    gather: () => readonly OffsetCommit[],
    send: (node: Node, identity: Identity, topics: readonly OffsetCommit[]) => Promise<unknown> = plainly,
  ): Promise<boolean> {
    for (;;) {
      if (this.#joining) await new Promise<void>((resolve) => this.#settled.push(resolve));
      if (this.#ended) return false;
      const topics = gather();
      if (topics.length === 0) return true;
      const { generation, memberId } = { generation: this.#generation, memberId: this.#memberId };
      try {
        const node = await this.#coordinator();
        await send(node, { groupId: this.#options.groupId, groupGenerationId: generation, memberId }, topics);
        return true;
      } catch (error) {
        if (isThrownOut(error)) {
          if (generation === this.#generation && memberId === this.#memberId) this.#lose();
          return false;
        }
        if (!this.#isPassing(error)) throw error;
        if (typeOf(error) === 'REBALANCE_IN_PROGRESS') this.joinAgain();
        await sleep(PAUSE / 2);
      }
    }
  }

  /** Idempotent. What is unsettled goes to others at once, unless the coordinator can't be told. */
  async leave(): Promise<void> {
    this.#end();
    const memberId = this.#memberId;
    this.#memberId = '';
    if (memberId === '') return;
    // Who does not answer may still hear it, and would end who had come back under this id.
    const away = await Promise.race([this.#sayGoodbye(memberId), sleep(LEAVING, false, { ref: false })]);
    const { groupId, leftBehind } = this.#options;
    if (away) leftBehind.set(groupId, [...(leftBehind.get(groupId) ?? []), memberId]);
  }

  /** Resolves with whether nobody was there to hear it. */
  async #sayGoodbye(memberId: string): Promise<boolean> {
    const { groupId, connection } = this.#options;
    if (connection.closed) return true;
    try {
      const node = await this.#coordinator();
      await node.leaveGroup({ groupId, memberId });
      return false;
    } catch (error) {
      return classify(error) === 'disconnected';
    }
  }

  async #run(joined: () => void, refused: (error: unknown) => void): Promise<void> {
    while (!this.#ended) {
      try {
        this.#rejoin = false;
        this.#joining = true;
        const assigned = await this.#join();
        if (this.#isOver()) break;
        this.#contact = performance.now();
        this.#settle();
        this.#options.onAssignment(assigned);
        joined();
      } catch (error) {
        if (this.#isOver()) break;
        if (isThrownOut(error)) this.#lose();
        else if (!this.#isPassing(error)) {
          refused(error);
          this.#fail(error);
          break;
        } else await sleep(PAUSE);
        continue;
      }
      if (!this.#wantsAgain()) await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
    this.#settle();
    refused(new WaybillError('closed', `kafka: the subscription of group '${this.#options.groupId}' is closed`));
  }

  async #join(): Promise<number[]> {
    const { groupId, topics, lease, counts, claims } = this.#options;
    const node = await this.#coordinator();
    const joined = await node.joinGroup({
      groupId,
      sessionTimeout: lease,
      rebalanceTimeout: this.#rebalance,
      memberId: this.#memberId,
      groupProtocols: [{ name: PROTOCOL, metadata: encodeMember(topics, claims()) }],
    });
    this.#memberId = joined.memberId;
    this.#generation = joined.generationId;
    this.#contact = performance.now();
    let groupAssignment: { memberId: string; memberAssignment: Buffer }[] = [];
    if (joined.leaderId === joined.memberId) {
      const members = joined.members.map(({ memberId, memberMetadata }) => decodeMember(memberId, memberMetadata));
      const other = members.find((member) => member.topics.toSorted().join(' ') !== topics.toSorted().join(' '));
      if (other !== undefined)
        throw new WaybillError(
          'invalid',
          `kafka: a member of group '${groupId}' reads ${other.topics.join(', ')}, and this one ${topics.join(', ')}; all members of a group read the same topics`,
        );
      const found = await counts();
      groupAssignment = [...distribute(members, Math.max(...found.values()))].map(([memberId, partitions]) => ({
        memberId,
        memberAssignment: encodeAssignment(partitions, found),
      }));
    }
    const { memberAssignment } = await node.syncGroup({
      groupId,
      generationId: this.#generation,
      memberId: this.#memberId,
      groupAssignment,
    });
    return decodeAssignment(memberAssignment);
  }

  async #beat(): Promise<void> {
    if (this.#ended) return;
    const silent = performance.now() - this.#contact;
    if (silent > (this.#joining ? this.#rebalance : this.#options.lease)) {
      const { groupId, lease } = this.#options;
      const why = `kafka: the coordinator of group '${groupId}' has not answered for the lease of ${lease} ms`;
      this.#fail(new WaybillError('disconnected', why));
      return;
    }
    if (this.#joining || this.#beating || this.#memberId === '') return;
    this.#beating = true;
    const sent = performance.now();
    const { generation, memberId } = { generation: this.#generation, memberId: this.#memberId };
    try {
      const node = await this.#coordinator();
      await node.heartbeat({ groupId: this.#options.groupId, groupGenerationId: generation, memberId });
      this.#contact = sent;
    } catch (error) {
      if (this.#ended || generation !== this.#generation || memberId !== this.#memberId) return;
      if (typeOf(error) === 'REBALANCE_IN_PROGRESS') {
        this.#contact = sent;
        this.joinAgain();
      } else if (isThrownOut(error)) this.#lose();
      else if (!this.#isPassing(error)) this.#fail(error);
    } finally {
      this.#beating = false;
    }
  }

  async #coordinator(): Promise<Node> {
    if (this.#node?.isConnected() === true) return this.#node;
    this.#node = await this.#options.connection.coordinator(this.#options.groupId);
    return this.#node;
  }

  /** The coordinator may have moved, or come back, as long as the lease lasts. */
  #isPassing(error: unknown): boolean {
    if (typeOf(error) === 'REBALANCE_IN_PROGRESS') return true;
    if (WaybillError.is(error) && error.code !== 'disconnected') return false;
    if (!['disconnected', 'unavailable', 'timeout', 'throttled'].includes(classify(error))) return false;
    this.#node = null;
    return performance.now() - this.#contact < this.#options.lease;
  }

  #lose(): void {
    this.#memberId = '';
    this.#generation = -1;
    this.#options.onLost();
    this.joinAgain();
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    this.#end();
    this.#options.onLost();
    this.#options.onFailure(error);
  }

  #end(): void {
    this.#ended = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#settle();
    this.#wake?.();
  }

  /** A method, since the compiler does not know that an await lets it change. */
  #isOver(): boolean {
    return this.#ended;
  }

  #wantsAgain(): boolean {
    return this.#rejoin || this.#ended;
  }

  /** Those who wait for the end of a join go on. */
  #settle(): void {
    this.#joining = false;
    for (const resolve of this.#settled.splice(0)) resolve();
  }
}

const plainly = (node: Node, identity: Identity, topics: readonly OffsetCommit[]): Promise<unknown> =>
  node.offsetCommit({ ...identity, topics });

function isThrownOut(error: unknown): boolean {
  return ['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID'].includes(typeOf(error));
}
