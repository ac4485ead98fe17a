import { memoryHarness } from '../src/harness/memory.ts';
import { conformance } from '../src/vitest.ts';

conformance('memory-unordered', () => memoryHarness('memory-unordered'), { separate: true });
