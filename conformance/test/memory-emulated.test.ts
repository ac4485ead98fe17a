import { memoryHarness } from '../src/harness/memory.ts';
import { conformance } from '../src/vitest.ts';

conformance('memory-emulated', () => memoryHarness('memory-emulated'), { separate: true });
