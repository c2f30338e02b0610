import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storeFinding, unitOf } from '../../../supervisor/host/service-findings.ts';

test('the unit is read from the control group, of either hierarchy', () => {
  assert.deepEqual(unitOf('0::/system.slice/covet-pm.service\n'), { name: 'covet-pm.service', isUser: false });
  assert.deepEqual(unitOf('8:pids:/\n1:name=systemd:/system.slice/covet-pm.service/supervisor\n0::/\n'), {
    name: 'covet-pm.service',
    isUser: false,
  });
  assert.deepEqual(unitOf('0::/user.slice/user-1000.slice/user@1000.service/app.slice/covet-pm.service\n'), {
    name: 'covet-pm.service',
    isUser: true,
  });
  assert.equal(unitOf('0::/\n'), null);
});

test('a store that is over four fifths full is warned of, and so is none', () => {
  assert.equal(storeFinding(80, 100).level, 'ok');
  assert.equal(storeFinding(81, 100).level, 'warning');
  assert.equal(storeFinding(0, 0).level, 'warning');
});
